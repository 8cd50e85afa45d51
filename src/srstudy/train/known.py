"""VGG features of HR tiles, which stay the same in every epoch where tiles are neither cropped nor turned: computed
once, kept on disk.
"""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from srstudy.files import replacing
from srstudy.networks.perceptual import features
from srstudy.sets.tiles import Tiles

KEPT = np.float16  # 11 significant bits; what is above 65,504 would overflow, and end the run as a loss not finite


def known_features(tiles: Tiles, network: keras.Model, path: Path) -> Callable[[int], np.ndarray]:
    """A function that gives the features [h, w, C] of an HR tile by its number. They are computed where `path` is not.

    Read, not mapped: gigabytes of a file that is mapped count as memory of the process.
    Raises StudyError when the disk is full.
    """
    side = tiles.hr.shape[1]

    @tf.function(autograph=False)
    def of(hr: tf.Tensor) -> tf.Tensor:
        return tf.cast(features(network, tf.cast(hr, tf.float32) / 127.5 - 1.0)[0], KEPT)

    shape = tuple(of.get_concrete_function(tf.TensorSpec((1, side, side, 3), tf.uint8)).output_shapes[1:])
    size = int(np.prod(shape)) * KEPT().itemsize
    if not path.is_file():
        with replacing(path) as temporary, temporary.open("wb") as file:
            for hr in tqdm(tiles.hr, f"features, {len(tiles) * size / 1e9:.1f} GB", unit=" tiles"):
                file.write(of(hr[None]).numpy().tobytes())

    def read(number: int) -> np.ndarray:
        return np.fromfile(path, KEPT, count=size // KEPT().itemsize, offset=number * size).reshape(shape)

    return read
