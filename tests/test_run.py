"""`notebooks/run.py`: equal runs give equal reports, a page needs nothing else, an error is one line."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parents[1]
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def run():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("run_notebook", ROOT / "notebooks" / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def executed():
    """A notebook as papermill leaves it."""
    cell = new_code_cell("figure", execution_count=3)
    cell.metadata = {"tags": ["parameters"], "papermill": {"duration": 0.1}, "execution": {"iopub.status.busy": "now"}}
    cell.outputs = [
        new_output("stream", name="stderr", text="cutting: 100%|####| 24/24"),
        new_output("stream", name="stdout", text="24 tiles\n"),
        new_output("display_data", {"image/png": DOT, "text/plain": "<Figure>"}),
        new_output("execute_result", {"text/html": "<table><tr><td>28.43</td></tr></table>"}, execution_count=3),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# Tiles\n\nSet $x^2$ by hand."), cell])
    notebook.metadata = {
        "papermill": {"start_time": "now"},
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "version": "3.11.7"},
    }
    return notebook


def test_cleaning_drops_what_differs_between_equal_runs(run, executed):
    first_ids = {cell.id for cell in executed.cells}
    cleaned = run.clean(executed)
    assert [cell.id for cell in cleaned.cells] == ["cell-0", "cell-1"]
    assert not first_ids & {cell.id for cell in cleaned.cells}
    assert cleaned.cells[1].metadata == {"tags": ["parameters"]}
    assert "papermill" not in cleaned.metadata
    assert "version" not in cleaned.metadata.language_info
    nbformat.validate(cleaned)


def test_cleaning_drops_progress_bars_and_keeps_results(run, executed):
    outputs = run.clean(executed).cells[1].outputs
    assert [output.get("name", output.output_type) for output in outputs] == [
        "stdout",
        "display_data",
        "execute_result",
    ]


class Page(HTMLParser):
    """Tags of a page, with their attributes, and the text of its title."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.ended: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        self.ended.append(tag)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_a_page_is_a_whole_document_with_a_title(run, executed):
    text = run.page(run.clean(executed), "02_prepare")
    assert text.startswith("<!doctype html>\n")
    page = Page(text)
    for tag in ("html", "head", "title", "body"):
        assert len(page.all(tag)) == page.ended.count(tag) == 1
    assert "<title>02_prepare</title>" in text
    assert page.all("html")[0]["lang"] == "en"
    assert {"charset": "utf-8"} in page.all("meta")
    assert "28.43" in text
    assert "24 tiles" in text


def test_a_page_needs_nothing_from_elsewhere(run, executed):
    page = Page(run.page(run.clean(executed), "a"))
    assert not page.all("script")
    assert not page.all("link")
    assert not page.all("iframe")
    assert [image["src"][:22] for image in page.all("img")] == ["data:image/png;base64,"]
    assert not re.search(r"@import|url\(", run.page(executed, "a").split("</style>")[0])


def test_every_picture_on_a_page_has_a_text_that_says_something(run, executed):
    for image in Page(run.page(run.clean(executed), "a")).all("img"):
        assert image["alt"].strip()
        assert image["alt"] != "No description has been provided for this image"


def test_a_stage_s_time_takes_the_place_of_its_older_one(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ROOT", tmp_path)
    run.note_time("train@b", 12.34)
    run.note_time("data", 1)
    run.note_time("train@b", 5)
    table = (tmp_path / "reports" / "timings.csv").read_text(encoding="utf-8")
    assert table == "stage,seconds\ndata,1.0\ntrain@b,5.0\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of one tiny notebook beside the real script."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "notebooks").mkdir()
    for name in ("run.py", "page.css"):
        shutil.copy(ROOT / "notebooks" / name, folder / "notebooks")
    parameters = new_code_cell('name = "nobody"  # whom to greet\nmissing = ""  # a file to miss')
    parameters.metadata = {"tags": ["parameters"]}
    cells = [
        new_markdown_cell("# Tiny"),
        parameters,
        new_code_cell('import sys\nprint("hello", name)\nprint("half way", file=sys.stderr)'),
        new_code_cell(
            "from srstudy.errors import StudyError\n"
            'if missing:\n    raise StudyError(f"{missing}: not there; make it first.")'
        ),
        new_code_cell("import pandas as pd\npd.DataFrame({'a': [name]})"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebooks" / "tiny.ipynb")
    return folder


def call(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the script as a stage does."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, str(project / "notebooks" / "run.py"), "tiny", *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=300)


@pytest.fixture(scope="module")
def first_run(project) -> tuple[subprocess.CompletedProcess, dict[str, bytes]]:
    """What the first run said, and the reports it left."""
    done = call(project, "--name", "one", "-p", "name", "world")
    return done, reports(project)


def reports(project: Path) -> dict[str, bytes]:
    """All reports by name, but for the times."""
    folder = project / "reports"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*") if "tim" not in path.name
    }


def test_a_run_leaves_the_notebook_and_its_page_under_its_name(first_run, project):
    done, left = first_run
    assert done.returncode == 0, done.stderr
    assert set(left) == {"tiny/one.ipynb", "tiny/one.html"}
    assert b"<title>tiny one</title>" in left["tiny/one.html"]
    assert b"hello world" in left["tiny/one.html"]
    assert "half way" in done.stderr
    assert b"half way" not in left["tiny/one.ipynb"].replace(b'print(\\"half way\\"', b"")
    assert (project / "reports" / "timings.csv").read_text().startswith("stage,seconds\ntiny@one,")


def test_equal_runs_give_equal_bytes(first_run, project):
    assert call(project, "--name", "one", "-p", "name", "world").returncode == 0
    assert reports(project) == first_run[1]


def test_a_study_error_is_one_line_and_leaves_the_older_report(first_run, project):
    done = call(project, "--name", "one", "-p", "missing", "model.keras")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert errors == ["error: model.keras: not there; make it first."]
    assert done.stderr.splitlines()[-1] == errors[0]
    assert reports(project) == first_run[1]
