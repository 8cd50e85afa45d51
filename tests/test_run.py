"""`notebooks/run.py` and `pages.py`: equal runs give equal reports, a page needs nothing else, an error is one line."""

import errno
import html
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from papermill.exceptions import PapermillExecutionError

from srstudy import StudyError
from srstudy.files import COMPLETE

ROOT = Path(__file__).resolve().parents[1]
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def script(name: str):
    """A script of notebooks/ as a module."""
    spec = importlib.util.spec_from_file_location(f"script_{name}", ROOT / "notebooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


run, pages = script("run"), script("pages")


@pytest.fixture
def executed():
    """A notebook as papermill leaves it."""
    cell = new_code_cell("figure", execution_count=3)
    cell.metadata = {"tags": ["parameters"], "papermill": {"duration": 0.1}, "execution": {"iopub.status.busy": "now"}}
    cell.outputs = [
        new_output("stream", name="stdout", text="24 "),
        new_output("stream", name="stderr", text="cutting: 100%|####| 24/24"),
        new_output("stream", name="stdout", text="tiles\n"),
        new_output("display_data", {"image/png": DOT, "text/plain": "<Figure>"}),
        new_output("display_data", {"image/jpeg": DOT, "text/plain": 'Figure: losses of "plain" <1>'}),
        new_output("execute_result", {"text/html": "<table><tr><td>28.43</td></tr></table>"}, execution_count=3),
    ]
    notebook = new_notebook(cells=[new_markdown_cell("# Tiles\n\nSet $x^2$ by hand."), cell])
    notebook.metadata = {
        "papermill": {},
        "kernelspec": KERNEL,
        "language_info": {"name": "python", "version": "3.11.7"},
    }
    return notebook


def test_cleaning_drops_what_differs_between_equal_runs_and_keeps_results(executed):
    cleaned = run.clean(executed)
    assert [cell.id for cell in cleaned.cells] == ["cell-0", "cell-1"]
    assert cleaned.cells[1].metadata == {"tags": ["parameters"]}
    assert cleaned.metadata == {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    outputs = [output.get("name", output.output_type) for output in cleaned.cells[1].outputs]
    assert outputs == ["stdout", "display_data", "display_data", "execute_result"]
    assert cleaned.cells[1].outputs[0].text == "24 tiles\n"
    nbformat.validate(cleaned)


def test_a_page_is_a_whole_document_that_needs_nothing_else_and_gives_every_picture_a_text(executed, tmp_path):
    nbformat.write(run.clean(executed), tmp_path / "a.ipynb")
    text = pages.page(tmp_path / "a.ipynb", "02_prepare")
    assert re.match(
        r'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>02_prepare</title>', text
    )
    assert "28.43" in text
    assert not re.search(r"<(script|link|iframe)\b|@import|url\(", text)
    assert re.findall(r"src=\"([^;]+);", text) == ["data:image/png", "data:image/jpeg"]
    texts = [html.unescape(alt) for _, alt in re.findall(r"""\balt=(["'])(.*?)\1""", text)]
    assert texts == ["Figure: Tiles", 'Figure: losses of "plain" <1>']


def test_pages_are_made_of_all_executed_notebooks_and_only_of_those_that_changed(executed, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for folder, name in (
        ("reports", "01_data"),
        ("models/srgan-5k-32-plain", "03_train"),
        ("models/released/a", "03_train"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(run.clean(executed), tmp_path / folder / f"{name}.ipynb")
    pages.main()
    made = tmp_path / "build" / "pages"
    # the first variant's is among the reports
    names = ["01_data", "03_train", "03_train-a", "03_train-srgan-5k-32-plain"]
    assert sorted(path.stem for path in made.iterdir()) == names
    for name in ("01_data", "03_train-a"):
        os.utime(made / f"{name}.html", (1, 1))
    executed.cells[0].source += " "
    nbformat.write(run.clean(executed), tmp_path / "models" / "released" / "a" / "03_train.ipynb")
    pages.main()
    assert (made / "01_data.html").stat().st_mtime == 1
    assert (made / "03_train-a.html").stat().st_mtime > 1


ABSL = "0000 00:00:1795367070.643859    8315 "


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n", ""),
        (f" 50%|##  |I{ABSL}cudart_stub.cc:31] Could not find cuda drivers on your machine.\n", " 50%|##  |"),
        (f"W{ABSL}a.cc:177] already registered.\nTo enable the following instructions: AVX2\nhalf", "half"),
        (f"E{ABSL}cuda_platform.cc:52] failed call to cuInit\n", None),
        ("Epoch 3: 100%|####| 24/24\nI am a line of the notebook's\n", None),
    ],
)
def test_tensorflow_s_chatter_is_kept_off_the_terminal_and_all_else_is_seen(text, shown, capsys):
    run.Terminal().write(text)
    assert capsys.readouterr().err == (text if shown is None else shown)


@pytest.fixture
def study_folder(tmp_path, monkeypatch, executed) -> Path:
    """A project whose notebooks are not executed: each run of one gives the same."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "execute", lambda path, parameters: executed)
    return tmp_path


@pytest.mark.parametrize(
    ("title", "name", "report"),
    [
        ("01_data", None, "reports/01_data.ipynb"),
        ("04_evaluate", "set5", "reports/04_evaluate-set5.ipynb"),
        ("03_train", "recommended", "models/recommended/03_train.ipynb"),
        ("03_train", "srgan", "models/pretrained/srgan/03_train.ipynb"),
        ("03_train", "gan", "models/released/gan/03_train.ipynb"),
    ],
)
def test_a_report_lies_in_reports_and_that_of_a_training_beside_its_model(study_folder, title, name, report):
    run.run(title, name, {})
    written = [path.relative_to(study_folder).as_posix() for path in study_folder.rglob("*.ipynb")]
    assert [path for path in written if not path.startswith("notebooks/")] == [report]


def test_a_training_that_ended_needs_its_checkpoints_no_more_and_an_unfinished_one_does(study_folder):
    checkpoints = study_folder / "models" / "checkpoints" / "recommended"
    for name in ("done", "unfinished"):
        (checkpoints / name).mkdir(parents=True)
    (checkpoints / "done" / COMPLETE).touch()
    run.run("03_train", None, {"variant": "recommended"})
    assert [path.name for path in checkpoints.iterdir()] == ["unfinished"]
    with pytest.raises(StudyError, match="--name recommended: is not the variant srgan-5k-32-plain"):
        run.run("03_train", "recommended", {"variant": "srgan-5k-32-plain"})


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), r"^tiny: the disk is full; .*TMPDIR"),
        (PapermillExecutionError(1, 1, "", "OSError", f"[Errno {errno.ENOSPC}] No space: 'a'", []), "^tiny: the disk"),
        (PapermillExecutionError(1, 1, "", "_ArrayMemoryError", "Unable to allocate", []), "^tiny: memory ran out"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "^tiny: the disk"),
        (FileNotFoundError(errno.ENOENT, "run.css"), None),
        (MemoryError(), "^tiny: memory ran out; close other programs"),
        (ZeroDivisionError("division by zero"), None),
    ],
)
def test_a_full_disk_is_one_sentence_and_other_errors_keep_their_traceback(error, sentence):
    with pytest.raises(StudyError if sentence else type(error), match=sentence), run.one_sentence("tiny"):
        raise error


PARAMETERS = """name = "nobody"  # whom to greet
missing = ""  # a file to miss
die = None  # how
many = ["a"]  # of them"""
CELLS = [
    "import os, sys, time\nprint('hello', name, many)\nprint('half way', file=sys.stderr)",
    "import srstudy\nfrom pathlib import Path\nprint(Path(srstudy.__file__).parents[2] == Path.cwd().parent)",
    "if missing:\n    raise srstudy.StudyError(f'{missing}: not there; make it first.')",
    "print({3, 1, 2}, {'b', 'a', 'c'})",
    "if die == 'slowly':\n    print('sleeping', file=sys.stderr)\n    time.sleep(60)",
    "if die == 'of memory':\n    bytes(1 << 60)\nelif die:\n    os._exit(9)",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of one tiny notebook beside the real script."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "run.py", folder / "notebooks")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    parameters = new_code_cell(PARAMETERS)
    parameters.metadata = {"tags": ["parameters"]}
    notebook = new_notebook(cells=[new_markdown_cell("# Tiny"), parameters, *map(new_code_cell, CELLS)])
    notebook.metadata["kernelspec"] = KERNEL
    nbformat.write(notebook, folder / "notebooks" / "tiny.ipynb")
    return folder


def call(project: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the script as a stage does."""
    command = [sys.executable, str(project / "notebooks" / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)


def the_error(code: int, stderr: str) -> str:
    """The one line with which a run ended, in place of a traceback."""
    assert code == 1
    assert "Traceback" not in stderr
    (error,) = (line for line in stderr.splitlines() if line.startswith("error:"))
    assert stderr.splitlines()[-1] == error
    return error


@pytest.fixture(scope="module")
def first_run(project) -> bytes:
    """The report of the first run, which was well."""
    done = call(project, "tiny", "-p", "name", "7", "-p", "many", "b")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"tiny: \d+ s\n", done.stdout)
    assert done.stderr == "half way\n"
    return (project / "reports" / "tiny.ipynb").read_bytes()


@pytest.mark.slow
def test_a_report_holds_what_came_out_with_parameters_of_the_notebook_s_kinds(first_run):
    outputs = [output for cell in nbformat.reads(first_run.decode(), 4).cells for output in cell.get("outputs", [])]
    assert [output.name for output in outputs] == ["stdout"] * 3
    assert outputs[0].text == "hello 7 ['b']\n"


@pytest.mark.slow
def test_a_notebook_is_run_by_the_code_of_its_own_project_whatever_is_installed(first_run):
    """As in an experiment of DVC, which is a copy of the project."""
    code = [cell for cell in nbformat.reads(first_run.decode(), 4).cells if "srstudy.__file__" in cell.source]
    assert [output.text for cell in code for output in cell.outputs] == ["True\n"]


@pytest.mark.parametrize(
    ("title", "texts", "values"),
    [
        ("00_try_it", {"mine": "2024", "strength": "2e-1"}, {"mine": "2024", "strength": 0.2}),
        ("01_data", {"profile": "null"}, {"profile": None}),
        ("04_evaluate", {"runs": "[a, b]", "test_set": "2024"}, {"runs": ["a", "b"], "test_set": "2024"}),
        ("04_evaluate", {"runs": "a, b", "again": "true"}, {"runs": "a, b", "again": True}),
        ("07_cctv", {"clip": "1.avi", "frames": "5", "runs": "a"}, {"clip": "1.avi", "frames": 5, "runs": "a"}),
        ("07_cctv", {"runs": "[a, b]"}, {"runs": ["a", "b"]}),
        ("07_cctv", {"runs": "a,b"}, {"runs": "a,b"}),
    ],
)
def test_parameters_are_of_the_kinds_that_each_notebook_takes(title, texts, values):
    assert run.typed(ROOT / "notebooks" / f"{title}.ipynb", texts) == values


@pytest.mark.parametrize(("title", "key", "text"), [("07_cctv", "frames", "many"), ("04_evaluate", "again", "maybe")])
def test_a_parameter_of_another_kind_is_named(title, key, text):
    with pytest.raises(StudyError, match=f"^-p {key}: should be a valid .*, found '{text}'"):
        run.typed(ROOT / "notebooks" / f"{title}.ipynb", {key: text})


@pytest.mark.slow
def test_equal_runs_give_equal_bytes(first_run, project):
    assert call(project, "tiny", "-p", "name", "7", "-p", "many", "[b]").returncode == 0
    assert (project / "reports" / "tiny.ipynb").read_bytes() == first_run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["tiny", "-p", "missing", "model.keras"], r"error: model\.keras: not there; make it first\."),
        (["tiny", "-p", "nmae", "world"], r"error: tiny\.ipynb.* 'nmae' .*did you mean 'name'\?.* name, missing, die"),
        (["tiny", "-p", "die", "[a"], r"error: -p die, line 1: not valid YAML \(.*\); correct it\."),
        (["tyni"], r"error: notebooks: 'tyni' .*known: tiny\."),
        (["tiny", "-p", "die", "now"], r"error: tiny\.ipynb: its kernel died, .*memory ran out; .*smaller profile"),
        (["tiny", "-p", "die", "of memory"], r"error: tiny\.ipynb: memory ran out; .*smaller profile"),
    ],
)
def test_an_error_is_one_line_and_leaves_the_older_report(first_run, project, arguments, error):
    done = call(project, *arguments)
    assert re.match(error, the_error(done.returncode, done.stderr))
    assert (project / "reports" / "tiny.ipynb").read_bytes() == first_run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends a child no signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_is_told_to_stop_says_so_in_one_line(first_run, project, number):
    command = [sys.executable, str(project / "notebooks" / "run.py"), "tiny", "-p", "die", "slowly"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as stage:
        while "sleeping" not in (line := stage.stderr.readline()):
            assert line, "it ended by itself"
        stage.send_signal(number)
        said = stage.stderr.read()
    assert the_error(stage.returncode, said) == f"error: stopped by {number.name}; run it again to go on."
    assert (project / "reports" / "tiny.ipynb").read_bytes() == first_run
