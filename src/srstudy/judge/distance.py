"""How differently a network sees two images: the perceptual distance."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise, product

import numpy as np
import tensorflow as tf

from srstudy.judge.metrics import inner
from srstudy.networks.perceptual import feature_network, features

NETWORK = "hed-vgg16"  # the one that needs no download; MEASURES in metrics.py names it
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
PIXELS = 2**18  # of the images that go through the network at once: a quarter less time, half a GB
# A larger image goes through it in tiles of this side, with so much around them as the deepest layer sees; both are
# multiples of 16, by which that layer's maps are smaller.
TILE, MARGIN = 416, 112


class Distance:
    """Distance of images in VGG feature space, 0 for equal ones: LPIPS without its learned weights (Zhang et al. 2018,
    arXiv:1801.03924). Its network is not LPIPS's, so its figures carry the network's name.
    """

    def __init__(self):
        vgg = feature_network(NETWORK, LAYERS)
        inside = tf.TensorSpec((4,), tf.int32)  # top, bottom, left and right of what counts of a tile

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8), inside])
        def unit_features(images: tf.Tensor, inside: tf.Tensor) -> list[tf.Tensor]:
            return units(features(vgg, tf.cast(images, tf.float32) / 127.5 - 1.0), inside)

        self._unit_features = unit_features

    def features(self, *images: np.ndarray) -> list[tf.Tensor]:
        """[N, h, w, C] at five depths of images, uint8 [H, W, 3], without border; of unit length over channels."""
        pixels = np.stack([inner(image) for image in images])
        return self._unit_features(pixels, (0, pixels.shape[1], 0, pixels.shape[2]))

    def between(self, features: Sequence[tf.Tensor], sr: np.ndarray) -> float:
        """The distance of an SR image from HR, by HR's features."""
        return mean_distance(features, self.features(sr))

    def of_each(self, hr: np.ndarray, srs: Sequence[np.ndarray]) -> list[float]:
        """`between` for each of several SR images."""
        at_once, distances = PIXELS // hr[..., 0].size, []
        if not at_once:
            return by_tiles(self._unit_features, [inner(image)[None] for image in (hr, *srs)])
        known = self.features(hr)
        for start in range(0, len(srs), at_once):
            batch = self.features(*srs[start : start + at_once])
            distances += [mean_distance(known, [maps[i : i + 1] for maps in batch]) for i in range(len(batch[0]))]
        return distances


def mean_distance(hr: Sequence[tf.Tensor], sr: Sequence[tf.Tensor]) -> float:
    """Squared differences of two images' features, summed over channels, averaged over places, then over depths."""
    return float(np.mean([tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=-1)) for a, b in zip(hr, sr)]))


def units(depths: Sequence[tf.Tensor], inside: tf.Tensor) -> list[tf.Tensor]:
    """What counts of a tile's maps, the first of its size and each next one half as large, at unit length."""
    counting = []
    for number, maps in enumerate(depths):
        top, bottom, left, right = tf.unstack(inside // 2**number)
        counting.append(maps[:, top:bottom, left:right])
    return [maps / (tf.norm(maps, axis=-1, keepdims=True) + 1e-10) for maps in counting]


def by_tiles(unit_features: Callable, images: Sequence[np.ndarray]) -> list[float]:
    """The distances of SR images from HR, the first, [1, H, W, 3]; in memory are the features of one tile of two."""
    _, height, width, _ = images[0].shape
    sums = np.zeros((len(images) - 1, len(LAYERS)))
    for (top, bottom, rows), (left, right, columns) in product(parts(height), parts(width)):
        inside = top - rows.start, bottom - rows.start, left - columns.start, right - columns.start
        hr, *srs = (partial(unit_features, image[:, rows, columns], inside) for image in images)
        known = hr()
        for number, sr in enumerate(srs):
            sums[number] += [float(tf.reduce_sum(tf.square(a - b))) for a, b in zip(known, sr())]
    return (sums / [(height >> depth) * (width >> depth) for depth in range(len(LAYERS))]).mean(axis=1).tolist()


def parts(length: int) -> Iterator[tuple[int, int, slice]]:
    """Where the parts of a length begin and end, and them with a margin."""
    count = -(-length // TILE)
    for start, stop in pairwise([*(length * number // count // 16 * 16 for number in range(count)), length]):
        yield start, stop, slice(max(0, start - MARGIN), stop + MARGIN)
