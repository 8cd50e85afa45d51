"""`notebooks/run.py`: equal runs give equal reports, a page needs nothing else, an error is one line."""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from srstudy.errors import StudyError
from srstudy.figures.results import draw_times
from srstudy.files import COMPLETE

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


@pytest.fixture
def timings(run, tmp_path, monkeypatch):
    """The lines of timings.csv, when called; `run` works in a folder of its own."""
    monkeypatch.setattr(run, "ROOT", tmp_path)
    return lambda: (tmp_path / "reports" / "timings.csv").read_text(encoding="utf-8").splitlines()


def test_a_stage_s_time_takes_the_place_of_its_older_one(run, timings):
    run.note_time("train@b", 12.34, None)
    run.note_time("data", 1, None)
    run.note_time("train@b", 5, None)
    assert timings() == ["profile,stage,seconds", ",data,1.0", ",train@b,5.0"]


def test_times_of_another_profile_are_dropped(run, timings, study):
    run.note_time("01_data", 900, replace(study, profile_name="paper"))
    run.note_time("03_train@recommended", 2, study)
    assert timings()[1:] == ["sample,03_train@recommended,2.0"]


@pytest.mark.parametrize("name", ["pretrain-srgan", "srgan", "released-recommended-psnr", "recommended-psnr"])
def test_hours_of_training_what_the_study_is_given_are_none_of_its_time(run, timings, study, name):
    run.note_time("04_evaluate@srgan", 30, study)
    run.note_time("04_evaluate@recommended-psnr", 40, study)
    run.note_time(f"03_train@{name}", 9000, study)
    assert timings()[1:] == ["sample,04_evaluate@recommended-psnr,40.0", "sample,04_evaluate@srgan,30.0"]


def test_times_of_a_variant_that_is_no_more_are_dropped(run, timings, study):
    run.note_time("03_train@recommended", 2, study)
    run.note_time("01_data", 1, replace(study, variants={}))
    assert timings()[1:] == ["sample,01_data,1.0"]


def test_times_from_before_the_profile_was_noted_are_dropped(run, timings, study, tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "timings.csv").write_text("stage,seconds\n02_prepare,9.7\n", encoding="utf-8")
    run.note_time("01_data", 1, study)
    assert timings()[1:] == ["sample,01_data,1.0"]


def test_the_picture_of_the_times_names_the_profile(run, timings, study, tmp_path):
    run.note_time("01_data", 30, study)
    run.note_time("02_prepare", 60, study)
    draw_times(tmp_path)
    picture = (tmp_path / "reports" / "timings.svg").read_text(encoding="utf-8")
    assert "1.5 minutes in all (sample profile)" in picture


ABSL = "0000 00:00:1795367070.643859    8315 "


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        f"I{ABSL}cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.",
        f"W{ABSL}computation_placer.cc:177] computation placer already registered.",
    ],
)
def test_tensorflow_s_chatter_is_kept_off_the_terminal(run, line):
    assert run.CHATTER.sub("", line + "\n") == ""
    assert run.CHATTER.sub("", " 50%|##  |" + line + "\n") == " 50%|##  |"


@pytest.mark.parametrize(
    "line",
    [
        f"E{ABSL}cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        "Epoch 3: 100%|####| 24/24",
        "I am a line of the notebook's",
        "",
    ],
)
def test_everything_else_is_seen(run, line):
    assert run.CHATTER.sub("", line + "\n") == line + "\n"


def test_stderr_reaches_the_terminal_without_the_chatter(run, capfd):
    with run.without_chatter():
        os.write(2, f"I{ABSL}port.cc:153] oneDNN\n 50%|##\rE{ABSL}a.cc:1] out of memory\nhalf".encode())
    assert capfd.readouterr().err == f" 50%|##\rE{ABSL}a.cc:1] out of memory\nhalf"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project of one tiny notebook beside the real script."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "notebooks").mkdir()
    for name in ("run.py", "page.css"):
        shutil.copy(ROOT / "notebooks" / name, folder / "notebooks")
    parameters = new_code_cell('name = "nobody"  # whom to greet\nmissing = ""  # a file to miss\ndie = ""  # how')
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
        new_markdown_cell("## Losses"),
        new_code_cell(
            "from srstudy.figures.training import curves\n"
            "losses = pd.DataFrame({'step': [1, 2], 'content': [2.0, 1.0]})\n"
            "display(curves(losses, 'losses of \"plain\" <1>'))\n"
            "curves(losses, 'losses of the other')"
        ),
        new_code_cell("import os, time\nif die == 'slowly':\n    time.sleep(60)\nelif die:\n    os._exit(9)"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "notebooks" / "tiny.ipynb")
    return folder


def calling(project: Path, *arguments: str, notebook: str = "tiny") -> tuple[list[str], dict[str, str]]:
    """The command that a stage runs, and its environment."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return [sys.executable, str(project / "notebooks" / "run.py"), notebook, *arguments], environment


def call(project: Path, *arguments: str, notebook: str = "tiny") -> subprocess.CompletedProcess:
    """Run the script as a stage does."""
    command, environment = calling(project, *arguments, notebook=notebook)
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
    assert (project / "reports" / "timings.csv").read_text().startswith("profile,stage,seconds\n,tiny@one,")


def test_pictures_go_by_their_titles(first_run):
    images = Page(first_run[1]["tiny/one.html"].decode()).all("img")
    said = "From the first to the last step: content 2 to 1"
    titles = ['Figure: losses of "plain" <1>', "Figure: losses of the other"]
    assert [image["alt"] for image in images] == [f"{title}. {said}" for title in titles]


def test_equal_runs_give_equal_bytes(first_run, project):
    assert call(project, "--name", "one", "-p", "name", "world").returncode == 0
    assert reports(project) == first_run[1]


def test_a_study_error_is_one_line_and_leaves_the_older_report(first_run, project):
    done = call(project, "--name", "one", "-p", "missing", "model.keras")
    assert the_error(done) == "error: model.keras: not there; make it first."
    assert reports(project) == first_run[1]


def the_error(done: subprocess.CompletedProcess) -> str:
    """The one line with which a run ended, in place of a traceback."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error:"))
    assert done.stderr.splitlines()[-1] == error
    return error


def test_a_misspelt_parameter_names_the_nearest_and_leaves_the_older_report(first_run, project):
    done = call(project, "--name", "one", "-p", "nmae", "world")
    assert re.match(r"error: tiny\.ipynb.* 'nmae' .*did you mean 'name'\?.* name, missing, die", the_error(done))
    assert reports(project) == first_run[1]


def test_a_misspelt_notebook_is_answered_with_those_there_are(project):
    assert re.match(r"error: notebooks: 'tyni' .*known: tiny\.", the_error(call(project, notebook="tyni")))


def test_a_kernel_that_dies_is_one_line_and_leaves_the_older_report(first_run, project):
    done = call(project, "--name", "one", "-p", "die", "now")
    assert re.match(r"error: tiny\.ipynb: its kernel died, .*memory ran out; .*smaller profile", the_error(done))
    assert reports(project) == first_run[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends a child no signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stage_that_is_told_to_stop_says_so_in_one_line(first_run, project, number):
    command, environment = calling(project, "--name", "one", "-p", "die", "slowly")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as stage:
        while "half way" not in (line := stage.stderr.readline()):
            assert line, "it ended by itself"
        time.sleep(3)
        stage.send_signal(number)
        said = stage.stderr.read()
    assert stage.returncode == 1
    assert said.splitlines()[-1] == f"error: stopped by {number.name}; run it again to go on."
    assert "Traceback" not in said
    assert reports(project) == first_run[1]


def test_a_report_that_can_t_be_written_is_one_line(run, executed, project, monkeypatch, capsys):
    def full(path, text):
        raise StudyError(f"{path.name}: the disk is full; free some space and run again.")

    monkeypatch.setattr(run, "ROOT", project)
    monkeypatch.setattr(sys, "argv", ["run.py", "tiny"])
    monkeypatch.setattr(run, "execute", lambda path, parameters: executed)
    monkeypatch.setattr("srstudy.files.write_text", full)
    assert run.main() == 1
    assert capsys.readouterr().err == "error: tiny.ipynb: the disk is full; free some space and run again.\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
    ],
)
def test_a_full_disk_under_the_executed_notebook_is_one_sentence(run, error):
    with pytest.raises(StudyError, match=r"tiny: the disk .* is full; .*TMPDIR"), run.in_one_sentence("tiny"):
        raise error


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "run.css"), ZeroDivisionError("division by zero")])
def test_other_errors_keep_their_traceback(run, error):
    with pytest.raises(type(error)), run.in_one_sentence("tiny"):
        raise error


def test_checkpoints_of_complete_runs_go_and_those_of_others_stay(run, tmp_path):
    for name in ("done", "unfinished"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ckpt-1.index").write_bytes(b"1")
    (tmp_path / "done" / COMPLETE).touch()
    run.forget_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished"]
