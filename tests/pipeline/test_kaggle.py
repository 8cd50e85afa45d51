"""All variants of the smoke profile by way of Kaggle: pushed, killed, cut, gone on with, pulled, as if trained here.

SRSTUDY_KILLS says how many sessions are killed, each at a random moment.
"""

import json
import os
import random
import subprocess
import sys
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import pytest
from clones import environment, repro, results, run, set_parameter
from tests.kaggle.account import Account
from tests.kaggle.room import Room
from tests.kaggle_service import KEY, USERNAME

from srstudy.study import load_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Kaggle's sessions are Linux"),
    pytest.mark.skipif(version("kaggle").startswith("1."), reason="Python 3.10 has kaggle 1.7: no sessions"),
    pytest.mark.skipif(not os.environ.get("SRSTUDY_LONG"), reason="takes long: SRSTUDY_LONG=1 runs it"),
]
KILLS = int(os.environ.get("SRSTUDY_KILLS", 1))
COMMAND = """import os, sys
from tests.kaggle_service import point_client_to
point_client_to(os.environ["ADDRESS"])
from srstudy.kaggle import command, service
service.READY_WAIT = 0.0
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.fixture
def account():
    account = Account()
    account.start()
    yield account
    account.stop()


def kaggle(clone, account, *arguments: str) -> str:
    """Run a command of the clone's; what it says."""
    variables = environment(clone) | {"ADDRESS": account.address, "KAGGLE_USERNAME": USERNAME, "KAGGLE_KEY": KEY}
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def commit(clone) -> None:
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    run(clone, "git", *author, "add", "-A")
    run(clone, "git", *author, "commit", "-q", "-m", "smoke")


class Kaggle:
    """What runs the pushed notebooks in rooms, and ends some of them before their time."""

    def __init__(self, account: Account, folder: Path):
        self.account, self.folder, self.reached, self.completed = account, folder, {}, []

    def serve(self, seconds: float | None, keeps: bool = True) -> None:
        """Run what was pushed, with what it asks for attached; after `seconds` of CPU, if any, it is killed.

        Such a session leaves what it had written, or nothing. What others left is where the next one begins.
        """
        (slug,) = (slug for slug, kernel in self.account.kernels.items() if kernel.status == "RUNNING")
        kernel, room = self.account.kernels[slug], Room(self.folder / slug)
        for number, name in enumerate(kernel.request.get("datasetDataSources", [])):
            place, slug_of_set = ["datasets", "old"][number % 2], name.partition("/")[2]
            room.mount(place, slug_of_set, self.account.datasets[slug_of_set]["files"])
        for name in kernel.request.get("kernelDataSources", []):
            earlier = name.partition("/")[2]
            room.mount("notebooks", earlier, self.account.kernels[earlier].output)
        done = room.run(kernel.request["text"], kill=seconds)
        assert seconds is not None or done.returncode == 0, done.stderr[-3000:]
        kernel.status = "ERROR" if done.returncode else "COMPLETE"
        if not keeps and done.returncode:
            return
        kernel.output = room.root / "working"
        runs = room.manifest["runs"] if (kernel.output / "session.json").is_file() else {}
        for path in kernel.output.glob("models/checkpoints/*/*/ckpt-*.index"):
            name, step = path.parts[-3], int(path.stem.removeprefix("ckpt-"))
            if name in runs:  # else it may have been killed while it copied them
                self.reached.setdefault(name, []).append((slug, step))
        self.completed += [name for name, run in runs.items() if run["complete"] and "earlier" not in run]
        print(slug, seconds, {name: (run["step"], run["complete"]) for name, run in runs.items()}, flush=True)


def test_all_variants_come_from_kaggle_as_if_they_were_trained_here(clone, root, account, tmp_path):
    set_parameter(clone, "profiles", "smoke", "epoch_scale", value=0.05 * max(1, KILLS))  # long enough for all kills
    set_parameter(clone, "training", "checkpoint_minutes", value=0)
    run(clone, "dvc", "repro", "-q", "-s", "inputs")
    run(clone, "dvc", "repro", "-q", "-s", "--glob", "scan@*", "data", "cut@*")
    commit(clone)
    sessions, moment, said = Kaggle(account, tmp_path), random.Random(22), ""
    kills = iter([(moment.uniform(0, 60), moment.random() < 0.8) for _ in range(KILLS)])
    hours = iter([*[1.0] * KILLS, 0.006, 0.03, *[1.0] * 99])
    while "0 session(s)" not in said:
        said = kaggle(clone, account, "push", "--yes", "--hours", str(next(hours)))
        if "0 session(s)" not in said:
            sessions.serve(*next(kills, (None,)))
        kaggle(clone, account, "pull")
        known = json.loads((clone / "build" / "kaggle" / "ledger.json").read_text())
        assert known["sessions"].keys() == account.kernels.keys()
        assert {one["state"] for one in known["sessions"].values()} == {"pulled"}
        assert known["progress"].keys().isdisjoint(sessions.completed)
    stages = [f"train@{name}" for name in load_study("smoke", root).variants]
    assert next(kills, None) is None and set(account.started().values()) == {1}
    assert sorted(f"train@{name}" for name in sessions.completed) == sorted(stages)  # each of them once
    for steps in sessions.reached.values():
        furthest = [max(step for _, step in of) for _, of in groupby(steps, lambda one: one[0])]
        assert furthest == sorted(furthest)  # no session began before the point that an earlier one had saved
    assert not {*stages} & {*repro(clone)}  # what came from Kaggle is not trained again
    assert "up to date" in run(clone, "dvc", "status").stdout
    assert "psnr" in run(clone, "dvc", "metrics", "diff").stdout
    commit(clone)
    came = results(clone)
    run(clone, "dvc", "repro", "-q", "-s", "-f", *stages, "evaluate")
    assert results(clone) == came
    assert json.loads(run(clone, "dvc", "metrics", "diff", "--json").stdout) == {}
