"""The `tf.data` pipeline that feeds tiles to training.

Batch number `step` is a function of (seed, step) alone. So equal seeds give equal batches on any machine,
and a run that goes on at step 1000 sees exactly what it would have seen without a break.
"""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import tensorflow as tf

from srstudy.data.tiles import Tiles
from srstudy.degrade.bicubic import SCALE
from srstudy.degrade.camera import degrade
from srstudy.errors import StudyError
from srstudy.settings_camera import Camera


def batches(
    tiles: Tiles,
    seed: int,
    batch_size: int,
    start: int,
    stop: int,
    crop: int | None = None,
    flips: bool = False,
    camera: Camera | None = None,
    replicas: range = range(1),
    of: int = 1,
) -> tf.data.Dataset:
    """Batches number `start` to `stop` - 1 as (lr, hr), uint8 [B, s, s, 3] and [B, 4s, 4s, 3].

    Tiles come in a new random order in each epoch. `crop` takes a random square of that LR side out of each;
    `flips` mirrors and turns it. A `camera` makes LR of the HR crop, another one each time, in place of the tile's own.
    Where `of` devices share the batches, those of `replicas` get their equal parts of each, one after the other.
    """  # fmt: skip
    size = crop or tiles.lr.shape[1]
    if size > tiles.lr.shape[1]:
        raise StudyError(
            f"crop: {size} is larger than the set's LR tiles ({tiles.lr.shape[1]}); choose a smaller crop."
        )

    share = batch_size // of

    def load(part: int) -> tuple[np.ndarray, np.ndarray]:
        step, replica = divmod(part, len(replicas))
        first = step * batch_size + replicas[replica] * share
        lr, hr = zip(*(_pair(tiles, seed, position, size, flips, camera) for position in range(first, first + share)))
        return np.stack(lr), np.stack(hr)

    def shaped(part: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Without a state: else, where operations are deterministic, TensorFlow makes a batch only when it is asked for.
        lr, hr = tf.numpy_function(load, [part], [tf.uint8, tf.uint8], stateful=False)
        return tf.ensure_shape(lr, (share, size, size, 3)), tf.ensure_shape(hr, (share, size * SCALE, size * SCALE, 3))

    parts = tf.data.Dataset.range(start * len(replicas), stop * len(replicas))
    return parts.map(shaped, num_parallel_calls=2, deterministic=True).prefetch(4)


def _pair(
    tiles: Tiles, seed: int, position: int, size: int, flips: bool, camera: Camera | None
) -> tuple[np.ndarray, np.ndarray]:
    """LR and HR number `position` in the endless sequence of epochs."""
    epoch, place = divmod(position, len(tiles))
    index = _order(seed, epoch, len(tiles))[place]
    random = np.random.default_rng([seed, 1, position])
    top, left = random.integers(0, tiles.lr.shape[1] - size + 1, 2)
    lr = tiles.lr[index, top : top + size, left : left + size]
    hr = tiles.hr[index, top * SCALE : (top + size) * SCALE, left * SCALE : (left + size) * SCALE]
    if flips:
        turns, mirror = random.integers(0, 4), random.integers(0, 2)
        turn = partial(np.rot90, k=turns)
        lr, hr = (turn(lr[:, ::-1]), turn(hr[:, ::-1])) if mirror else (turn(lr), turn(hr))
    return (lr if camera is None else degrade(hr, camera, random)), hr


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)
