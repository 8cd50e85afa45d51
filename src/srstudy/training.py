"""Training a generator by a recipe: the paper's alternating SRGAN updates, or a pixel loss alone."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from functools import partial
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from srstudy import devices, networks
from srstudy.checkpoints import Checkpoints, fingerprint
from srstudy.dataset import batches
from srstudy.errors import StudyError
from srstudy.files import replacing
from srstudy.guards import Event, guard_events
from srstudy.players import build_generator, make_players, weights_of
from srstudy.settings import Recipe, Training
from srstudy.step import Update
from srstudy.tiles import Tiles
from srstudy.watch import Diary, Validation

TIME_BUDGET = "time budget"


@dataclass(frozen=True)
class Run:
    """What a recipe is trained on, and for how long; `epoch_steps` is how many updates see every image once."""

    recipe: Recipe
    tiles: Tiles
    steps: int
    epoch_steps: int
    seed: int
    checkpoints: Path
    warm_start: Path | None = None
    snapshot_step: int | None = None


@dataclass(frozen=True)
class Trained:
    """What a run leaves: the generator, its history, and the generator at `snapshot_step`.

    `step` is below `steps` when a time budget ended it: then the generator is what it was by then, and the checkpoints
    stay, so that the same call goes on.
    """

    generator: keras.Model
    history: list[dict[str, float]]
    events: list[Event]
    step: int
    steps: int
    snapshot: keras.Model | None
    checkpoints: Path

    @property
    def complete(self) -> bool:
        """Whether the run reached its epochs."""
        return self.step == self.steps

    def events_table(self) -> pd.DataFrame:
        """What the guards saw, a row each."""
        columns = [field.name for field in fields(Event)]
        return pd.DataFrame([astuple(event) for event in self.events], columns=columns)

    def save(self, folder: str | Path) -> None:
        """Write `generator.keras`, `snapshot.keras` and `strips` if there are, into `folder`: all of it or nothing.

        Of several workers the first alone writes. The checkpoints stay until `forget` is called.
        """
        if not devices.is_chief():
            return
        with replacing(folder) as temporary:
            networks.save_model(self.generator, temporary / "generator.keras")
            if self.snapshot is not None:
                networks.save_model(self.snapshot, temporary / "snapshot.keras")
            if (self.checkpoints / "strips").is_dir():
                shutil.copytree(self.checkpoints / "strips", temporary / "strips")

    def forget(self) -> None:
        """Remove a complete run's checkpoints: call it last, when all that the run leaves is written."""
        if self.complete and devices.is_chief():
            shutil.rmtree(self.checkpoints, ignore_errors=True)


def train(
    run: Run,
    settings: Training,
    validation: Validation | None = None,
    log: Callable[[dict[str, float]], None] = lambda row: None,
) -> Trained:
    """Train a generator for `run.steps` updates (paper III, IV); `log` is given every row of history as it comes.

    Interrupted and called again with an equal run, it goes on from the last checkpoint and ends with the same weights
    and history, to the bit. Raises StudyError when a loss is no longer finite, the disk is full, the batch can't be
    divided among the devices, or SIGTERM or Ctrl-C came (after saving where it was).
    """
    recipe, strategy = run.recipe, devices.strategy_for(run.recipe, settings)
    keras.utils.set_random_seed(run.seed)  # the first weights depend on nothing that was built before
    with strategy.scope(), mixed_precision(settings.precision) as policy:
        players = make_players(recipe, 4 * (recipe.crop or run.tiles.lr.shape[1]), run.steps, run.warm_start)
    update = Update(recipe, players, run.steps, strategy)
    result = build_generator(recipe.generator)  # float32, with the averaged weights where a recipe averages them
    read = partial(
        batches, run.tiles, run.seed, recipe.batch_size, stop=run.steps, crop=recipe.crop, flips=recipe.flips
    )
    # Traced before a checkpoint is read, so that a resumed process builds the very graph of an uninterrupted one.
    update.trace(devices.distributed(strategy, partial(read, start=0)).element_spec)
    watched = (settings.validations, validation and validation.identity)
    folder = run.checkpoints / fingerprint(
        recipe, run.tiles, run.seed, run.warm_start, run.steps, run.snapshot_step, policy, watched
    )
    kept = Checkpoints(players, update.sums, folder, settings.keep_checkpoints)
    diary = Diary(
        run.steps, run.epoch_steps, settings.validations, validation, kept.history, folder / "strips", kept.step
    )
    for row in kept.history:
        log(row)
    number = kept.step
    with stop_signal(settings.time_budget) as stopped, progress_bar(run, kept.step) as bar:
        for number, (lr, hr) in enumerate(devices.distributed(strategy, partial(read, start=kept.step)), kept.step + 1):
            update(lr, hr, number)
            bar.update(recipe.batch_size)
            if number == run.snapshot_step and devices.is_chief():
                result.set_weights(weights_of(players))
                networks.save_model(result, folder / "snapshot.keras")
            last = number == run.steps
            if diary.is_due(number):
                row = diary.add(number, update, players, recipe.batch_size)
                bar.set_postfix({name: f"{row[name]:.3g}" for name in update.names})
                log(row)
            reason = None if last else stopped()
            epoch_ends = number % run.epoch_steps == 0
            if reason or last or epoch_ends or number % settings.checkpoint_steps == 0:
                update.check()
                kept.save(number, diary.history)
            if reason == TIME_BUDGET:
                if not diary.is_due(number):  # a row to read, but not in the checkpoint: what goes on has none here
                    log(diary.add(number, update, players, recipe.batch_size))
                break
            if reason:
                raise StudyError(f"training: {reason} came after step {number} of {run.steps}; run again to go on.")
    result.set_weights(weights_of(players))
    return Trained(
        generator=result,
        history=diary.history,
        events=guard_events(diary.history, settings.guards),
        step=number,
        steps=run.steps,
        snapshot=networks.load_model(folder / "snapshot.keras") if (folder / "snapshot.keras").is_file() else None,
        checkpoints=folder,
    )


@contextmanager
def mixed_precision(setting: str) -> Iterator[str]:
    """Build networks for float16 arithmetic where that is asked for, or `auto` finds a GPU; weights stay float32.

    Gives the name of the policy.
    """
    half = setting == "mixed_float16" or (setting == "auto" and tf.config.list_physical_devices("GPU"))
    before, policy = keras.config.dtype_policy(), "mixed_float16" if half else "float32"
    keras.config.set_dtype_policy(policy)
    try:
        yield policy
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def stop_signal(minutes: float | None) -> Iterator[Callable[[], str | None]]:
    """Gives a function that says why to stop after this step: a signal's name, TIME_BUDGET or None."""
    came: list[str] = []
    deadline = time.monotonic() + 60 * minutes if minutes else float("inf")
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda number, _: came.append(signal.Signals(number).name))
    try:
        yield lambda: came[0] if came else TIME_BUDGET if time.monotonic() > deadline else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress_bar(run: Run, step: int) -> tqdm:
    """Images per second, time left and the last losses, on stderr."""
    images = run.recipe.batch_size
    seconds = float(os.environ.get("TQDM_MININTERVAL", 2))
    return tqdm(
        total=run.steps * images, initial=step * images, unit=" images", desc="training", mininterval=seconds,
        maxinterval=max(10, seconds), file=sys.stderr,
    )  # fmt: skip
