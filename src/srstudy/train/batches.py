"""The `tf.data` pipeline that feeds tiles to training.

Batch number `step` is a function of (seed, step) alone, so a run that goes on sees what it would have seen anyway.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import tensorflow as tf

from srstudy.degrade.bicubic import SCALE
from srstudy.degrade.camera import degrade
from srstudy.sets.tiles import Tiles
from srstudy.study import Run


def batches(
    tiles: Tiles,
    run: Run,
    start: int = 0,
    context: tf.distribute.InputContext | None = None,
    known: Callable[[int], np.ndarray] | None = None,
) -> tf.data.Dataset:
    """A run's batches from number `start` on as (lr, hr), uint8 [B, s, s, 3] and [B, 4s, 4s, 3]; with `known`, of
    `known_features`, as (lr, hr, features).

    Tiles come in a new random order in each epoch. By the recipe, a random square of LR side `crop` is taken out of
    each, mirrored and turned (`flips`). The run's camera makes LR of the HR crop, anew each time, in place of the
    tile's own. Where several devices share each batch, those of `context` get their parts of it, one after the other.
    """
    context = context or tf.distribute.InputContext()
    devices = context.num_replicas_in_sync // context.num_input_pipelines  # of this worker
    size, share = run.recipe.crop or tiles.lr.shape[1], run.recipe.batch_size // context.num_replicas_in_sync

    def load(part: int) -> tuple[np.ndarray, ...]:
        step, device = divmod(part, devices)
        first = step * run.recipe.batch_size + (context.input_pipeline_id * devices + device) * share
        places = range(first, first + share)
        images = [np.stack(some) for some in zip(*(_pair(tiles, run, place, size) for place in places))]
        return (*images, np.stack([known(_index(tiles, run, place)) for place in places])) if known else tuple(images)

    shapes = [(share, size, size, 3), (share, size * SCALE, size * SCALE, 3)]
    types = [tf.uint8, tf.uint8]
    if known:
        shapes, types = [*shapes, (share, *known(0).shape)], [*types, known(0).dtype]

    def shaped(part: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Without a state: else, where operations are deterministic, TensorFlow makes a batch only when it is asked for.
        return tuple(map(tf.ensure_shape, tf.numpy_function(load, [part], types, stateful=False), shapes))

    parts = tf.data.Dataset.range(start * devices, run.steps * devices)
    return parts.map(shaped, num_parallel_calls=2, deterministic=True).prefetch(4)


def _pair(tiles: Tiles, run: Run, position: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """LR and HR number `position` in the endless sequence of epochs."""
    index = _index(tiles, run, position)
    random = np.random.default_rng([run.seed, 1, position])
    top, left = random.integers(0, tiles.lr.shape[1] - size + 1, 2)
    lr = tiles.lr[index, top : top + size, left : left + size]
    hr = tiles.hr[index, top * SCALE : (top + size) * SCALE, left * SCALE : (left + size) * SCALE]
    if run.recipe.flips:
        turns, mirror = random.integers(0, 4), random.integers(0, 2)
        lr, hr = (np.rot90(image[:, ::-1] if mirror else image, turns) for image in (lr, hr))
    return (lr if run.camera is None else degrade(hr, run.camera, random)), hr


def _index(tiles: Tiles, run: Run, position: int) -> int:
    epoch, place = divmod(position, len(tiles))
    return int(_order(run.seed, epoch, len(tiles))[place])


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, epoch]).permutation(count)
