"""What a run leaves to be read: history and rates apart, whether it is complete, and what the report makes of it."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from srstudy.errors import StudyError
from srstudy.files import write_csv, write_json
from srstudy.records import live_log, write_records
from srstudy.report import runs_table
from srstudy.training import Trained

ROW = {"step": 10, "generator": 0.5, "real_accuracy": 1.0, "fake_accuracy": 1.0}
RATES = {"images_per_second": 3.0, "memory_gb": 1.5}


@pytest.fixture
def study(tiny_study):
    return tiny_study.load()


def trained(step: int, tmp_path) -> Trained:
    return Trained(None, [{**ROW, **RATES}], [], step, 20, None, tmp_path)


def test_what_differs_between_equal_runs_is_kept_apart(study, tmp_path):
    write_records(study, "recommended", trained(20, tmp_path), 2e9)
    history = pd.read_csv(study.root / "reports" / "history" / "recommended.csv")
    rates = pd.read_csv(study.root / "reports" / "rates" / "recommended.csv")
    assert list(history) == list(ROW)
    assert rates.iloc[0].to_dict() == {"step": 10, **RATES, "gflops": 6.0}


@pytest.mark.parametrize(("step", "complete"), [(20, True), (12, False)])
def test_a_run_that_did_not_reach_its_epochs_says_so(study, tmp_path, step, complete):
    write_records(study, "recommended", trained(step, tmp_path), 2e9)
    run = json.loads((study.root / "reports" / "runs" / "recommended.json").read_text(encoding="utf-8"))
    assert run == {"complete": complete, "step": step, "steps": 20}


def test_the_report_names_unfinished_runs_and_what_the_guards_saw(study):
    won = pd.DataFrame([{**ROW, "step": 10 * number} for number in range(1, 12)])
    for name in study.variants:
        write_json(study.root / "reports" / "runs" / f"{name}.json", {"complete": True, "step": 20, "steps": 20})
        write_csv(study.root / "reports" / "history" / f"{name}.csv", won.assign(real_accuracy=0.7))
    write_json(study.root / "reports" / "runs" / "recommended.json", {"complete": False, "step": 9, "steps": 20})
    write_csv(study.root / "reports" / "history" / "5k-32-plain.csv", won)
    table = runs_table(study).set_index("run")
    assert table.complete["recommended"].startswith("NO")
    assert table.steps["recommended"] == "9 of 20"
    assert set(table.complete.drop("recommended")) == {"yes"}
    assert table["what the guards saw"]["5k-32-plain"] == "discriminator won (step 80, 1.00)"
    assert set(table["what the guards saw"].drop("5k-32-plain")) == {"nothing"}


def test_a_run_not_trained_yet_is_named_with_the_way_out(study):
    with pytest.raises(StudyError, match=r"5k-32-plain\.json: not trained yet; run `dvc repro train@5k-32-plain`"):
        runs_table(study)


def test_a_run_can_be_followed_while_it_trains(study):
    log = live_log(study, "recommended")
    log({**ROW, **RATES})
    log({**ROW, **RATES, "step": 20, "generator": 0.25})
    folder = study.root / "models" / "live" / "recommended"
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["generator"] == 0.25
    table = pd.read_csv(folder / "plots" / "metrics" / "generator.tsv", sep="\t")
    assert list(table.step) == [10, 20]
    assert list(table.generator) == [0.5, 0.25]
