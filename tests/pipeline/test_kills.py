"""kill -9 in the middle of a stage: what is there stays whole, and a rerun gives what an undisturbed run gives."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from clones import environment, repro, results, set_parameter

LAST = "evaluate@5k-32-plain"
FOLDERS = {  # the folder among a stage's outputs
    "prepare": "data/prepared",
    "train@5k-32-plain": "models/5k-32-plain",
    LAST: "reports/sr/5k-32-plain",
}
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL, and no inodes to see a folder replaced by")


@pytest.fixture(scope="module")
def finished(clone) -> Path:
    """The clone after the stages of one variant."""
    ran = [stage for stage in repro(clone, LAST) if not stage.startswith("scan@")]
    assert ran == ["data", *FOLDERS]
    return clone


def kill(clone: Path, stage: str, when: Callable[[], bool]) -> None:
    """Run a stage, and kill -9 it with all that it has started as soon as `when` holds."""
    assert not when(), "what an earlier kill left would set this one off at once"
    command = ["dvc", "repro", "--force", "--single-item", stage]
    with subprocess.Popen(
        command, cwd=clone, env=environment(clone), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as victim:
        seen = False
        while not seen:
            assert victim.poll() is None, f"{stage} ended before it could be killed"
            time.sleep(0.001)
            with suppress(FileNotFoundError):  # a folder went while it was looked at
                seen = when()
        dvc = psutil.Process(victim.pid)
        family = [dvc, *dvc.children(recursive=True)]  # not one process group: Jupyter gives kernels their own
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)


@pytest.mark.parametrize("stage", ["prepare", "train@5k-32-plain", "evaluate@5k-32-plain"])
def test_a_stage_killed_while_it_writes_leaves_the_older_outputs_whole(finished, stage):
    before, output = results(finished), finished / FOLDERS[stage]
    kill(finished, stage, when=lambda: any(output.parent.glob(f".{output.name}.part/*")))
    assert results(finished) == before
    assert repro(finished, LAST) == []


@pytest.mark.parametrize(
    ("stage", "parameter", "value"),
    [
        ("train@5k-32-plain", ("variants", "5k-32-plain", "epochs"), 60),
        ("evaluate@5k-32-plain", ("evaluation", "statistics"), "moving"),
    ],
)
def test_a_stage_killed_between_two_outputs_runs_again_and_equal_runs_give_equal_bytes(
    finished, stage, parameter, value
):
    """Of the killed run's outputs, made with another parameter, the first is new; the reports are still the older."""
    before, output = results(finished), finished / FOLDERS[stage]
    params, inode = (finished / "params.yaml").read_text(encoding="utf-8"), output.stat().st_ino
    set_parameter(finished, *parameter, value=value)
    kill(finished, stage, when=lambda: output.is_dir() and output.stat().st_ino != inode)
    (finished / "params.yaml").write_text(params, encoding="utf-8")
    assert results(finished) != before
    assert repro(finished, LAST) == [stage]
    after = results(finished)
    assert sorted(before) == sorted(after)
    assert [name for name in before if before[name] != after[name]] == []
