"""Plan, push, status, pull and stop against the stand-in: what a kill leaves is known, and nothing is pushed twice."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.kaggle.conftest import RUNS
from tests.kaggle_service import SECRETS

from srstudy import StudyError
from srstudy.files import sha256
from srstudy.kaggle import command, pack, pull
from srstudy.kaggle.ledger import Ledger
from srstudy.study import load_study

RECORDS = "models/{0}/generator.keras", "models/{0}/03_train.ipynb", "reports/history/{0}.csv", "reports/runs/{0}.json"


@pytest.fixture
def committed(monkeypatch) -> list[str]:
    """Runs whose stages DVC is told to note; here it only listens."""
    monkeypatch.setattr(pull, "_note", lambda study, name: calls.append(name))
    return (calls := [])


def ledger() -> Ledger:
    return Ledger(Path("build/kaggle/ledger.json"))


def leave(account, slug: str, folder: Path, state: str, **steps: int) -> None:
    """Let a session end: its runs are complete but for those whose steps are given, below 0 where they failed."""
    study, files, runs = load_study("smoke", Path.cwd()), {}, {}
    job = ledger().sessions[slug]
    for name in [name for names in job["cards"].values() for name in names]:
        step = steps.get(name.replace("-", "_"))
        reached = study.run(name).steps if step is None else abs(step)
        runs[name] = {"step": reached, "complete": step is None, "rate": 9.0}
        if step is not None and step < 0:
            runs[name]["failed"] = [*(f"line {number}" for number in range(19)), "error: no such tile"]
        for record in RECORDS if step is None else ("models/checkpoints/{0}/abc/ckpt-1.index",):
            path = folder / record.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{record} of {slug}")
            files[record.format(name)] = sha256(path)
    about = {"slug": slug, "commit": "c", "cards": job["cards"], "inputs": job["inputs"], "image": {}, "state": state}
    (folder / "session.json").write_text(json.dumps({**about, "runs": runs, "files": files}))
    account.kernels[slug].status, account.kernels[slug].output = "COMPLETE", folder


def pushed(account) -> str:
    assert command.main(["push", "--yes"]) == 0
    (slug,) = [slug for slug, one in ledger().sessions.items() if one["state"] in ("queued", "running")]
    return slug


def test_a_plan_is_shown_and_asked_for_and_nothing_is_pushed_without_a_yes(account, project, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert command.main(["push"]) == 1
    said = capsys.readouterr().out
    assert all(name in said for name in RUNS)
    assert "quota: 29.0 h left this week, 29.0 h after session 1" in said
    account.used = 29.7
    assert command.main(["push", "--yes"]) == 1
    assert "quota: 0.3 GPU hours are left this week" in capsys.readouterr().err
    assert (account.kernels, account.datasets, ledger().sessions) == ({}, {}, {})


def test_code_that_is_not_committed_is_not_pushed(account, project, capsys):
    (project / "notebooks" / "run.py").write_text("# another\n")
    assert command.main(["push", "--yes"]) == 1
    assert "notebooks/run.py: differs from the commit; commit it" in capsys.readouterr().err


def test_a_session_is_pushed_cut_off_goes_on_and_is_pulled(account, project, tmp_path, committed, capsys):
    first = pushed(account)
    assert command.main(["push", "--yes"]) == 0  # all runs are at work: nothing is left to push
    assert account.started() == {first: 1}
    request = account.kernels[first].request
    assert len(request["datasetDataSources"]) == 3 and len(request["text"]) < 1e6
    assert {name for one in account.datasets.values() for name in one["files"]} >= {"base.pack", "curated-5k-32.hr.npy"}
    leave(account, first, tmp_path / "first", "budget", recommended=1)
    assert command.main(["push", "--yes"]) == 1
    assert "has ended; run `make kaggle-pull` first" in capsys.readouterr().err
    assert command.main(["pull"]) == 0
    assert sorted(committed) == sorted(RUNS[:2])
    assert "recommended: step 1 of" in capsys.readouterr().out
    second = pushed(account)
    assert account.kernels[second].request["kernelDataSources"] == [f"someone/{first}"]
    assert ledger().sessions[second]["cards"] == {"0,1": [], "0": ["recommended"], "1": []}
    leave(account, second, tmp_path / "second", "complete")
    assert command.main(["pull"]) == 0
    for name in RUNS:
        texts = {Path(record.format(name)).read_text().split(" of ")[1] for record in RECORDS}
        assert texts == {second if name == "recommended" else first}
    assert ledger().progress == {}
    assert command.main(["plan"]) == 0
    assert "9.00 measured" in capsys.readouterr().out
    assert not [secret for secret in SECRETS for path in Path("build").rglob("*") if path.is_file()
                if secret.encode() in path.read_bytes()]  # fmt: skip


def test_what_came_half_is_not_put_in_place_and_comes_with_the_next_pull(account, project, tmp_path, committed, capsys):
    leave(account, pushed(account), tmp_path / "left", "complete")
    account.faults["download"] = [None, "half"]
    assert command.main(["pull"]) == 1
    assert "did not come whole; run `make kaggle-pull` again" in capsys.readouterr().err
    assert not Path(f"reports/runs/{RUNS[0]}.json").exists() or committed
    assert command.main(["pull"]) == 0
    assert all(Path(record.format(name)).is_file() for record in RECORDS for name in RUNS)


def test_what_was_trained_on_other_settings_is_left(account, project, tmp_path, committed, capsys, monkeypatch):
    leave(account, pushed(account), tmp_path / "left", "complete")
    inputs = Path(f"build/inputs/train-{RUNS[0]}.json")  # as it was when that was pushed, until DVC is asked
    monkeypatch.setattr(command, "refresh", lambda study: inputs.write_text("changed"))
    assert command.main(["pull"]) == 0
    assert f"{RUNS[0]}: was pushed with other settings" in capsys.readouterr().out
    assert not Path("models", RUNS[0]).exists() and Path("models", RUNS[1]).is_dir()


def test_what_was_pulled_and_undone_comes_again_from_its_session(account, project, tmp_path, committed, capsys):
    first = pushed(account)
    leave(account, first, tmp_path / "first", "budget", recommended=1)
    assert command.main(["pull"]) == 0
    shutil.rmtree(Path("models", RUNS[0]))
    leave(account, second := pushed(account), tmp_path / "second", "complete")
    left = tmp_path / "second" / "session.json"
    manifest = json.loads(left.read_text())
    manifest["runs"][RUNS[0]]["earlier"] = first
    left.write_text(json.dumps(manifest))
    assert command.main(["pull"]) == 0
    assert f"{RUNS[0]}: was complete in {first} already, and comes from there" in capsys.readouterr().out
    texts = [Path(f"models/{name}/generator.keras").read_text().split(" of ")[1] for name in (RUNS[0], "recommended")]
    assert texts == [first, second] and ledger().progress == {}


def test_a_complete_run_whose_session_is_gone_is_told_of(project):
    study, known, name = load_study("smoke", project), ledger(), RUNS[0]
    manifest = {"slug": "b", "state": "complete", "inputs": {name: pull.inputs_of(study, name)}}
    manifest["runs"] = {name: {"complete": True, "step": 8, "rate": 0.0, "earlier": "a"}}
    said = pull._settle(study, known, manifest, name, project)
    assert said == f"{name}: was complete in a, which is gone; `make kaggle` trains it anew." and known.sessions == {}


def test_what_dvc_can_not_do_is_said(project):
    with pytest.raises(StudyError, match=r"`dvc status` failed: .*; mend that"):
        pull.dvc(load_study("smoke", project), "status")  # it has not begun here
    with pytest.raises(StudyError, match="tenth is not run by DVC"):
        pull.refresh(load_study("tenth", project))


def test_the_weights_of_every_content_loss_travel(project):
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for name in ("srgan", "recommended"):
        params["profiles"]["smoke"]["recipes"][name].setdefault("content", {})["weights"] = f"data/{name}.npz"
        Path(f"data/{name}.npz").write_bytes(b"weights")
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    inside = zipfile.ZipFile(pack._base(load_study("smoke", project), Path("build"))).namelist()
    assert {"data/srgan.npz", "data/recommended.npz"} <= {*inside}


def test_a_run_begins_anew_on_request(account, project, tmp_path, committed):
    leave(account, pushed(account), tmp_path / "first", "budget", recommended=1)
    assert command.main(["pull"]) == 0 and ledger().progress
    assert command.main(["push", "--yes", "--anew"]) == 0
    (slug,) = [slug for slug, one in ledger().sessions.items() if one["state"] != "pulled"]
    assert account.kernels[slug].request.get("kernelDataSources", []) == [] and ledger().progress == {}


def test_of_two_checkpoints_the_further_is_gone_on_with_whichever_is_pulled_last(project):
    study, known, name = load_study("smoke", project), ledger(), RUNS[0]
    for step in (30, 20):
        manifest = {"slug": f"at-{step}", "state": "complete", "inputs": {name: pull.inputs_of(study, name)}}
        manifest["runs"] = {name: {"complete": False, "step": step, "rate": 0.0}}
        pull._settle(study, known, manifest, name, project)
    assert known.progress[name]["slug"] == "at-30"


def test_failures_are_told_apart(account, project, tmp_path, committed, capsys):
    slug = pushed(account)
    leave(account, slug, tmp_path / "code", "failed", recommended=-1)
    assert command.main(["pull"]) == 1  # the code's, with twenty lines; the other runs are pulled
    said = capsys.readouterr().err
    assert "recommended: failed on Kaggle; the last lines of its log:\nline 0\n" in said
    assert "error: no such tile" in said
    assert Path("models", RUNS[0]).is_dir()
    slug = pushed(account)
    account.kernels[slug].status = "ERROR"  # the machine's: it is pushed again
    assert command.main(["pull"]) == 0
    assert "Kaggle's machine failed; `make kaggle` pushes its runs again" in capsys.readouterr().out
    slug = pushed(account)
    account.kernels[slug].status, account.kernels[slug].log = "ERROR", "RuntimeError: This is not what was asked for"
    assert command.main(["pull"]) == 1
    assert "its notebook failed; the last lines of its log:\nRuntimeError" in capsys.readouterr().err


def test_stop_says_what_is_lost_and_asks_and_deletes(account, project, monkeypatch, capsys):
    slug, answers = pushed(account), ["n", "y"]
    monkeypatch.setattr("builtins.input", lambda _: answers.pop(0))
    assert (command.main(["stop"]), account.deleted) == (0, [])
    assert "can't stop a session but by deleting its notebook, with all that it has saved" in capsys.readouterr().out
    assert (command.main(["stop"]), account.deleted, ledger().sessions[slug]["state"]) == (0, [slug], "gone")


def test_sessions_that_the_ledger_does_not_know_are_found(account, project, capsys):
    slug = pushed(account)
    shutil.rmtree("build/kaggle")
    assert command.main(["status"]) == 0
    assert f"{slug}  running" in capsys.readouterr().out
    assert command.main(["push", "--yes"]) == 1  # what it trains is not known
    del account.kernels[slug]
    assert command.main(["status"]) == 0
    assert f"{slug}  gone" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="no fork and no SIGKILL")
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_random_it_leaves_nothing_unknown_and_pushes_nothing_twice(account, project, seed, monkeypatch):
    """kill -9 after a random number of requests, before or after Kaggle acts on one; then the command once more."""
    command.Service()  # imported once, before the processes are copied
    moment, hold = random.Random(seed), threading.Event()
    operation = moment.choice(["save_kernel", "save_kernel", "create_dataset", "list_kernels", "get_dataset_status"])
    real, victims = getattr(account, operation), []

    when = moment.choice(["before", "after", "never"])

    def acts(body):
        if not victims:
            return real(body)
        answer = real(body) if when == "after" else None
        os.kill(victims.pop(), signal.SIGKILL)
        hold.wait(moment.uniform(0, 0.05))
        return 503 if when == "never" else answer or real(body)

    process = multiprocessing.get_context("fork").Process(target=command.main, args=(["push", "--yes"],))
    setattr(account, operation, acts)
    process.start()
    victims.append(process.pid)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    command.main(["push", "--yes"])
    assert list(account.started().values()) == [1]
    known = {slug: one["state"] for slug, one in ledger().sessions.items() if one["state"] != "gone"}
    assert known.keys() == account.kernels.keys() and set(known.values()) <= {"queued", "running"}


def test_a_push_that_is_refused_or_arrives_late_is_known_for_what_it_is(account, project, capsys):
    account.faults["save_kernel"] = [{"error": "no"}]
    assert command.main(["push", "--yes"]) == 1
    (slug,) = ledger().of("gone")
    account.save_kernel({"slug": f"someone/{slug}", "text": ""})
    assert command.main(["push", "--yes"]) == 0  # all of its runs are at work
    assert (account.started(), ledger().sessions[slug]["state"]) == ({slug: 1}, "running")
