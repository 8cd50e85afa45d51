"""What a run leaves to be read besides its model: history, rates, and whether it reached its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from dvclive import Live
from scmrepo.exceptions import SCMError

from srstudy import runtime
from srstudy.config import Study
from srstudy.figures.common import save_figure
from srstudy.figures.training import rate_curves
from srstudy.files import write_csv, write_json
from srstudy.judge.metrics import RATES
from srstudy.train.training import Trained


def write_records(study: Study, name: str, trained: Trained, flops: float) -> None:
    """Write `reports/history/NAME.csv`, `reports/runs/NAME.json`, and `reports/rates/NAME.csv` with its picture.

    `flops` are a step's. Rates differ between equal runs, so they have files of their own; `gflops` are 10^9 operations
    per second. What a released model's predecessor scored on other test sets goes: a card must not have it. A camera
    that made LR is recorded with the recipe.
    """
    if not runtime.is_chief():
        return
    recipe, reports = study.recipe(name), study.root / "reports"
    history, batch_size = pd.DataFrame(trained.history), recipe.batch_size
    rates = history[["step", *RATES]].assign(gflops=history.images_per_second * flops / batch_size / 1e9)
    write_csv(reports / "history" / f"{name}.csv", history.drop(columns=list(RATES)))
    write_csv(reports / "rates" / f"{name}.csv", rates.round(3))
    gflop, seconds = flops / 1e9, seconds_trained(rates, batch_size)
    mean = rates.step.iloc[-1] * gflop / seconds
    title = f"{name}: {gflop:.3g} GFLOP a step, {mean:.3g} a second on average; {seconds / 60:.1f} minutes of steps"
    profile = "" if name in study.on_sample else f" ({study.profile_name} profile)"  # which is nothing to those
    save_figure(rate_curves(rates, title + profile), reports / "rates" / f"{name}.svg")
    summary = {"complete": trained.complete, "step": trained.step, "steps": trained.steps}
    if trained.not_finite:
        summary["not_finite"] = trained.not_finite
    summary["recipe"], camera = _given(asdict(recipe)), study.camera(recipe)
    if camera:
        summary["camera"] = asdict(camera)
    write_json(reports / "runs" / f"{name}.json", summary)
    if name in study.released:
        _forget_test_sets(reports / "test_sets", name)


def _forget_test_sets(folder: Path, name: str) -> None:
    """Remove what a model scored on test sets other than the study's, and the images that it enlarged there."""
    for record in (*folder.glob(f"*/scores/{name}.csv"), *folder.glob(f"*/metrics/{name}.json")):
        record.unlink()
    for enlarged in folder.glob(f"*/sr/{name}"):
        shutil.rmtree(enlarged)


def _given(section: dict[str, Any]) -> dict[str, Any]:
    """A recipe without what it does not use."""
    given = {key: _given(value) if isinstance(value, dict) else value for key, value in section.items()}
    return {key: value for key, value in given.items() if value is not None}


def seconds_trained(rates: pd.DataFrame, batch_size: int) -> float:
    """How long a run's steps took, whatever interrupted it; `rates` as in `reports/rates`. Validations don't count.

    What `stood_still` counts at the median rate.
    """
    images = batch_size * rates.step.diff().fillna(rates.step)
    rate = rates.images_per_second
    return float((images / rate.mask(stood_still(rates), rate.median())).sum())


def stood_still(rates: pd.DataFrame) -> pd.Series:
    """Which stretches of a run were over twenty times slower than the median: process or machine slept meanwhile.

    The first one, in which TensorFlow compiles the step, has been up to 13 times slower by itself.
    """
    return rates.images_per_second < rates.images_per_second.median() / 20


def live_log(study: Study, name: str) -> Callable[[dict[str, float]], None]:
    """A function that puts a row of history into DVCLive's folder `models/live/NAME`, which is emptied first.

    Of several workers the first alone writes, and none where git has no commit yet, without which DVCLive can't do.
    """
    if not runtime.is_chief():
        return lambda row: None
    folder = study.root / "models" / "live" / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        live = Live(folder, report=None, save_dvc_exp=False, dvcyaml=None)
    except SCMError:
        return lambda row: None

    def log(row: dict[str, float]) -> None:
        live.step = int(row["step"])
        for key, value in row.items():
            if key != "step":
                live.log_metric(key, value)
        live.make_summary()

    return log
