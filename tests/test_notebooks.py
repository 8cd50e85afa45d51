"""Notebooks are committed stripped, short, and made of calls; reports are what `notebooks/run.py` made of them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPORTS = sorted((ROOT / "reports").rglob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    """Each notebook of the study."""
    return nbformat.read(request.param, as_version=4)


@pytest.fixture(params=REPORTS, ids=lambda path: path.stem)
def report(request) -> Path:
    """Each report, an executed notebook; skipped where none was made yet."""
    return request.param


def code(notebook) -> list:
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_study_is_seven_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_data", "02_prepare", "03_train", "04_evaluate", "05_report", "06_ablation", "07_cctv"
    ]  # fmt: skip


def test_it_is_valid(notebook):
    assert list(nbformat.validator.iter_validate(notebook)) == []


def test_it_is_stripped(notebook):
    for cell in code(notebook):
        assert not cell.outputs
        assert cell.execution_count is None
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.get("language_info", {})
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_it_has_at_most_20_cells(notebook):
    assert len(notebook.cells) <= 20


def test_it_defines_nothing(notebook):
    for cell in code(notebook):
        for node in ast.walk(ast.parse(cell.source)):  # which also refuses magics
            assert not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)), cell.source
            assert not (isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Lambda))


def test_it_begins_with_a_title(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert re.match(r"# \S", notebook.cells[0].source)
    titles = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    assert len([line for line in titles if line.startswith("# ")]) == 1


def test_every_parameter_stands_on_a_line_of_its_own_with_its_meaning(notebook):
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    lines = cell.source.splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[a-z_]+ = \S.*  # \S.*", line), line
        ast.literal_eval(line.split(" = ", 1)[1].split("  #")[0])  # plain values, which papermill can replace


def test_no_output_goes_to_a_path_of_one_machine(notebook):
    for cell in notebook.cells:
        assert not re.search(r"/(?:home|Users|root|tmp|content)/|[A-Z]:\\", cell.source)


def test_a_report_is_valid_and_has_its_page(report):
    nbformat.validate(nbformat.read(report, as_version=4))
    assert report.with_suffix(".html").is_file()


def test_a_report_is_smaller_than_3_mb(report):
    assert report.stat().st_size < 3e6


def test_a_report_keeps_nothing_that_differs_between_equal_runs(report):
    content = json.loads(report.read_text(encoding="utf-8"))
    assert "papermill" not in content["metadata"]
    assert [cell["id"] for cell in content["cells"]] == [f"cell-{number}" for number in range(len(content["cells"]))]
    for cell in content["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        assert all(output.get("name") != "stderr" for output in cell.get("outputs", []))
        assert all(output["output_type"] != "error" for output in cell.get("outputs", []))


def test_a_report_was_made_of_the_notebook_as_it_is(report):
    if report.name.startswith(("pretrain-", "released-")):
        pytest.skip("hours of training do not follow from an edit of the notebook; this one shows how it was made")
    name = report.relative_to(ROOT / "reports").parts[0].removesuffix(".ipynb")
    source = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    cells = nbformat.read(report, as_version=4).cells
    made = [cell.source for cell in cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    assert made == [cell.source for cell in source.cells]


def test_every_picture_of_a_report_s_page_has_a_text(report):
    page = report.with_suffix(".html").read_text(encoding="utf-8")
    for image in re.findall(r"<img\b[^>]*?>", re.sub(r"base64,[\w+/=\s]+", "", page)):
        (text,) = re.findall(r'\balt="([^"]*)"', image)
        assert text.strip()
        assert text != "No description has been provided for this image"
