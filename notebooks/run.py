"""Run one notebook as a stage: `python notebooks/run.py 03_train [--name srgan-5k-32-plain] [-p key value ...]`.

The executed notebook lands in `reports/`, that of a training beside its model, cleaned of everything that differs
between equal runs. Progress is shown live. A StudyError, a full disk, a kernel that dies, SIGTERM or Ctrl-C ends in one
line and exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

# An experiment of DVC runs in a copy of the project: by the code there, whatever the environment has installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from srstudy import StudyError
from srstudy.files import COMPLETE, write_text
from srstudy.parsing import parse, pick, read_yaml
from srstudy.runtime import is_chief
from srstudy.study import load_study

sys.modules.setdefault("rfc3987_syntax", None)  # jsonschema would build a grammar of web addresses, for 2 s a stage

ROOT = Path(__file__).resolve().parent.parent
# TensorFlow's information and warnings, which it writes before it reads its own setting not to.
CHATTER = re.compile(
    r"(WARNING: All log messages before absl|[IW]\d{4} [\d:.]+ +\d+ |^To enable the following).*\n?", re.MULTILINE
)
# What a kernel and its libraries write to stderr comes through Jupyter; but not on Windows, where it comes directly.
KERNEL = """import os
c.IPKernelApp.log_level = 40
if os.name == "posix":
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
"""


def main() -> int:
    """Parse the command line, run the notebook, write what came out, say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="name in notebooks/ without .ipynb")
    parser.add_argument("--name", help="the run that 03_train trains; of another notebook, a name for this report")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), dest="parameters")
    options, started = parser.parse_args(), time.perf_counter()
    try:
        run(options.notebook, options.name, dict(options.parameters))
    except StudyError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"{' '.join(filter(None, (options.notebook, options.name)))}: {time.perf_counter() - started:.0f} s")
    return 0


def run(title: str, name: str | None, texts: dict[str, str]) -> None:
    """Execute one notebook and write its report. Raises StudyError for whatever the user can mend."""
    path = pick({path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}, title, "notebooks")
    parameters = typed(path, texts)
    if title == "03_train" and not (name or "variant" in parameters):
        raise StudyError("03_train: say which run to train, by `--name NAME -p variant NAME`.")
    study = load_study(parameters.get("profile"), ROOT) if title == "03_train" or parameters.get("profile") else None
    reports = study.folder("reports") if study else ROOT / "reports"
    target, trained = reports / (f"{title}-{name}.ipynb" if name else f"{title}.ipynb"), None
    if title == "03_train":
        trained = study.run(name or parameters["variant"])
        target = trained.folder / path.name
        if parameters.setdefault("variant", name) != trained.name:
            raise StudyError(f"--name {name}: is not the variant {parameters['variant']}; give both the same name.")
    notebook = clean(execute(path, parameters))
    if not is_chief():  # of several workers, each of which runs this, the first writes
        return
    import nbformat

    write_text(target, nbformat.writes(notebook) + "\n")
    if trained:  # all that comes of its checkpoints is written now; those of an unfinished run stay
        for mark in trained.checkpoints.glob(f"*/{COMPLETE}"):
            shutil.rmtree(mark.parent, ignore_errors=True)


def typed(path: Path, texts: dict[str, str]) -> dict[str, Any]:
    """Parameters of the kinds of the notebook's defaults: a list is [a, b] or a, b; where that is None, [a, b] or text.

    Raises StudyError for an unknown parameter and a value of another kind.
    """
    if not texts:
        return {}
    import papermill

    known, parameters = papermill.inspect_notebook(str(path)), {}
    for key, text in texts.items():  # of a misspelt one, papermill itself would only warn, and run with the default
        default = ast.literal_eval(pick(known, key, f"{path.name}, parameters")["default"])
        if isinstance(default, (list, type(None))) and re.match(r"\[|null$", text):
            parameters[key] = read_yaml(text, f"-p {key}")
        elif isinstance(default, list):
            parameters[key] = [part.strip() for part in text.split(",")]
        else:
            parameters[key] = text if default is None else parse(type(default), text, f"-p {key}")
    return parameters


def execute(path: Path, parameters: dict[str, Any]):
    """The executed notebook, which is saved nowhere yet. Raises StudyError as `one_sentence` does."""
    import papermill

    # A kernel takes 3 s to say goodbye. Several workers need it, each to know that the others are no longer there.
    goodbye = "graceful" if os.environ.get("TF_CONFIG") else "immediate"
    options = {"progress_bar": False, "stderr_file": Terminal(), "shutdown_kernel": goodbye, "cwd": str(path.parent)}
    # In a thread of its own, papermill leaves the signals to us.
    with one_sentence(path.name), isolated(), ThreadPoolExecutor(1) as thread:
        return thread.submit(papermill.execute_notebook, str(path), None, parameters, **options).result()


@contextmanager
def one_sentence(name: str):
    """Pass SIGTERM and Ctrl-C on to the kernel: training then saves where it is.

    Raises StudyError for one of these, a StudyError in the notebook, a dead kernel or a full disk; other errors pass.
    """
    names: list[str] = []

    def pass_on(number, _):
        names.append(signal.Signals(number).name)
        for kernel in psutil.Process().children():
            kernel.send_signal(number if os.name == "posix" else signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
        if names:
            raise InterruptedError  # when it was about to end
    except Exception as error:
        stopped = f"stopped by {names[0]}; run it again to go on." if names else None
        if sentence := error.evalue if getattr(error, "ename", "") == "StudyError" else stopped or reason(error, name):
            raise StudyError(sentence) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def reason(error: Exception, name: str) -> str | None:
    """A sentence for what ended the notebook `name`, if that is no fault of its code."""
    kind, said = getattr(error, "ename", type(error).__name__), getattr(error, "evalue", str(error))
    if kind in ("DeadKernelError", "ResourceExhaustedError") or kind.endswith("MemoryError"):
        what = "its kernel died, probably because memory ran out" if kind == "DeadKernelError" else "memory ran out"
        return f"{name}: {what}; close other programs or choose a smaller profile, then run it again."
    # Python, HDF5; and on a disk without a byte left, Python finds no folder for temporary files to begin with.
    if re.search(r"\[Errno 28\]|errno = 28,|No usable temporary directory", said):
        return f"{name}: the disk is full; free some space, or set TMPDIR to a folder elsewhere for temporary files."
    return None


class Terminal:
    """Where a notebook's stderr is shown, without TensorFlow's notes."""

    def write(self, text: str) -> None:
        sys.stderr.write(CHATTER.sub("", text))

    def flush(self) -> None:
        sys.stderr.flush()


@contextmanager
def isolated():
    """Keep the user's own IPython start-up files, the kernel's chatter and chance out of the report."""
    seconds = "1" if sys.stderr.isatty() else "30"  # between two drawings of a bar: in a log, none goes over another
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "profile_default").mkdir()
        (Path(folder) / "profile_default" / "ipython_kernel_config.py").write_text(KERNEL, encoding="utf-8")
        os.environ.update(IPYTHONDIR=folder, PYDEVD_DISABLE_FILE_VALIDATION="1", TF_CPP_MIN_LOG_LEVEL="3")
        os.environ.update(TQDM_MININTERVAL=seconds, TQDM_MAXINTERVAL=seconds)
        os.environ["PYTHONHASHSEED"] = "0"  # the order of a set is then no difference between equal runs
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
        yield


def clean(notebook):
    """Drop times, random ids, progress bars and empty outputs: equal runs then give equal notebooks."""
    heading = ""
    notebook.metadata.pop("papermill", None)
    notebook.metadata.get("language_info", {}).pop("version", None)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell["metadata"] = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.+)", cell.source, re.MULTILINE)][-1]
        if cell.cell_type == "code":
            cell["outputs"] = without_stderr(cell.outputs)
            for output in cell["outputs"]:
                text = output.get("data", {}).get("text/plain", "")  # the study's figures give their title
                alt = text if text.startswith("Figure: ") else f"Figure: {heading}"
                for kind in {"image/png", "image/jpeg"} & output.get("data", {}).keys():
                    output["metadata"][kind] = {"alt": alt}  # what a reader who can't see it is given
    return notebook


def without_stderr(outputs):
    """The other outputs; what stderr had divided of stdout is one again, as JupyterLab makes it when it opens it."""
    kept = []
    for output in outputs:
        if kept and output.get("name") == kept[-1].get("name") == "stdout":
            kept[-1]["text"] += output["text"]
        elif output.get("name") != "stderr":
            kept.append(output)
    return kept


if __name__ == "__main__":
    sys.exit(main())
