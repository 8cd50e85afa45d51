"""An account on the stand-in for Kaggle, and a small project that pushes to it."""

import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import yaml
from kagglesdk import kaggle_env
from tests.kaggle.account import Account
from tests.kaggle_service import KEY, USERNAME, point_client_to

from srstudy.kaggle import command, ledger, pack, plan, service
from srstudy.study import load_study

RUNS = ["srgan-5k-32-plain", "srgan-10k-64-plain", "recommended"]
COPIED = ("data/sample/SOURCES.csv", "models/pretrained", "notebooks/run.py", "notebooks/session.py")
COPIED += ("notebooks/03_train.ipynb", "notebooks/10_kaggle.ipynb")


@pytest.fixture
def account(home, monkeypatch):
    """The stand-in; the real client of this process speaks to it, by a legacy key, and loses no time waiting."""
    if version("kaggle").startswith("1."):
        pytest.skip("Python 3.10 has kaggle 1.7, which can't run sessions")
    monkeypatch.setenv("KAGGLE_USERNAME", USERNAME)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(kaggle_env, "_env_to_endpoint", dict(kaggle_env._env_to_endpoint))
    monkeypatch.setattr(service, "WAITS", (0.01,) * 4)
    monkeypatch.setattr(service, "READY_WAIT", 0.0)
    monkeypatch.setattr(ledger, "GRACE", 0.0)
    account = Account()
    point_client_to(account.start())
    yield account
    account.stop()


@pytest.fixture
def project(root, tmp_path, monkeypatch) -> Path:
    """A project under profile smoke with a commit, in which DVC finds three trainings due; its wheel is a stub."""
    project = tmp_path / "project"
    photos = [path for path in sorted((root / "data/sample/photos").iterdir()) if path.suffix == ".jpg"]
    for name in (*COPIED, *(path.relative_to(root).as_posix() for path in photos)):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, project / name)
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    (project / "params.yaml").write_text(yaml.safe_dump({**params, "profile": "smoke"}, sort_keys=False))
    (project / ".gitignore").write_text("build/\ndata/prepared/\nmodels/\nreports/\ndvc.lock\n")
    for command_line in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
        subprocess.run(["git", *author, *command_line], cwd=project, check=True)
    study = load_study("smoke", project)
    for name in RUNS:
        (project / "build/inputs").mkdir(parents=True, exist_ok=True)
        (project / f"build/inputs/train-{name}.json").write_text(name)
        place = project / "data/prepared" / study.run(name).tile_set
        place.mkdir(parents=True, exist_ok=True)
        for kind in ("hr", "lr"):
            np.save(place / f"{kind}.npy", np.zeros((2, 4, 4, 3), np.uint8))

    def due(study, ledger):
        busy = {run for one in ledger.of("pushing", "queued", "running").values() for card in one["cards"].values()
                for run in card}  # fmt: skip
        done = {name: one["step"] for name, one in ledger.progress.items()}
        left = [name for name in RUNS if name not in busy and not (project / "models" / name).exists()]
        return plan.jobs(study, left, done, ledger.rates)

    monkeypatch.setattr(command, "due", due)
    monkeypatch.setattr(command, "refresh", lambda study: None)
    monkeypatch.setattr(pack, "CARRIED", {})
    monkeypatch.setattr(pack, "_wheel", lambda root: b"wheel")
    monkeypatch.chdir(project)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return project
