"""What a run leaves to be read: history and rates apart, whether it is complete, and what the report makes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from srstudy.errors import StudyError
from srstudy.files import write_csv, write_json
from srstudy.report.scores import runs_table
from srstudy.train.records import live_log, seconds_trained, write_records
from srstudy.train.training import Trained

ROW = {"step": 10, "generator": 0.5, "real_accuracy": 1.0, "fake_accuracy": 1.0}
RATES = {"images_per_second": 3.0, "memory_gb": 1.5}


@pytest.fixture
def study(tiny_study):
    return tiny_study.load()


def trained(step: int, tmp_path) -> Trained:
    return Trained(None, [{**ROW, **RATES}], [], step, 20, None, tmp_path)


def test_what_differs_between_equal_runs_is_kept_apart(study, tmp_path):
    write_records(study, "recommended", trained(20, tmp_path), 8e9)
    history = pd.read_csv(study.root / "reports" / "history" / "recommended.csv")
    rates = pd.read_csv(study.root / "reports" / "rates" / "recommended.csv")
    assert list(history) == list(ROW)
    assert rates.iloc[0].to_dict() == {"step": 10, **RATES, "gflops": 6.0}  # 3 images/s, 8 GFLOP for 4


def test_what_a_run_cost_is_drawn_beside_its_rates(study, tmp_path):
    write_records(study, "recommended", trained(20, tmp_path), 8e9)
    picture = (study.root / "reports" / "rates" / "recommended.svg").read_text(encoding="utf-8")
    # 40 images at 3 a second
    assert "recommended: 8 GFLOP a step, 6 a second on average; 0.2 minutes of steps (sample profile)" in picture
    assert "GFLOP per second" in picture


def test_the_time_of_a_run_is_that_of_its_steps():
    """100 steps of 4 images at 8 a second, 50 more at 2 a second."""
    rates = pd.DataFrame({"step": [100, 150], "images_per_second": [8.0, 2.0]})
    assert seconds_trained(rates, 4) == pytest.approx(50 + 100)


def test_a_stretch_in_which_the_machine_stood_still_counts_at_the_median():
    rates = pd.DataFrame({"step": [100, 200, 300, 400, 500], "images_per_second": [0.8, 8.0, 0.1, 8.0, 8.0]})
    assert seconds_trained(rates, 4) == pytest.approx(500 + 50 + 50 + 50 + 50)  # the first compiles, and counts whole


def test_a_camera_that_made_lr_is_recorded_with_the_recipe(study, tmp_path):
    for name in ("recommended-cctv", "recommended-gan"):
        write_records(study, name, trained(20, tmp_path), 8e9)
    camera, none = (
        json.loads((study.root / "reports" / "runs" / f"{name}.json").read_text(encoding="utf-8")).get("camera")
        for name in ("recommended-cctv", "recommended-gan")
    )
    assert camera["jpeg"]["quality"] == list(study.degradations["cctv"].jpeg.quality)
    assert none is None


def test_a_run_that_was_no_longer_finite_is_recorded_and_reported_with_its_step(study, tmp_path):
    for name in study.variants:
        write_records(study, name, replace(trained(12, tmp_path), not_finite=17), 8e9)
    table = runs_table(study)
    assert set(table["what the guards saw"]) == {"loss or gradient not finite (step 17)"}
    assert table.complete.str.startswith("NO").all()


@pytest.mark.parametrize(("step", "complete"), [(20, True), (12, False)])
def test_a_run_that_did_not_reach_its_epochs_says_so(study, tmp_path, step, complete):
    write_records(study, "recommended", trained(step, tmp_path), 8e9)
    run = json.loads((study.root / "reports" / "runs" / "recommended.json").read_text(encoding="utf-8"))
    recipe = run.pop("recipe")
    assert run == {"complete": complete, "step": step, "steps": 20}
    assert recipe["generator"]["kind"] == "residual"
    assert recipe["batch_size"] == study.recipe("recommended").batch_size
    assert "warm_start" in recipe  # in this profile it has one
    assert "precision" not in recipe


def test_what_another_model_of_that_name_scored_is_no_longer_there(study, tmp_path):
    folder = study.root / "reports" / "test_sets" / "set5-hr"
    for name in ("recommended-psnr", "recommended"):
        write_csv(folder / "scores" / f"{name}.csv", pd.DataFrame())
        write_json(folder / "metrics" / f"{name}.json", {})
        (folder / "sr" / name).mkdir(parents=True)
        write_records(study, name, trained(20, tmp_path), 8e9)
    left = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    # A variant has no card.
    assert left == ["metrics/recommended.json", "scores/recommended.csv", "sr/recommended"]


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
