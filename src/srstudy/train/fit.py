"""Training a generator by a recipe: the paper's alternating SRGAN updates, or a pixel loss alone."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice

import keras
from tqdm import tqdm

from srstudy import StudyError, runtime
from srstudy.degrade.bicubic import SCALE
from srstudy.networks import architectures
from srstudy.networks.span import fused
from srstudy.sets.tiles import Tiles
from srstudy.settings import Training
from srstudy.study import Run
from srstudy.train import devices
from srstudy.train.batches import batches
from srstudy.train.checkpoints import Checkpoints, fingerprint
from srstudy.train.history import History, Trained, Validation
from srstudy.train.known import known_features
from srstudy.train.model import build_generator, final_weights, make_models
from srstudy.train.step import NotFinite, Update

TIME_BUDGET = "time budget"


def train(run: Run, tiles: Tiles, settings: Training, validation: Validation | None = None) -> Trained:
    """Train a generator on `tiles` for `run.steps` updates (paper III, IV).

    Interrupted and called again with an equal run, it goes on from the last checkpoint and ends with the same weights
    and history, to the bit. When a loss or a gradient is not finite, it ends with the step before.
    Raises StudyError when that is so in the first epoch, the disk is full, the batch can't be divided among devices,
    or SIGTERM or Ctrl-C came (after saving where it was).
    """
    keras.utils.set_random_seed(run.seed)  # the first weights depend on nothing that was built before
    training, last, not_finite = _Training(run, tiles, settings, validation), run.steps, None
    while True:  # where equal steps need not give equal bits, the way back to the last good step may fail once more
        try:
            step = training.go(last)
            return training.result(step, not_finite if step == last else None)
        except NotFinite as error:
            last, not_finite = training.fall_back(error), error.step


class _Training:
    """A run under way in this process: made from its last checkpoint, if there is one."""

    def __init__(self, run: Run, tiles: Tiles, settings: Training, validation: Validation | None):
        self.run, self.tiles, self.settings = run, tiles, settings
        self.deadline = time.monotonic() + 60 * (settings.time_budget or math.inf)
        recipe, self.strategy = run.recipe, devices.strategy_for(run.recipe, settings)
        precision = recipe.precision or settings.precision
        with self.strategy.scope(), devices.mixed_precision(precision) as policy:
            hr_size = SCALE * (recipe.crop or tiles.lr.shape[1])
            self.models = make_models(recipe, hr_size, run.steps, run.warm_start and run.warm_start.generator)
        for remark in devices.remarks(precision, policy, devices.slowness(policy)):
            print(f"training: {remark}.", file=sys.stderr)
        self.update = Update(recipe, self.models, run.steps, self.strategy)
        # float32, with the averaged weights where there are any
        self.generator = build_generator(recipe.generator, plain=run.warm_start is not None)
        validated = (settings.validations, validation and validation.identity)
        self.folder = run.checkpoints / fingerprint(run, tiles, policy, validated)
        self.known = None
        if recipe.loss_weights.content and recipe.content.remembered:
            path = self.folder / f"features-{runtime.worker()}"  # each of several workers has its own
            self.known = known_features(tiles, self.models.content_network, path)
        # Traced before a checkpoint is read, so that a resumed process builds the very graph of an uninterrupted one.
        self.update.trace(*self._batches(start=0).element_spec)
        self.kept = Checkpoints(self.models, self.update.sums, self.folder, settings.keep_checkpoints)
        others = [path.name for path in sorted(run.checkpoints.glob("*/")) if path != self.folder]
        if others and not self.kept.step:
            began = f"{run.checkpoints}: {', '.join(others)} began with other parameters, tiles or code"
            print(f"training: {began}; starting anew. Remove what you won't go on with.", file=sys.stderr)
        self.history = History(run, validation, settings.validations, self.folder / "strips")

    def go(self, last: int) -> int:
        """Train to step `last`, or until there is a reason to stop; returns the last step that was done."""
        step = start = self.kept.step
        self.history.begin(self.kept.history)
        coming = islice(self._batches(start), last - start)
        bar = tqdm(coming, "training", total=self.run.steps, initial=start, unit=" steps")
        with stop_signal(self.deadline) as stopped, bar:
            for step, batch in enumerate(bar, start + 1):
                self.update(batch, step)
                if step == self.run.snapshot_step and runtime.is_chief():
                    architectures.save_model(self._generator(), self.folder / "snapshot.keras")
                reason, due = self._agreed(step, stopped())
                ends_row, is_kept = step in self.history.steps, reason or due or step == self.run.epoch_steps
                if ends_row or is_kept or step == last:
                    self.update.check()
                if ends_row:
                    row = self.history.add(step, self.update, self.models)
                    bar.set_postfix({name: f"{row[name]:.3g}" for name in self.update.names}, refresh=False)
                if is_kept:
                    self.kept.save(step, self.history.rows)
                if reason == TIME_BUDGET:
                    break
                if reason:
                    came = f"{reason} came after step {step} of {self.run.steps}"
                    raise StudyError(f"training: {came}; run again to go on.")
        return step

    def fall_back(self, error: NotFinite) -> int:
        """Go back to the last checkpoint, to train up to the step that it gives; raises `error` in the first epoch.

        So the clock, which decides when checkpoints are written, decides nothing of what the run leaves.
        """
        if error.step <= self.run.epoch_steps or not self.kept.restore():
            raise error
        print(error, file=sys.stderr)
        return error.step - 1

    def result(self, step: int, not_finite: int | None = None) -> Trained:
        """What the run leaves after `step`."""
        if step not in self.history.steps:  # a row to read, not in the checkpoint: what goes on has none here
            self.history.add(step, self.update, self.models)
        rows, snapshot, at = self.history.rows, self.folder / "snapshot.keras", self.run.snapshot_step
        snapshot = snapshot if at and at <= step and snapshot.is_file() else None
        return Trained(self._generator(), rows, step, self.run.steps, snapshot, self.folder, not_finite)

    def _batches(self, start: int):
        return self.strategy.distribute_datasets_from_function(
            partial(batches, self.tiles, self.run, start, known=self.known)
        )

    def _generator(self) -> keras.Model:
        self.generator.set_weights(final_weights(self.models))
        return fused(self.generator)

    def _agreed(self, step: int, reason: str | None) -> tuple[str | None, bool]:
        """Why to stop after this step, if it is not the last, and whether to save. Several workers have to agree."""
        if step == self.run.steps:
            return None, True
        due = self.kept.due(self.settings.checkpoint_minutes)
        return devices.agreed(self.strategy, step, reason, due) if os.environ.get("TF_CONFIG") else (reason, due)


@contextmanager
def stop_signal(deadline: float) -> Iterator[Callable[[], str | None]]:
    """Gives a function that says why to stop after this step: a signal's name, TIME_BUDGET or None."""
    came = []
    numbers = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    try:
        yield lambda: signal.Signals(came[0]).name if came else TIME_BUDGET if time.monotonic() > deadline else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
