"""`dvc.yaml`: the real DVC names the stages that a change touches, and trains no warm start by itself."""

import json
import os
import re
import shutil
import subprocess
import sys
from copy import copy
from pathlib import Path

import pytest
import yaml

from srstudy import inputs
from srstudy.study import load_study

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
ROOMS = ("degrade", "networks", "photos", "sets", "train", "judge", "enhance", "report", "figures")


def stages() -> dict[str, dict]:
    """Every stage by DVC's name for it, with what its `foreach` puts in."""
    found = {}
    for stage, description in PIPELINE.items():
        if "foreach" not in description:
            found[stage] = description
            continue
        items = PARAMS
        for key in description["foreach"].strip("${}").split("."):
            items = items[key]
        for name, item in items.items():
            text = json.dumps(description["do"]).replace("${key}", name).replace("${item.set}", item.get("set", ""))
            found[f"{stage}@{name}"] = json.loads(text)
    return found


def outs(description: dict) -> dict[str, dict]:
    """The outputs of a stage, and what DVC is told about them."""
    return {name: how for out in description["outs"] + description.get("metrics", []) for name, how in out.items()}


def test_dvc_never_removes_an_output_before_its_stage_runs():
    assert all(how["persist"] for description in stages().values() for how in outs(description).values())


def test_the_files_that_stages_depend_on_are_those_that_are_written():
    named = {dep for description in stages().values() for dep in description["deps"] if dep.startswith("build/")}
    assert named == {f"build/inputs/{stage}.json" for stage in inputs.all_inputs(load_study("sample", ROOT))}


@pytest.mark.parametrize("stage", ["pretrain", "released"])
def test_hours_of_training_follow_from_other_photographs_or_another_recipe_alone(stage):
    description = PIPELINE[stage]["do"]
    assert description["deps"] == ["data/sample/SOURCES.csv", "data/sample/photos"]
    assert description["params"] == [stage + ".${key}"]
    assert [Path(name).name for name in outs(description)] == ["generator.keras"]
    assert description.get("frozen", False) == (stage == "released")  # those DVC never begins by itself


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_from_those_before_it_alone(room):
    allowed = ROOMS[: ROOMS.index(room) + 1] if room != "figures" else ("degrade", "figures", "judge.metrics")
    for path in (ROOT / "src" / "srstudy" / room).glob("*.py"):
        text = path.read_text(encoding="utf-8")
        imported = re.findall(r"^ *(?:from|import) srstudy\.([\w.]+)", text, re.MULTILINE)
        imported += re.findall(r"\w+", " ".join(re.findall(r"^ *from srstudy import (.+)", text, re.MULTILINE)))
        assert not [name for name in imported if name.startswith(ROOMS) and not name.startswith(allowed)], path.name


class Project:
    """The project with the real dvc.yaml, all of whose stages are up to date: their outputs are a line of text each."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("src/srstudy", "notebooks", "models/pretrained", "models/released"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        (root / ".dvc").mkdir()
        for name in ("params.yaml", "requirements.lock", "dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
            shutil.copy(ROOT / name, root / name)
        given = "data/sample/SOURCES.csv", "data/sample/cctv.avi", "data/five/PHOTOGRAPHS.csv", "benchmarks/enhance.csv"
        for name in ("data/sample/photos/a.jpg", "reports/test_sets/set5-hr/metrics.json", *given):
            self.write(name, name)
        for stage, description in stages().items():
            for name in outs(description):
                if stage.split("@")[0] not in ("inputs", "pretrain", "released"):
                    self.write(name if Path(name).suffix else f"{name}/part", "{}")
        self.run("git", "init", "-q")
        self.run(sys.executable, "-m", "srstudy.inputs")
        self.run("dvc", "commit", "-fq")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).unlink(missing_ok=True)  # it may be a link into DVC's cache
        (self.root / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, *command: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(self.root / "src"), "DVC_NO_ANALYTICS": "1"}
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=True
        ).stdout

    def due(self) -> set[str]:
        """What `make status` names."""
        self.run("dvc", "repro", "-q", "--single-item", "inputs")
        return set(json.loads(self.run("dvc", "status", "--json")))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


@pytest.mark.slow
def test_dvc_names_the_stages_that_a_change_touches(pristine):
    assert pristine.due() == set()
    pristine.edit("src/srstudy/train/fit.py", '"""Train', '"""Now train')
    pristine.edit("notebooks/03_train.ipynb", '"# ', '"# Prose: ')
    assert pristine.due() == set()
    pristine.edit("params.yaml", "recipe: srgan, epochs: 10 }", "recipe: srgan, epochs: 5 }")
    assert pristine.due() == {"train@srgan-5k-32-biased", "report"}
    pristine.write("models/srgan-5k-32-biased/part", "another generator")
    pristine.run("dvc", "commit", "-fq", "train@srgan-5k-32-biased", "report")
    assert pristine.due() == {"evaluate"}
    pristine.write("reports/scores/part", "other scores")
    pristine.run("dvc", "commit", "-fq", "evaluate")
    assert pristine.due() == {"report"}


@pytest.mark.slow
def test_cards_unfinished_trainings_and_notebooks_beside_a_given_model_touch_nothing(pristine):
    before = pristine.due()
    pristine.write("models/checkpoints/srgan-5k-32-plain/checkpoint", "1")
    pristine.write("models/released/gan/README.md", "a card")
    pristine.write("models/pretrained/srgan/03_train.ipynb", "{}")
    assert pristine.due() == before
    pristine.write("models/released/gan/generator.int8.xml", "another")  # what `srstudy enhance` computes with
    assert pristine.due() == before | {"evaluate", "footage", "enhance", "report"}
    pristine.write("models/released/gan/generator.keras", "another")
    assert pristine.due() == before | {"released@gan", "evaluate", "footage", "enhance", "report"}


@pytest.mark.slow
def test_a_copy_without_git_such_as_a_zip_has_stages_too(pristine, tmp_path):
    zipped = copy(pristine)
    zipped.root = shutil.copytree(pristine.root, tmp_path / "zip", ignore=shutil.ignore_patterns(".git"))
    shutil.copy(ROOT / "Makefile", zipped.root)
    zipped.run("make", "-o", ".venv/.installed", "nogit", f"BIN={Path(sys.executable).parent}")
    zipped.edit("params.yaml", "seed: 2023", "seed: 2024")
    assert {"data", "prepare", "train@recommended"} <= zipped.due()
