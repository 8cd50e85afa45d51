"""What survives a crash, a signal and a full budget: runs in processes of their own."""

import json
import random
import re
import signal
import sys
import time

import pytest
from tests.apart import finish

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor SIGTERM for a child")


@UNIX
@pytest.mark.parametrize(("recipe", "wanted"), [("srgan", 4), ("pixel", 3), ("footage", 3)])
def test_killed_at_random_steps_a_run_ends_with_the_bytes_of_one_that_was_not(apart, recipe, wanted):
    """kill -9 at a random moment of a step, ten times in all; weights, snapshot and history are equal to the bit."""
    steps = ["--steps", "400", "--set", '{"checkpoint_minutes": 0.001}']
    whole = apart.start("whole", recipe, *steps)
    kills, moment = 0, random.Random(recipe)
    while kills < wanted:
        before = set(apart.folder.glob("killed-checkpoints/*/ckpt-*.index"))
        victim = apart.start("killed", recipe, *steps)
        while victim.poll() is None and set(apart.folder.glob("killed-checkpoints/*/ckpt-*.index")) <= before:
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.05))
        assert victim.poll() is None, f"it ended before it was killed as often as wanted: {victim.stderr.read()}"
        victim.kill()
        victim.wait()
        kills += 1
        assert not (apart.folder / "killed").exists()
    finish(apart.start("killed", recipe, *steps))
    finish(whole)
    assert apart.files("killed") == apart.files("whole")
    assert {"generator.keras", "snapshot.keras", "history.csv", "step-0000400.png"} <= apart.files("whole").keys()


@UNIX
def test_sigterm_ends_the_step_saves_and_says_how_to_go_on(apart):
    whole = apart.start("whole", "srgan", "--steps", "200")
    stopped = apart.start("stopped", "srgan", "--steps", "200", "--set", '{"checkpoint_minutes": 1000}')
    while not list(apart.folder.glob("stopped-checkpoints/*/ckpt-*.index")):  # the end of the first epoch
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate()
    assert stopped.returncode != 0
    [step] = re.findall(r"SIGTERM came after step (\d+) of 200; run again to go on", said)
    assert list(apart.folder.glob(f"stopped-checkpoints/*/ckpt-{step}.index"))
    assert not (apart.folder / "stopped").exists()
    finish(apart.start("stopped", "srgan", "--steps", "200", "--set", '{"checkpoint_minutes": 1000}'))
    finish(whole)
    assert apart.files("stopped") == apart.files("whole")


def test_a_time_budget_leaves_an_incomplete_run_that_goes_on(apart):
    brief = ["--steps", "30", "--set", '{"time_budget": 1e-6}']
    finish(apart.start("brief", "pixel", *brief))
    assert json.loads(apart.files("brief")["run.json"]) == {"complete": False, "step": 1}
    assert len(apart.history("brief")) == 1
    finish(apart.start("brief", "pixel", *brief))
    assert json.loads(apart.files("brief")["run.json"]) == {"complete": False, "step": 2}
    finish(apart.start("brief", "pixel", "--steps", "30"))
    finish(apart.start("whole", "pixel", "--steps", "30"))
    assert apart.files("brief") == apart.files("whole")
