"""What each ingredient of a recipe is worth: the recipe as it is, and with one thing changed, at equal time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from srstudy import devices
from srstudy.config import Study
from srstudy.dataset import batches
from srstudy.players import make_players
from srstudy.settings import Recipe
from srstudy.step import Update
from srstudy.tiles import Tiles, training_tiles
from srstudy.training import Run, train
from srstudy.watch import Validation

WARM_UP = 3  # steps before the clock starts
SHOWN = ("psnr_y", "perceptual", "shift_a", "shift_b")


def arms(study: Study) -> Iterator[tuple[str, Recipe, int]]:
    """(name, recipe, seed) of every arm: the recipe as it is under several seeds, then each change under the first."""
    recipe = study.recipe(study.ablation.variant)
    yield from ((f"as it is, seed {study.seed + n}", recipe, study.seed + n) for n in range(study.ablation.seeds))
    yield from ((name, changed, study.seed) for name, changed in study.arms.items())


def ablate(study: Study, validation_of: Callable[[Recipe], Validation]) -> pd.DataFrame:
    """Train every arm for `ablation.seconds`; a row each: arm, steps, and its validation figures at the end.

    Equal time, not equal steps: an ingredient pays for what it costs. How many steps the time holds is measured
    first, so that a schedule ends when its run does. The rows differ between equal runs, as a machine's speed does.
    """
    tiles, rows = training_tiles(study, study.ablation.variant), []
    for name, recipe, seed in arms(study):
        keras.utils.clear_session()
        start = study.model_folder(recipe.warm_start) / "generator.keras" if recipe.warm_start else None
        steps = max(1, int(study.ablation.seconds / step_seconds(recipe, tiles, start)))
        with tempfile.TemporaryDirectory() as folder:
            run = Run(recipe, tiles, steps, epoch_steps=steps, seed=seed, checkpoints=Path(folder), warm_start=start)
            last = train(run, study.training, validation_of(recipe)).history[-1]
        rows.append({"arm": name, "steps": steps, **{key: last[key] for key in SHOWN}})
    return pd.DataFrame(rows)


def step_seconds(recipe: Recipe, tiles: Tiles, warm_start: Path | None, least: float = 4.0) -> float:
    """Seconds of one training step with its input, measured over `least` seconds or more."""
    players = make_players(recipe, 4 * (recipe.crop or tiles.lr.shape[1]), 1000, warm_start)
    strategy = tf.distribute.get_strategy()
    update = Update(recipe, players, 1000, strategy)
    read = partial(batches, tiles, 0, recipe.batch_size, stop=10**9, crop=recipe.crop, flips=recipe.flips)
    stream, done, began = iter(devices.distributed(strategy, partial(read, start=0))), 0, time.perf_counter()
    while done <= WARM_UP or time.perf_counter() - began < least:
        update(*next(stream), done + 1)
        update.check()  # waits for the step
        done += 1
        if done == WARM_UP:
            began = time.perf_counter()
    return (time.perf_counter() - began) / (done - WARM_UP)
