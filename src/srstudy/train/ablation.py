"""What each ingredient of a recipe is worth: the recipe as it is, and with one thing changed, at equal time."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from srstudy import StudyError
from srstudy.sets.tiles import Tiles, training_tiles
from srstudy.settings import Recipe, Training
from srstudy.study import Run, Study
from srstudy.train.fit import train
from srstudy.train.history import Validation

PROBE_STEPS = 24  # steps that show how long a step takes, by the second half of them
SHOWN = ("psnr_y", "perceptual", "shift_a", "shift_b")


def variations(study: Study) -> Iterator[tuple[str, Run]]:
    """The run as it is under several seeds, then with each change under the first seed, by name.

    A change that changes nothing, as some do under the paper profile, is left out.
    """
    run = study.run(study.ablation.variant)
    for seed in range(run.seed, run.seed + study.ablation.seeds):
        yield f"as it is, seed {seed}", replace(run, seed=seed)
    for name, recipe in study.arms.items():
        if recipe != run.recipe:
            warm_start = study.run(recipe.warm_start) if recipe.warm_start else None
            camera = study.degradations.get(recipe.degradation)
            yield name, replace(run, recipe=recipe, warm_start=warm_start, camera=camera)


def ablate(study: Study, validation_of: Callable[[Recipe], Validation]) -> pd.DataFrame:
    """Train each variation for about `ablation.seconds`; a row each: arm, steps, seconds, last validation figures.

    How many steps the time holds is measured first, so that a schedule ends when its run does.
    """
    rows, tiles = [], training_tiles(study, study.run(study.ablation.variant))
    for name, run in variations(study):
        steps = max(1, int(study.ablation.seconds / step_seconds(run, tiles, study.training)))
        last = history_of(run, tiles, study.training, steps, validation_of(run.recipe))[-1]
        row = {"arm": name, "steps": steps, "seconds": round(last["seconds"], 1)}
        rows.append(row | {key: last[key] for key in SHOWN})
    return pd.DataFrame(rows)


def step_seconds(run: Run, tiles: Tiles, settings: Training) -> float:
    """Seconds of one training step on these devices, its input included."""
    history = history_of(run, tiles, settings, PROBE_STEPS)
    return float(np.median(np.diff([row["seconds"] for row in history])[PROBE_STEPS // 2 - 1 :]))


def history_of(
    run: Run, tiles: Tiles, settings: Training, steps: int, validation: Validation | None = None
) -> list[dict[str, float]]:
    """The history of a run that leaves nothing else. Raises StudyError if it did not reach its end."""
    keras.utils.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        run = replace(run, steps=steps, epoch_steps=steps, snapshot_step=None, checkpoints=Path(folder))
        trained = train(run, tiles, settings.model_copy(update={"time_budget": None}), validation)
    if not trained.complete:
        raise StudyError(f"ablation: {trained.outcome()}")
    return trained.history
