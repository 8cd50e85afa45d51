"""All variants of the smoke profile by way of Kaggle: pushed, cut, gone on with, pulled, as if trained here."""

import os
import subprocess
import sys

import pytest
from clones import environment, run
from tests.kaggle.account import Account
from tests.kaggle.room import Room
from tests.kaggle_service import KEY, USERNAME

from srstudy.study import load_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Kaggle's sessions are Linux"),
    pytest.mark.skipif(not os.environ.get("SRSTUDY_LONG"), reason="takes long: SRSTUDY_LONG=1 runs it"),
]
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


def serve(account, folder) -> None:
    """Run what was pushed, in a room, with what it asks for attached."""
    for slug, kernel in account.kernels.items():
        if kernel.status == "RUNNING":
            room = Room(folder / slug)
            for number, name in enumerate(kernel.request.get("datasetDataSources", [])):
                place, slug_of_set = ["datasets", "old"][number % 2], name.partition("/")[2]
                room.mount(place, slug_of_set, account.datasets[slug_of_set]["files"])
            for name in kernel.request.get("kernelDataSources", []):
                earlier = name.partition("/")[2]
                room.mount("notebooks", earlier, account.kernels[earlier].output)
            done = room.run(kernel.request["text"])
            assert done.returncode == 0, done.stderr[-3000:]
            kernel.status, kernel.output = "COMPLETE", room.root / "working"


def test_all_variants_come_from_kaggle_as_if_they_were_trained_here(clone, root, account, tmp_path):
    run(clone, "dvc", "repro", "-q", "-s", "inputs")
    run(clone, "dvc", "repro", "-q", "-s", "--glob", "scan@*", "data", "cut@*")
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    run(clone, "git", *author, "add", "-A")
    run(clone, "git", *author, "commit", "-q", "-m", "smoke")
    hours, said = iter([0.006, 0.03, *[1.0] * 99]), ""
    while "0 session(s)" not in said:
        said = kaggle(clone, account, "push", "--yes", "--hours", str(next(hours)))
        serve(account, tmp_path)
        kaggle(clone, account, "pull")
    assert len(account.kernels) > 2 and set(account.started().values()) == {1}
    stages = [f"train@{name}" for name in load_study("smoke", root).variants]
    assert "up to date" in run(clone, "dvc", "status", *stages).stdout
    places = (path for folder in ("models", "reports") for path in (clone / folder).rglob("*"))
    came = {path: path.read_bytes() for path in places if path.is_file() and "test_sets" not in path.parts}
    run(clone, "dvc", "repro", "-q", "-s", "-f", *stages)
    assert [path for path, content in came.items() if path.read_bytes() != content] == []
