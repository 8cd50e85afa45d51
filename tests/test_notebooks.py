"""Notebooks are committed stripped; reports are what `notebooks/run.py` made of them as they are."""

import ast
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from ipykernel.ipkernel import IPythonKernel
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.contents.filemanager import FileContentsManager

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
REPORTS = [path for path in sorted((ROOT / "reports").glob("*.ipynb")) if (ROOT / "notebooks" / path.name).is_file()]


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


def test_it_is_valid_and_stripped(notebook):
    assert list(nbformat.validator.iter_validate(notebook)) == []
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))
    assert set(notebook.metadata) <= {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.get("language_info", {})
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_it_begins_with_its_one_title(notebook):
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


def test_a_report_keeps_nothing_that_differs_between_equal_runs(report):
    content = json.loads(report.read_text(encoding="utf-8"))
    assert list(nbformat.validator.iter_validate(nbformat.from_dict(content))) == []
    assert "papermill" not in content["metadata"]
    assert [cell["id"] for cell in content["cells"]] == [f"cell-{number}" for number in range(len(content["cells"]))]
    for cell in content["cells"]:
        assert set(cell["metadata"]) <= {"tags"}
        outputs = cell.get("outputs", [])
        assert all(output.get("name") != "stderr" and output["output_type"] != "error" for output in outputs)


@pytest.mark.parametrize("path", [*NOTEBOOKS, *REPORTS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_make_lab_opens_and_saves_is_as_it_was(path, tmp_path, monkeypatch):
    """On the way, JupyterLab notes the kernel that it has started: what no browser is needed to see."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))  # where notebooks are signed
    (hook,) = re.findall(r"pre_save_hook=(\S+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    manager, kernel = FileContentsManager(root_dir=str(tmp_path), pre_save_hook=hook), KernelSpecManager()
    shutil.copy(path, tmp_path)
    model, spec = manager.get(path.name), kernel.get_kernel_spec("python3").to_dict()
    metadata = model["content"]["metadata"]
    metadata["kernelspec"] = {"name": "python3", **{key: spec[key] for key in ("display_name", "language")}}
    metadata["language_info"] = dict(IPythonKernel.language_info)
    os.link(tmp_path / path.name, tmp_path / "cache")
    (tmp_path / "cache").chmod(0o444)
    manager.save(model, path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "cache").samefile(tmp_path / path.name)


def test_a_report_was_made_of_the_notebook_s_code_as_it_is(report):
    """But for comments, after which no stage runs. `dvc repro -f train@srgan-5k-32-plain` renews that of a training."""
    made, notebook = (nbformat.read(path, as_version=4) for path in (report, ROOT / "notebooks" / report.name))
    cells = [cell for cell in code(made) if "injected-parameters" not in cell.metadata.get("tags", [])]
    programs = [[ast.dump(ast.parse(cell.source)) for cell in each] for each in (cells, code(notebook))]
    assert programs[0] == programs[1]


def test_git_has_eight_megabytes_of_reports_at_most_and_none_as_a_web_page():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git here")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert [path for path in paths if path.suffix == ".html" and not path.is_relative_to(ROOT / "web")] == []
    assert sum(path.stat().st_size for path in paths if path.is_relative_to(ROOT / "reports")) <= 8e6
