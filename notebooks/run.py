"""Run one notebook as a stage: `python notebooks/run.py 03_train [--name 5k-32-plain] [-p key value ...]`.

The executed notebook and its HTML land in `reports/`, cleaned of everything that differs between equal runs; wall
times go to `reports/timings.csv`. Progress is shown live. A StudyError, a full disk, a kernel that dies, SIGTERM or
Ctrl-C ends in one line and exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import errno
import html
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from srstudy.config import Study, load_study
from srstudy.errors import StudyError
from srstudy.files import COMPLETE
from srstudy.runtime import is_chief
from srstudy.schema import pick

ROOT = Path(__file__).resolve().parent.parent
KEEP_METADATA = {"tags"}
OUTSIDE = {"06_ablation"}  # notebooks that are no stage: their time is none of the study's
# TensorFlow's information and warnings, which it writes before it reads its own setting not to.
CHATTER = re.compile(
    r"(?:WARNING: All log messages before absl|[IW]\d{4} [\d:.]+ +\d+ |^To enable the following instr"
    r"|\[IPKernelApp\] ERROR \| KeyboardInterrupt).*\n?"  # what a kernel says when it is told to go
)


def main() -> int:
    """Parse the command line, run the notebook, write what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="name in notebooks/ without .ipynb")
    parser.add_argument("--name", help="one of several runs of this notebook; names its report")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), dest="parameters")
    options = parser.parse_args()
    try:
        run(options.notebook, options.name, dict(options.parameters))
    except StudyError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def run(title: str, name: str | None, parameters: dict[str, str]) -> None:
    """Execute one notebook and write its reports. Raises StudyError for whatever the user can mend."""
    path = find(title, parameters)
    study = load_study(parameters.get("profile"), ROOT) if (ROOT / "params.yaml").is_file() else None
    started = time.perf_counter()
    notebook = execute(path, parameters)
    if not is_chief():  # of several workers, each of which runs this, the first writes
        return
    publish(clean(notebook), ROOT / "reports" / title / name if name else ROOT / "reports" / title, title, name)
    if title not in OUTSIDE:
        note_time("@".join(filter(None, (title, name))), time.perf_counter() - started, study)
    if title == "05_report":
        from srstudy.figures.results import draw_times

        draw_times(ROOT)
    if title == "03_train" and "variant" in parameters:
        forget_checkpoints(ROOT / "models" / "checkpoints" / parameters["variant"])


def find(title: str, parameters: dict[str, str]) -> Path:
    """The notebook's path. Raises StudyError if there is none of that name, or it has no such parameter."""
    path = pick({path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}, title, "notebooks")
    import papermill

    known = papermill.inspect_notebook(str(path))
    for key in parameters:  # papermill itself would only warn, and run with the default
        pick(known, key, f"{path.name}, parameters")
    return path


def execute(path: Path, parameters: dict[str, str]):
    """The executed notebook. Raises StudyError for one raised inside it, a full disk, a kernel that dies or is told
    to stop.
    """
    import papermill

    with in_one_sentence(path.name), without_chatter(), tempfile.TemporaryDirectory() as folder:
        isolate_kernel(Path(folder))
        # In a thread of its own, papermill leaves the signals to us.
        with ThreadPoolExecutor(1) as thread, signals_to_the_kernel():
            return thread.submit(
                papermill.execute_notebook, str(path), str(Path(folder) / path.name), parameters=parameters,
                cwd=str(path.parent), progress_bar=False, stderr_file=sys.stderr, autosave_cell_every=0,
            ).result()  # fmt: skip


@contextmanager
def signals_to_the_kernel():
    """Pass SIGTERM and Ctrl-C on: training then saves where it is. Raises StudyError if the notebook ended by one."""
    import psutil

    came = []

    def pass_on(number, _):
        came.append(signal.Signals(number).name)
        for kernel in psutil.Process().children():
            kernel.send_signal(number if os.name == "posix" else signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
        if came:
            raise StudyError(f"{came[0]} came when it was about to end; run it again.")
    except Exception as error:
        if came and getattr(error, "ename", "") != "StudyError" and not isinstance(error, StudyError):
            raise StudyError(f"stopped by {came[0]}; run it again to go on.") from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def in_one_sentence(name: str):
    """Make a StudyError of what ends the notebook `name` and is no fault of its code; other errors pass."""
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError

    try:
        yield
    except PapermillExecutionError as error:
        if error.ename != "StudyError":
            raise
        raise StudyError(error.evalue) from error
    except DeadKernelError as error:
        raise StudyError(
            f"{name}: its kernel died, probably because memory ran out; close other programs or choose a smaller "
            "profile, then run it again."
        ) from error
    except OSError as error:
        # On a disk without a byte left, Python finds no folder for temporary files to begin with.
        if error.errno != errno.ENOSPC and "No usable temporary directory" not in str(error):
            raise
        raise StudyError(
            f"{name}: the disk for temporary files is full; free some space or set TMPDIR to a folder that has some."
        ) from error


@contextmanager
def without_chatter():
    """Keep TensorFlow's notes off the terminal, and pass everything else on.

    A pipe takes the place of this process's stderr, because the kernel inherits it and writes there itself.
    """
    terminal = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)

    def pass_on():
        with os.fdopen(reader, encoding="utf-8", errors="replace", newline="") as lines:
            for line in lines:
                os.write(terminal, CHATTER.sub("", line).encode())

    passing = threading.Thread(target=pass_on, daemon=True)
    passing.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        passing.join(timeout=5)


def isolate_kernel(folder: Path) -> None:
    """Keep the user's own IPython start-up files, the kernel's chatter and chance out of the reports.

    In a log, where a progress bar can't be drawn over, it is drawn twice a minute.
    """
    profile = folder / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
    os.environ.update(IPYTHONDIR=str(folder), PYDEVD_DISABLE_FILE_VALIDATION="1", TF_CPP_MIN_LOG_LEVEL="3")
    seconds = "1" if sys.stderr.isatty() else "30"
    os.environ.update(TQDM_MININTERVAL=seconds, TQDM_MAXINTERVAL=seconds)
    os.environ["PYTHONHASHSEED"] = "0"  # the order of a set is then no difference between equal runs


def clean(notebook):
    """Drop times, random ids, progress bars and empty outputs: equal runs then give equal notebooks."""
    heading = ""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {key: value for key, value in cell.metadata.items() if key in KEEP_METADATA}
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.+)", cell.source, re.MULTILINE)][-1]
        if cell.cell_type == "code":
            cell["outputs"] = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell["outputs"]:
                if "image/png" in output.get("data", {}):  # the text that a reader who can't see it is given
                    text = output["data"].get("text/plain", "")  # the study's figures give their title
                    alt = text if text.startswith("Figure: ") else f"Figure: {heading}"
                    output["metadata"]["image/png"] = {"alt": alt}
    return notebook


def publish(notebook, target: Path, title: str, name: str | None) -> None:
    """Write the notebook and a page of it, each whole or not at all."""
    import nbformat

    from srstudy.files import write_text

    write_text(target.with_name(target.name + ".ipynb"), nbformat.writes(notebook) + "\n")
    write_text(target.with_name(target.name + ".html"), page(notebook, " ".join(filter(None, (title, name)))))


def page(notebook, title: str) -> str:
    """The notebook as one HTML page that needs nothing else and stays small."""
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    body, _ = HTMLExporter(
        template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True
    ).from_notebook_node(notebook)
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8") + HtmlFormatter().get_style_defs(
        ".highlight"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>\n{style}\n</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def note_time(stage: str, seconds: float, study: Study | None) -> None:
    """Put the stage's wall time into `reports/timings.csv`, in place of an older one.

    Only times under the profile of `study`, and of what it runs, stay in the file. None: a project without params.yaml.
    """
    import pandas as pd

    from srstudy.files import write_csv

    path = ROOT / "reports" / "timings.csv"
    profile = study.profile_name if study else ""
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else []
    times = {row["stage"]: row["seconds"] for row in rows if row.get("profile") == profile}
    times[stage] = f"{seconds:.1f}"
    if study:
        times = {key: value for key, value in times.items() if is_of_the_study(key, study)}
    table = [(profile, key, times[key]) for key in sorted(times)]
    write_csv(path, pd.DataFrame(table, columns=["profile", "stage", "seconds"]))


def is_of_the_study(stage: str, study: Study) -> bool:
    """Whether the study's time includes that of this stage: not the hours in which what is given was trained once."""
    title, _, name = stage.partition("@")
    return not name or name in study.variants or (title != "03_train" and name in study.on_sample)


def forget_checkpoints(folder: Path) -> None:
    """Remove those of runs that reached their end, now that all that these leave is written; unfinished ones stay."""
    for mark in folder.glob(f"*/{COMPLETE}"):
        shutil.rmtree(mark.parent, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
