"""What each ingredient of a recipe is worth: the recipe as it is, and with one thing changed, at equal time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.data.tiles import Tiles, training_tiles
from srstudy.errors import StudyError
from srstudy.settings import Recipe
from srstudy.train.training import Run, train
from srstudy.train.watch import Validation

PROBE_STEPS = 24  # steps that show how long a step takes, by the second half of them
SHOWN = ("psnr_y", "perceptual", "shift_a", "shift_b")


def arms(study: Study) -> Iterator[tuple[str, Recipe, int]]:
    """(name, recipe, seed) of every arm: the recipe as it is under several seeds, then each change under the first.

    A change that changes nothing, as some do under the paper profile, is left out.
    """
    recipe = study.recipe(study.ablation.variant)
    yield from ((f"as it is, seed {study.seed + n}", recipe, study.seed + n) for n in range(study.ablation.seeds))
    yield from ((name, changed, study.seed) for name, changed in study.arms.items() if changed != recipe)


def ablate(study: Study, validation_of: Callable[[Recipe], Validation]) -> pd.DataFrame:
    """Train every arm for about `ablation.seconds`; a row each: arm, steps, seconds, validation figures at the end.

    Equal time, not equal steps: an ingredient pays for what it costs. How many steps the time holds is measured
    first, so that a schedule ends when its run does. The rows differ between equal runs, as a machine's speed does.
    """
    tiles, rows = training_tiles(study, study.ablation.variant), []
    for name, recipe, seed in arms(study):
        steps = max(1, int(study.ablation.seconds / step_seconds(study, recipe, tiles)))
        history = train_arm(study, recipe, tiles, steps, seed, validation_of(recipe))
        seconds = np.diff([0, *(row["step"] for row in history)]) / _steps_per_second(history, recipe)
        last = {key: history[-1][key] for key in SHOWN}
        rows.append({"arm": name, "steps": steps, "seconds": round(float(seconds.sum()), 1), **last})
    return pd.DataFrame(rows)


def step_seconds(study: Study, recipe: Recipe, tiles: Tiles) -> float:
    """Seconds of one training step on these devices, its input included."""
    history = train_arm(study, recipe, tiles, PROBE_STEPS, study.seed)
    return float(1 / np.median(_steps_per_second(history, recipe)[PROBE_STEPS // 2 :]))


def train_arm(
    study: Study, recipe: Recipe, tiles: Tiles, steps: int, seed: int, validation: Validation | None = None
) -> list[dict[str, float]]:
    """The history of a run that leaves nothing else. Raises StudyError if it did not reach its end."""
    keras.utils.clear_session()
    start = study.model_folder(recipe.warm_start) / "generator.keras" if recipe.warm_start else None
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            recipe, tiles, steps, epoch_steps=steps, seed=seed, checkpoints=Path(folder), warm_start=start,
            camera=study.camera(recipe),
        )  # fmt: skip
        trained = train(run, replace(study.training, time_budget=None), validation)
    if not trained.complete:
        raise StudyError(f"ablation: {trained.outcome}")
    return trained.history


def _steps_per_second(history: list[dict[str, float]], recipe: Recipe) -> np.ndarray:
    return np.array([row["images_per_second"] for row in history]) / recipe.batch_size
