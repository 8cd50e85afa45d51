"""A profile with a folder of its own, run by `notebooks/chain.py`: stopped, taken up again, and left as it is."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from clones import environment, results, run

pytestmark = pytest.mark.slow
PLAIN, TINY = "srgan-5k-32-plain", {"folder": True, "extends": "smoke", "seeds": 2}


@pytest.fixture(scope="module")
def chained(clone) -> Path:
    """A clone in which the chain was stopped in its first training, then ran to the end."""
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    others = dict.fromkeys(name for name in params["variants"] if name != PLAIN)
    params["profiles"]["tiny"] = {**TINY, "variants": others}
    params["released"] = {}
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "notebooks/chain.py", "tiny"]
    # In a group of its own, as from a shell: the signal goes to the chain alone, which passes it on.
    options = {"cwd": clone, "env": environment(clone), "stderr": subprocess.PIPE, "text": True}
    started = subprocess.Popen([*command, "--at-once", "1"], **options)
    while "steps/s" not in (line := started.stderr.readline()):
        assert line, "it ended before a step was made"
    started.send_signal(signal.SIGTERM)
    error = started.communicate()[1].splitlines()[-1]
    assert re.fullmatch(r"error: .*(SIGTERM).*run (it )?again to go on\.", error), error
    assert started.returncode == 1
    assert not (clone / "reports/tiny/runs").exists()
    run(clone, *command, "--at-once", "2")
    return clone


@pytest.mark.skipif(os.name != "posix", reason="no signals to send")
def test_every_run_is_trained_and_judged_under_each_seed(chained):
    reports = chained / "reports" / "tiny"
    for name in (PLAIN, f"{PLAIN}-seed2"):
        assert set(pd.read_csv(reports / "scores" / f"{name}.csv").run) == {name}
    one, other = (pd.read_csv(reports / "scores" / f"{name}.csv").psnr_y for name in (PLAIN, f"{PLAIN}-seed2"))
    assert not one.equals(other)
    assert (reports / "05_report.ipynb").is_file()
    assert not (chained / "reports" / "scores").exists()  # the folders of other profiles stay as they are
    assert not (chained / "data" / "manifest.parquet").exists()


@pytest.mark.skipif(os.name != "posix", reason="no signals to send")
def test_what_is_done_is_not_done_again_and_the_hours_left_are_said(chained):
    before = results(chained)
    said = run(chained, sys.executable, "notebooks/chain.py", "tiny", "--left").stdout
    assert said == "tiny: 2 of 2 runs are trained; left: about 0.0 hours.\n"
    (chained / "reports/tiny/runs" / f"{PLAIN}-seed2.json").unlink()
    (chained / "models/tiny" / f"{PLAIN}-seed2" / "generator.keras").unlink()
    said = run(chained, sys.executable, "notebooks/chain.py", "tiny", "--left").stdout
    assert re.fullmatch(r"tiny: 1 of 2 runs are trained; left: about 0\.0 hours\.\n", said)
    said = run(chained, sys.executable, "notebooks/chain.py", "tiny").stdout
    assert said.count("runs are trained") == 2  # at the beginning, and before the one that is made anew
    after = results(chained)
    minutes = [left.pop("reports/tiny/minutes.csv") for left in (before, after)]
    assert minutes[0] != minutes[1] and after == before  # an equal run gives equal bytes, and takes its time


def test_no_run_at_once_is_refused(root):
    done = run(root, sys.executable, "notebooks/chain.py", "tenth", "--at-once", "0", check=False)
    assert done.returncode == 2 and done.stderr.endswith("error: --at-once: give 1 or more\n")


def test_a_profile_without_a_folder_is_refused(root):
    done = run(root, sys.executable, "notebooks/chain.py", "sample", check=False)
    assert done.returncode == 1
    assert done.stderr == "error: profiles.sample: has no `folder: true`; run `make study` under this profile.\n"
