"""The state of a run on disk, so that a killed one goes on where it was and ends with the same bits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from srstudy import devices
from srstudy.errors import StudyError
from srstudy.files import write_text
from srstudy.players import Players
from srstudy.settings import Recipe
from srstudy.tiles import Tiles


class Checkpoints:
    """Checkpoints of one run, of which the last `keep` stay.

    What is saved: both networks, both optimizers with their averages, the step, sums since the last row of history,
    and the history. Batches are a function of (seed, step), so the step stands for the position in the data and for
    every random state. TensorFlow names a new checkpoint last, when its files are whole: a crash leaves the one before.
    Of several workers all must save, and all go on from what the first one, in `folder`, has saved: they share it.
    """

    def __init__(self, players: Players, sums: tf.Variable, folder: str | Path, keep: int):
        """Read the last checkpoint in `folder`, if there is one, into the players and `sums`."""
        self.step, self.history = 0, []
        self.folder, self._counter = Path(folder), tf.Variable(0, dtype=tf.int64)
        parts = {
            "generator": players.generator,
            "generator_optimizer": players.generator_optimizer,
            "discriminator": players.discriminator,
            "discriminator_optimizer": players.discriminator_optimizer,
        }
        present = {name: part for name, part in parts.items() if part is not None}
        state = tf.train.Checkpoint(step=self._counter, sums=sums, **present)
        own = self.folder if devices.is_chief() else self.folder / f"worker-{devices.worker()}"
        self._manager = tf.train.CheckpointManager(state, str(own), max_to_keep=keep)
        latest = tf.train.latest_checkpoint(str(self.folder))
        if latest:
            state.restore(latest).assert_existing_objects_matched()
            self.step = int(self._counter)
            self.history = json.loads(self._history_file(self.step).read_text(encoding="utf-8"))

    def save(self, step: int, history: list[dict[str, float]]) -> None:
        """Save the state after `step`, once. Raises StudyError when the disk is full; the state before stays."""
        if step == self.step:
            return
        if devices.is_chief():
            write_text(self._history_file(step), json.dumps(history))  # first: no checkpoint is without it
        self._counter.assign(step)
        try:
            self._manager.save(step)
        except tf.errors.OpError as error:
            if "No space left" in str(error):
                raise StudyError(f"{self.folder}: the disk is full; free some space and run again.") from error
            raise
        self.step = step
        if not devices.is_chief():
            return
        kept = {self._history_file(int(path.rpartition("-")[2])) for path in self._manager.checkpoints}
        for path in set(self.folder.glob("history-*.json")) - kept:
            path.unlink()

    def _history_file(self, step: int) -> Path:
        return self.folder / f"history-{step}.json"


def fingerprint(recipe: Recipe, tiles: Tiles, seed: int, warm_start: str | Path | None, *settings: object) -> str:
    """Names a configuration by 16 hex digits, so that a changed one never goes on from another's checkpoint."""
    digest = hashlib.sha256(repr((recipe, tiles.hr.shape, seed, settings)).encode())
    digest.update(Path(warm_start).read_bytes() if warm_start else b"")
    for images in (tiles.hr, tiles.lr):
        digest.update(np.ascontiguousarray(images))
    return digest.hexdigest()[:16]
