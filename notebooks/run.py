"""Run one notebook as a stage: `python notebooks/run.py 03_train [--name 5k-32-plain] [-p key value ...]`.

The executed notebook and its HTML land in `reports/`, cleaned of everything that differs between equal runs; wall
times go to `reports/timings.csv`. Progress is shown live. A StudyError inside the notebook ends in one line and exit
code 1.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEEP_METADATA = {"tags"}


def main() -> int:
    """Parse the command line, run the notebook, write what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", help="name in notebooks/ without .ipynb")
    parser.add_argument("--name", help="one of several runs of this notebook; names its report")
    parser.add_argument("-p", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), dest="parameters")
    options = parser.parse_args()
    target = ROOT / "reports" / options.notebook / options.name if options.name else ROOT / "reports" / options.notebook
    started = time.perf_counter()
    notebook = execute(ROOT / "notebooks" / f"{options.notebook}.ipynb", dict(options.parameters))
    if notebook is None:
        return 1
    publish(clean(notebook), target, options.notebook, options.name)
    note_time("@".join(filter(None, (options.notebook, options.name))), time.perf_counter() - started)
    if options.notebook == "05_report":
        draw_times()
    return 0


def execute(path: Path, parameters: dict[str, str]):
    """The executed notebook, or None after a StudyError, which is printed in one line."""
    import papermill

    with without_chatter(), tempfile.TemporaryDirectory() as folder:
        isolate_kernel(Path(folder))
        try:
            return papermill.execute_notebook(
                str(path), str(Path(folder) / path.name), parameters=parameters, cwd=str(path.parent),
                progress_bar=False, stderr_file=sys.stderr, autosave_cell_every=0,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            if error.ename != "StudyError":
                raise
            print(f"error: {' '.join(error.evalue.split())}", file=sys.stderr)
            return None


@contextmanager
def without_chatter():
    """Keep TensorFlow's notes about drivers that are not there off the terminal, and pass everything else on.

    A pipe takes the place of this process's stderr, because the kernel inherits it and writes there itself.
    """
    terminal = os.dup(2)
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    os.close(writer)

    def pass_on():
        with os.fdopen(reader, encoding="utf-8", errors="replace", newline="") as lines:
            for line in lines:
                if not re.match(r"WARNING: All log messages before absl|[IWE]\d{4} \d\d:", line):
                    os.write(terminal, line.encode())

    passing = threading.Thread(target=pass_on, daemon=True)
    passing.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        passing.join(timeout=5)


def isolate_kernel(folder: Path) -> None:
    """Keep the user's own IPython start-up files, the kernel's chatter and chance out of the reports."""
    profile = folder / "profile_default"
    profile.mkdir()
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n", encoding="utf-8")
    os.environ.update(IPYTHONDIR=str(folder), PYDEVD_DISABLE_FILE_VALIDATION="1", TF_CPP_MIN_LOG_LEVEL="3")
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
                    output["metadata"]["image/png"] = {"alt": f"Figure: {heading}"}
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


def note_time(stage: str, seconds: float) -> None:
    """Put the stage's wall time into `reports/timings.csv`, in place of an older one."""
    from srstudy.files import write_text

    path = ROOT / "reports" / "timings.csv"
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []
    times = dict(line.split(",") for line in lines)
    times[stage] = f"{seconds:.1f}"
    write_text(path, "stage,seconds\n" + "".join(f"{key},{times[key]}\n" for key in sorted(times)))


def draw_times() -> None:
    """The picture of all wall times, which the report shows without containing it."""
    import pandas as pd

    from srstudy.figures import save_figure, timing_bars

    times = pd.read_csv(ROOT / "reports" / "timings.csv")
    minutes = times.seconds.sum() / 60
    save_figure(
        timing_bars(times, f"wall time of each stage, {minutes:.1f} minutes in all"), ROOT / "reports" / "timings.svg"
    )


if __name__ == "__main__":
    sys.exit(main())
