"""The state of a run on disk, so that a killed one goes on where it was and ends with the same bits."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from srstudy import runtime
from srstudy.errors import StudyError
from srstudy.files import write_text
from srstudy.players import Players, weights_file
from srstudy.settings import Recipe
from srstudy.tiles import Tiles

# The modules that decide what a run learns: a run never goes on under other code.
CODE = (
    "camera", "checkpoints", "codecs", "dataset", "devices", "losses", "networks", "perceptual", "players", "runtime",
    "sensor", "step", "tiles", "training", "watch",
)  # fmt: skip


class Checkpoints:
    """Checkpoints of one run, of which the last `keep` stay.

    What is saved: both networks, both optimizers with their averages, the step, sums since the last row of history,
    and the history. Batches are a function of (seed, step), so the step stands for the position in the data and for
    every random state. TensorFlow names a new checkpoint last, when its files are whole: a crash leaves the one before.
    Of several workers all must save, and all go on from what the first one, in `folder`, has saved: they share it.
    """

    def __init__(self, players: Players, sums: tf.Variable, folder: str | Path, keep: int):
        """Read the last whole checkpoint in `folder`, if there is one, into the players and `sums`.

        Raises StudyError if there are some and none can be read.
        """
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
        own = self.folder if runtime.is_chief() else self.folder / f"worker-{runtime.worker()}"
        self._manager = _manager(state, own, keep)
        self._restore(state)

    def save(self, step: int, history: list[dict[str, float]]) -> None:
        """Save the state after `step`, once. Raises StudyError when the disk is full; the state before stays."""
        if step == self.step:
            return
        if runtime.is_chief():
            write_text(self._history_file(step), json.dumps(history))  # first: no checkpoint is without it
        self._counter.assign(step)
        try:
            self._manager.save(step)
        except tf.errors.OpError as error:
            if "No space left" in str(error):
                raise StudyError(f"{self.folder}: the disk is full; free some space and run again.") from error
            raise
        self.step = step
        if not runtime.is_chief():
            return
        kept = {self._history_file(_step_of(path)) for path in self.folder.glob("ckpt-*.index")}
        for path in set(self.folder.glob("history-*.json")) - kept:
            path.unlink()

    def _restore(self, state: tf.train.Checkpoint) -> None:
        # Found by their indices: TensorFlow's own list of them may be what was damaged.
        paths = sorted(self.folder.glob("ckpt-*.index"), key=_step_of)
        for path in reversed(paths):
            try:
                state.restore(str(path.with_suffix(""))).assert_existing_objects_matched()
                self.history = json.loads(self._history_file(int(self._counter)).read_text(encoding="utf-8"))
                self.step = int(self._counter)
                return
            except Exception as error:  # a damaged file may raise anything
                print(f"{path}: this checkpoint is damaged ({error!r}); trying the one before it.", file=sys.stderr)
        if (self.folder / "checkpoint").exists():  # without a list, the first one was cut off while it was written
            raise StudyError(f"{self.folder}: none of its checkpoints can be read; remove the folder to start anew.")

    def _history_file(self, step: int) -> Path:
        return self.folder / f"history-{step}.json"


def fingerprint(recipe: Recipe, tiles: Tiles, seed: int, warm_start: str | Path | None, *settings: object) -> str:
    """Names a configuration by 16 hex digits, so that a changed one never goes on from another's checkpoint.

    That is all arguments with what the files and arrays hold, the versions of TensorFlow and Keras, and the code that
    trains, but for its comments and docstrings.
    """
    versions = tf.__version__, keras.__version__
    digest = hashlib.sha256(repr((recipe, tiles.hr.shape, seed, settings, versions)).encode())
    for name in CODE:
        digest.update(_meaning(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")).encode())
    for path in filter(None, (warm_start, recipe.content and weights_file(recipe.content))):
        digest.update(Path(path).read_bytes())
    for images in (tiles.hr, tiles.lr):
        digest.update(np.ascontiguousarray(images))
    return digest.hexdigest()[:16]


def _meaning(code: str) -> str:
    """Python code without what changes nothing: comments, docstrings, how it is laid out."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.dump(tree)


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _manager(state: tf.train.Checkpoint, folder: Path, keep: int) -> tf.train.CheckpointManager:
    try:
        return tf.train.CheckpointManager(state, str(folder), max_to_keep=keep)
    except ValueError:  # TensorFlow's list of the checkpoints is damaged; it is not needed
        (folder / "checkpoint").unlink()
        return tf.train.CheckpointManager(state, str(folder), max_to_keep=keep)
