"""What each ingredient of a recipe is worth: the recipe as it is, and with one thing changed, at equal time."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import pandas as pd

from srstudy.sets.tiles import Tiles, training_tiles
from srstudy.settings import Recipe, Training
from srstudy.study import Run, Study
from srstudy.train.fit import train
from srstudy.train.history import Validation

PROBE_STEPS, TRIES, NEAR = 24, 4, 0.05  # of an arm: steps of the first training, trainings at most, error of its time
SHOWN = ("psnr_y", "perceptual", "shift_a", "shift_b")


def variations(study: Study) -> Iterator[tuple[str, Run]]:
    """The run as it is under several seeds, then with each change under the first seed, by name.

    Seeds are those of this training alone: its warm start stays the same. A change that changes nothing, as some do
    under the paper profile, is left out.
    """
    run = study.run(study.ablation.variant)
    for seed in range(run.seed, run.seed + study.ablation.seeds):
        yield f"as it is, {'fine-tuning ' if run.warm_start else ''}seed {seed}", replace(run, seed=seed)
    for name, recipe in study.arms.items():
        if recipe != run.recipe:
            warm_start = study.run(recipe.warm_start) if recipe.warm_start else None
            camera = study.degradations.get(recipe.degradation)
            yield name, replace(run, recipe=recipe, warm_start=warm_start, camera=camera)


def ablate(study: Study, validation_of: Callable[[Recipe], Validation]) -> pd.DataFrame:
    """Train each variation for `ablation.seconds`; a row each: arm, steps, their seconds, last validation figures."""
    rows, tiles = [], training_tiles(study, study.run(study.ablation.variant))
    for name, run in variations(study):
        history = timed(run, tiles, study.training, study.ablation.seconds, validation_of(run.recipe))
        row = {"arm": name, "steps": history[-1]["step"], "seconds": round(seconds_of(history), 1)}
        rows.append(row | {key: history[-1][key] for key in SHOWN})
    return pd.DataFrame(rows)


def timed(run: Run, tiles: Tiles, settings: Training, seconds: float, validation: Validation) -> list[dict[str, float]]:
    """The history of a run whose steps took about so many seconds: it is made again with as many as would have fitted,
    until they do, because a schedule has to know its end from the beginning.
    """
    steps, found = PROBE_STEPS, []
    while len(found) < TRIES and not (found and abs(seconds_of(found[-1]) / seconds - 1) <= NEAR):
        found.append(history_of(run, tiles, settings, steps, validation))
        steps = max(2, round(steps * seconds / seconds_of(found[-1])))
    return min(found, key=lambda history: abs(seconds_of(history) - seconds))


def seconds_of(history: list[dict[str, float]]) -> float:
    """Of a run's steps alone: those of the first row, in which TensorFlow compiles, count at the pace of the others."""
    first, last = history[0], history[-1]
    return last["step"] * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def history_of(
    run: Run, tiles: Tiles, settings: Training, steps: int, validation: Validation | None = None
) -> list[dict[str, float]]:
    """The history of a run that leaves nothing else. Raises NotFinite where a loss or a gradient is not."""
    keras.utils.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        run = replace(run, steps=steps, epoch_steps=steps, snapshot_step=None, checkpoints=Path(folder))
        return train(run, tiles, settings.model_copy(update={"time_budget": None}), validation).history
