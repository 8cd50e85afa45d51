"""`dvc exp run`, as users of DVC try things: every value can be set, and what runs is the experiment's own code."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import to_hydra_overrides
from tests.test_pipeline import PARAMS, ROOT, Project

AUTHOR = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A project whose stages are up to date, committed."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.run("git", "add", "-A")
    project.run("git", *AUTHOR, "commit", "-qm", "start")
    return project


def keys(values: dict, place: str = "") -> Iterator[str]:
    """The paths of all single values."""
    for key, value in values.items():
        yield from keys(value, f"{place}{key}.") if isinstance(value, dict) else [f"{place}{key}"]


def test_every_value_of_params_has_a_place_that_dvc_can_set():
    params = {name: section for name, section in PARAMS.items() if name != "ablation"}  # whose arms have titles
    overrides = [f"{key}=1" for key in keys(params)]
    assert len(to_hydra_overrides(overrides)) == len(overrides) > 200


def test_no_value_of_params_stands_for_another():
    """DVC would change all of them, or none."""
    tokens = yaml.scan((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert not [token for token in tokens if isinstance(token, (yaml.AnchorToken, yaml.AliasToken))]


ALIKE = ("recommended-psnr", "general", "psnr", "gan", "cctv")  # each begins with one before it


@pytest.mark.slow
def test_values_are_set_as_they_are_written(project):
    given = {
        "recipes.recommended.learning_rate": ("0.00004", 4e-5),
        "recipes.recommended.loss_weights.adversarial": ("4e-05", 4e-5),
        "recipes.srgan.learning_rate": ("3e-4", 3e-4),
        "recipes.srgan.loss_weights.adversarial": ("2.0e-3", 2e-3),
        "variants.srgan-5k-32-biased.epochs": ("7", 7.0),
        "profiles.sample.images.paper-5k": ("30", 30),
        **{f"released.{name}.generator.filters": ("32", 32) for name in ALIKE},
    }
    options = [option for key, (text, _) in given.items() for option in ("-S", f"{key}={text}")]
    project.run("dvc", "exp", "run", "-q", "--single-item", "inputs", *options)
    report = json.loads((project.root / "build" / "inputs" / "report.json").read_text(encoding="utf-8"))["settings"]
    project.run("git", "checkout", "-q", "params.yaml", "dvc.lock")
    for key, (_, value) in given.items():
        found = {**report, "profiles": {"sample": report["profile"]}}
        for part in key.split("."):
            found = found[part]
        assert found == value, key


@pytest.mark.slow
@pytest.mark.parametrize("how", [["--temp"], ["--queue"]])
def test_an_experiment_apart_is_made_by_its_own_code(project, how):
    """Though the environment has the code of the project's folder installed, as by `pip install -e`."""
    path = project.root / "src" / "srstudy" / "inputs.py"
    before = path.read_text(encoding="utf-8")
    project.edit("src/srstudy/inputs.py", '("runs", *STAGES', '("runs", "more", *STAGES')
    name = how[0].strip("-")
    project.run("dvc", "exp", "run", "-q", "--name", name, *how, "--single-item", "inputs")
    path.write_text(before, encoding="utf-8")
    if how == ["--queue"]:
        project.run("dvc", "exp", "run", "--run-all")
    lock = yaml.safe_load(project.run("git", "show", f"{experiment(project.root, name)}:dvc.lock"))
    (out,) = lock["stages"]["inputs"]["outs"]
    assert out["nfiles"] == len(list((project.root / "build" / "inputs").iterdir())) + 1


def experiment(root: Path, name: str) -> str:
    """The commit that DVC made of an experiment."""
    command = ["git", "for-each-ref", "--format=%(objectname)", f"refs/exps/**/{name}"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_what_an_experiment_would_run_can_be_asked(project):
    """Not by `--dry`: DVC 3.67 then looks for the data of later stages in a copy that has none."""
    (command,) = re.findall(r"`dvc (exp run -s inputs -S .+?)`", (ROOT / "docs" / "training.md").read_text("utf-8"))
    project.run("dvc", *command.split())
    assert set(json.loads(project.run("dvc", "status", "--json"))) == {"train@recommended", "report"}
    project.run("git", "checkout", "-q", "params.yaml", "dvc.lock")
