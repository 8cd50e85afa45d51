"""What a run leaves to be read: rows of history, what the guards find in them, and its records."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.tiny import GUARDS, RECIPES, run_of

from srstudy.files import write_csv, write_json
from srstudy.photos.images import read_rgb
from srstudy.train.history import Event, History, Trained, guard_events, row_steps, write_records
from srstudy.train.model import make_models


def history(**columns) -> list[dict[str, float]]:
    """Rows 10, 20, ... of a run, with these columns; None leaves a cell out."""
    count = len(next(iter(columns.values())))
    return [
        {"step": 10 * (row + 1), **{name: values[row] for name, values in columns.items() if values[row] is not None}}
        for row in range(count)
    ]


def accuracies(*values: float) -> list[dict[str, float]]:
    return history(real_accuracy=values, fake_accuracy=values)


HEALTHY = history(
    real_accuracy=[0.7, 0.8, 0.6, 0.7], fake_accuracy=[0.6, 0.7, 0.8, 0.7],
    diversity=[None, 0.9, None, 1.0], shift_a=[None, 1.0, None, 2.0], shift_b=[None, -1.0, None, 1.0],
)  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "events"),
    [
        pytest.param([], [], id="no row"),
        pytest.param(HEALTHY, [], id="a healthy run"),
        pytest.param(accuracies(0.5, 1, 1, 1, 1), [Event(40, "discriminator won", 1.0, 0.99)], id="always right"),
        pytest.param(accuracies(1, 1, 0.5, 1, 1, 0.9), [], id="right for less than patience rows"),
        pytest.param(accuracies(0.1, 0.2, 0.3, 0.3), [Event(30, "discriminator lost", 0.3, 0.3)], id="mostly wrong"),
        pytest.param(
            accuracies(1, 1, 1, 1, 0.5, 1, 1, 1),
            [Event(30, "discriminator won", 1.0, 0.99), Event(80, "discriminator won", 1.0, 0.99)],
            id="fires again only after it was quiet",
        ),
        pytest.param(
            history(diversity=[1.0, None, 0.2, None, 0.1]),
            [Event(30, "output collapsed", 0.2, 0.3)],
            id="all alike",
        ),
        pytest.param(
            history(shift_a=[0, 3], shift_b=[1, -4]), [Event(20, "colour drifts", 5.0, 5.0)], id="a tint of all"
        ),
    ],
)
def test_a_guard_fires_on_a_history_that_went_wrong(rows, events):
    assert guard_events(rows, GUARDS) == events


def test_a_loss_that_is_not_finite_is_an_event_in_its_place():
    won, unfinite = guard_events(accuracies(1, 1, 1, 0.5), GUARDS, not_finite=42)
    assert str(won) == "discriminator won (step 30, 1.00)"
    assert str(unfinite) == "loss or gradient not finite (step 42)"


@pytest.mark.parametrize(
    ("steps", "epoch_steps", "validations", "validated"),
    [
        (100, 10, 10, [*range(10, 101, 10)]),
        (105, 10, 10, [20, 40, 60, 80, 100, 105]),  # at most ten, and the end
        (24, 24, 10, [24]),
        (5, 24, 10, [5]),
        (100, 10, 0, []),
    ],
)
def test_validations_come_at_ends_of_epochs_and_at_the_end(steps, epoch_steps, validations, validated):
    rows, found = row_steps(steps, epoch_steps, validations)
    assert sorted(found) == validated
    assert found <= rows


@pytest.mark.parametrize("steps", [1, 39, 40, 41, 79, 80000])
def test_a_history_has_at_most_40_rows_and_always_the_last(steps):
    rows, _ = row_steps(steps, steps, 0)
    assert len(rows) <= 40
    assert max(rows) == steps


class Reported:
    """An update that reported a loss of 1 in every step."""

    def means(self, count):
        return {"pixel": float(count)}


def test_a_row_has_what_the_steps_reported_and_what_the_validation_found(tmp_path):
    srs = {name: np.full((8, 12, 3), level, np.uint8) for name, level in (("dark", 10), ("light", 200))}
    run, models = run_of(RECIPES["pixel"], tmp_path, steps=400), make_models(RECIPES["pixel"], 24, 400)
    rows = History(run, lambda weights: ({"psnr_y": 30.0}, srs), 1, tmp_path / "strips")
    rows.begin([])
    first, last = rows.add(10, Reported(), models), rows.add(400, Reported(), models)
    assert (first["pixel"], last["pixel"]) == (10, 390)
    assert (first["epoch"], last["psnr_y"]) == (1.25, 30.0)
    assert "psnr_y" not in first
    assert 0 < first["seconds"] < last["seconds"]
    [strip] = (tmp_path / "strips").iterdir()
    assert strip.name == "step-0000400.png"
    expected = np.hstack([srs["dark"][:4, :4], srs["light"][:4, :4]])  # the centres, half as large
    np.testing.assert_array_equal(read_rgb(strip), expected)


def test_the_time_of_steps_goes_on_where_a_run_does(tmp_path):
    rows = History(run_of(RECIPES["pixel"], tmp_path, steps=400), None, 0, tmp_path)
    rows.begin([{"step": 10, "seconds": 100.0}])
    row = rows.add(20, Reported(), None)
    assert row["pixel"] == 10
    assert 100 < row["seconds"] < 110


ROW = {"step": 10, "generator": 0.5, "real_accuracy": 1.0, "fake_accuracy": 1.0}


@pytest.fixture
def study(tiny_study):
    return tiny_study.load()


def record(study, name: str, step: int = 20, **options) -> dict:
    """`reports/runs/NAME.json` of a run of 20 steps that ended after `step`, three minutes in."""
    trained = Trained(None, [{**ROW, "seconds": 90.0}, {**ROW, "seconds": 180.0}], step, 20, None, study.root)
    write_records(study.run(name), replace(trained, **options), study.root / "reports")
    return json.loads((study.root / "reports" / "runs" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("step", "complete"), [(20, True), (12, False)])
def test_a_record_says_how_far_a_run_came_and_by_which_recipe(study, step, complete):
    run = record(study, "recommended", step)
    recipe = run.pop("recipe")
    assert run == {"complete": complete, "step": step, "steps": 20}
    assert recipe["generator"]["kind"] == "residual"
    assert recipe["batch_size"] == study.run("recommended").recipe.batch_size
    assert "warm_start" in recipe  # in this profile it has one
    assert "precision" not in recipe


def test_a_run_that_was_no_longer_finite_is_recorded_with_its_step(study):
    assert record(study, "recommended", 12, not_finite=17)["not_finite"] == 17


def test_a_camera_that_made_lr_is_recorded_with_the_recipe(study):
    cctv, gan = record(study, "cctv"), record(study, "gan")
    assert cctv["camera"]["jpeg"]["quality"] == list(study.degradations["cctv"].jpeg.quality)
    assert "camera" not in gan


def test_what_differs_between_equal_runs_is_recorded_of_those_that_are_trained_once(study):
    assert "minutes" not in record(study, "recommended")
    assert list(pd.read_csv(study.root / "reports" / "history" / "recommended.csv")) == list(ROW)
    assert record(study, "gan")["minutes"] == 3.0
    assert record(study, "residual")["minutes"] == 3.0


def test_what_another_model_of_that_name_scored_is_no_longer_there(study):
    folder = study.root / "reports" / "test_sets" / "set5-hr"
    write_json(folder / "metrics.json", {"recommended-psnr": {"psnr_y": 31.0}, "recommended": {"psnr_y": 30.0}})
    for name in ("recommended-psnr", "recommended"):
        write_csv(folder / "scores" / f"{name}.csv", pd.DataFrame())
        (folder / "sr" / name).mkdir(parents=True)
        record(study, name)
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == ["metrics.json", "scores", "scores/recommended.csv", "sr", "sr/recommended"]
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == {"recommended": {"psnr_y": 30.0}}
