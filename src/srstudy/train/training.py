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
from tqdm import tqdm

from srstudy import devices, runtime
from srstudy.data.tiles import Tiles
from srstudy.errors import StudyError
from srstudy.files import COMPLETE, replacing, write_text
from srstudy.judge.guards import Event, guard_events
from srstudy.networks import architectures
from srstudy.settings import Recipe, Training
from srstudy.settings_camera import Camera
from srstudy.train.checkpoints import Checkpoints, fingerprint
from srstudy.train.dataset import batches
from srstudy.train.players import build_generator, make_players, weights_of
from srstudy.train.step import NotFinite, Update
from srstudy.train.watch import Diary, Schedule, Validation

TIME_BUDGET = "time budget"
AGREE_STEPS = 10  # how often several workers ask each other whether to stop


@dataclass(frozen=True)
class Run:
    """What a recipe is trained on, and for how long; `epoch_steps` is how many updates see every image once.

    `camera` makes LR of the tiles' HR in place of the bicubic one, if the recipe's degradation is no bicubic one.
    """

    recipe: Recipe
    tiles: Tiles
    steps: int
    epoch_steps: int
    seed: int
    checkpoints: Path
    warm_start: Path | None = None
    snapshot_step: int | None = None
    camera: Camera | None = None


@dataclass(frozen=True)
class Trained:
    """What a run leaves: the generator, its history, and the generator at `snapshot_step`.

    `step` is below `steps` when a time budget ended it: then the generator is what it was by then, and the checkpoints
    stay, so that the same call goes on. Or when something in step `not_finite` was not finite: then the generator is
    that of the last checkpoint before.
    """

    generator: keras.Model
    history: list[dict[str, float]]
    events: list[Event]
    step: int
    steps: int
    snapshot: keras.Model | None
    checkpoints: Path
    not_finite: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the run reached its epochs."""
        return self.step == self.steps

    @property
    def outcome(self) -> str:
        """How far the run came, and why no further."""
        reached = f"{self.step} of {self.steps} steps"
        if self.complete:
            return reached
        way_out = f"{NotFinite(self.not_finite)}" if self.not_finite else "run again to go on"
        return f"{reached}: NOT COMPLETE, {way_out}"

    @property
    def strips(self) -> Path:
        """The folder of the validations' pictures."""
        return self.checkpoints / "strips"

    def events_table(self) -> pd.DataFrame:
        """What the guards saw, a row each; where there is no threshold, an empty cell."""
        columns = [field.name for field in fields(Event)]
        rows = [["" if cell is None else cell for cell in astuple(event)] for event in self.events]
        return pd.DataFrame(rows, columns=columns)

    def save(self, folder: str | Path) -> None:
        """Write `generator.keras`, `snapshot.keras` and `strips` if there are, into `folder`: all of it or nothing.

        Of several workers the first alone writes. The checkpoints stay, those of a complete run with a mark: they may
        go when its report is written too.
        """
        if not runtime.is_chief():
            return
        with replacing(folder) as temporary:
            architectures.save_model(self.generator, temporary / "generator.keras")
            if self.snapshot is not None:
                architectures.save_model(self.snapshot, temporary / "snapshot.keras")
            if self.strips.is_dir():
                shutil.copytree(self.strips, temporary / "strips")
        if self.complete:
            write_text(self.checkpoints / COMPLETE, "")


def train(
    run: Run,
    settings: Training,
    validation: Validation | None = None,
    log: Callable[[dict[str, float]], None] = lambda row: None,
) -> Trained:
    """Train a generator for `run.steps` updates (paper III, IV); `log` is given every row of history as it comes.

    Interrupted and called again with an equal run, it goes on from the last checkpoint and ends with the same weights
    and history, to the bit. When a loss or a gradient is not finite, it ends with the last checkpoint before that step.
    Raises StudyError when there is none yet, the disk is full, the batch can't be divided among the devices, or SIGTERM
    or Ctrl-C came (after saving where it was).
    """
    keras.utils.set_random_seed(run.seed)  # the first weights depend on nothing that was built before
    training = _Training(run, settings, validation, log)
    try:
        return training.result(training.go())
    except NotFinite as error:
        return training.result(training.fall_back(error), not_finite=error.step)


class _Training:
    """A run under way in this process: made from its last checkpoint, if there is one."""

    def __init__(
        self,
        run: Run,
        settings: Training,
        validation: Validation | None,
        log: Callable[[dict[str, float]], None],
    ):
        self.run, self.settings, self.log = run, settings, log
        recipe, self.strategy = run.recipe, devices.strategy_for(run.recipe, settings)
        with self.strategy.scope(), devices.mixed_precision(recipe.precision or settings.precision) as policy:
            hr_size = 4 * (recipe.crop or run.tiles.lr.shape[1])
            self.players = make_players(recipe, hr_size, run.steps, run.warm_start)
        self.update = Update(recipe, self.players, run.steps, self.strategy)
        self.generator = build_generator(recipe.generator)  # float32, with the averaged weights where there are any
        # Traced before a checkpoint is read, so that a resumed process builds the very graph of an uninterrupted one.
        self.update.trace(self._batches(after=0).element_spec)
        watched = (settings.validations, validation and validation.identity)
        self.folder = run.checkpoints / fingerprint(
            recipe, run.tiles, run.seed, run.warm_start, run.steps, run.snapshot_step, run.camera, policy, watched
        )
        self.kept = Checkpoints(self.players, self.update.sums, self.folder, settings.keep_checkpoints)
        if not self.kept.step:
            self._say_what_is_not_resumed()
        schedule = Schedule(run.steps, run.epoch_steps, settings.validations if validation else 0)
        self.diary = Diary(schedule, validation, self.folder / "strips", self.kept.history)

    def go(self) -> int:
        """Train to the end, or until there is a reason to stop; returns the last step that was done."""
        step = start = self.kept.step
        for row in self.kept.history:
            self.log(row)
        with stop_signal(self.settings.time_budget) as stopped, progress_bar(self.run, start) as bar:
            for step, (lr, hr) in enumerate(self._batches(after=start), start + 1):
                self.update(lr, hr, step)
                self.diary.count()
                bar.update(self.run.recipe.batch_size)
                if step == self.run.snapshot_step and runtime.is_chief():
                    architectures.save_model(self._current(), self.folder / "snapshot.keras")
                reason, is_row = self._reason(step, stopped()), self.diary.schedule.is_row(step)
                due = reason or self._is_checkpoint(step)
                if due or is_row:
                    self.update.check()
                if is_row:
                    row = self._add_row(step)
                    bar.set_postfix({name: f"{row[name]:.3g}" for name in self.update.names})
                if due:
                    self.kept.save(step, self.diary.history)
                if reason:
                    self._stop(step, reason)
                    break
        return step

    def fall_back(self, error: NotFinite) -> int:
        """Go back to the last checkpoint and return its step; raises `error` if there is none."""
        if not self.kept.step or not self.kept.restore():
            raise error
        print(error, file=sys.stderr)
        self.diary.history = self.kept.history
        self._add_last_row(self.kept.step)
        return self.kept.step

    def result(self, step: int, not_finite: int | None = None) -> Trained:
        """What the run leaves after `step`."""
        snapshot, at = self.folder / "snapshot.keras", self.run.snapshot_step
        return Trained(
            generator=self._current(),
            history=self.diary.history,
            events=guard_events(self.diary.history, self.settings.guards, not_finite),
            step=step,
            steps=self.run.steps,
            snapshot=architectures.load_model(snapshot) if at and at <= step and snapshot.is_file() else None,
            checkpoints=self.folder,
            not_finite=not_finite,
        )

    def _say_what_is_not_resumed(self) -> None:
        others = sorted(path.name for path in self.run.checkpoints.glob("*/") if path != self.folder)
        if others:
            said = f"{self.run.checkpoints}: {', '.join(others)} began with other parameters, tiles or code"
            print(f"training: {said}; starting anew.", file=sys.stderr)

    def _batches(self, after: int):
        run, recipe = self.run, self.run.recipe
        read = partial(
            batches, run.tiles, run.seed, recipe.batch_size, start=after, stop=run.steps, crop=recipe.crop,
            flips=recipe.flips, camera=run.camera,
        )  # fmt: skip
        return devices.distributed(self.strategy, read)

    def _current(self) -> keras.Model:
        self.generator.set_weights(weights_of(self.players))
        return self.generator

    def _reason(self, step: int, own: str | None) -> str | None:
        """Why to stop after this step. Several workers agree on it now and then, so that none waits for another."""
        if step == self.run.steps:
            return None
        if not os.environ.get("TF_CONFIG"):
            return own
        if step % AGREE_STEPS or not devices.any_worker_stops(self.strategy, own is not None):
            return None
        return own or "a signal to another worker"

    def _is_checkpoint(self, step: int) -> bool:
        return step == self.run.steps or step % self.run.epoch_steps == 0 or step % self.settings.checkpoint_steps == 0

    def _add_row(self, step: int) -> dict[str, float]:
        row = self.diary.add(step, self.update, self.run.recipe)
        self.log(row)
        return row

    def _stop(self, step: int, reason: str) -> None:
        if reason != TIME_BUDGET:
            raise StudyError(f"training: {reason} came after step {step} of {self.run.steps}; run again to go on.")
        self._add_last_row(step)

    def _add_last_row(self, step: int) -> None:
        """A row to read, where the run ends early; not in the checkpoint, for what goes on has none here."""
        if not self.diary.schedule.is_row(step):
            self._add_row(step)


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
