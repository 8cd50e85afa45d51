"""How differently a network sees two images: the perceptual distance."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product

import keras
import numpy as np
import tensorflow as tf

from srstudy.judge.metrics import inner
from srstudy.networks.perceptual import FILTERS, feature_network, features

NETWORK = "hed-vgg16"  # the one that needs no download; MEASURES in metrics.py names it
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
PIXELS = 2**18  # of the images that go through the network at once: a quarter less time, half a GB
# A larger image goes through the first two blocks tile by tile, and what they hand on, STEP times smaller, through the
# other three: so a tile's margin, which is what its last layer sees around it, is never large. (Longest side, margin).
STEP, TILES = 4, ((384, 8), (192, 24))


class Distance:
    """Distance of images in VGG feature space, 0 for equal ones: LPIPS without its learned weights (Zhang et al. 2018,
    arXiv:1801.03924). Its network is not LPIPS's, so its figures carry the network's name.
    """

    def __init__(self):
        vgg = feature_network(NETWORK, LAYERS)
        middle, ends = vgg.get_layer("block3_conv1").input, [vgg.get_layer(name).output for name in LAYERS]
        first, second = keras.Model(vgg.input, [*ends[:2], middle]), keras.Model(middle, ends[2:])
        inside = tf.TensorSpec((4,), tf.int32)  # top, bottom, left and right of what counts of a tile

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8), inside])
        def shallow(images: tf.Tensor, inside: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            *depths, maps = features(first, tf.cast(images, tf.float32) / 127.5 - 1.0)
            return units(depths, inside), [cut(maps, inside // STEP)]

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, FILTERS[1]), tf.float32), inside])
        def deep(maps: tf.Tensor, inside: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            return units(second(maps), inside), []

        self._shallow, self._deep = shallow, deep

    def features(self, *images: np.ndarray) -> list[tf.Tensor]:
        """[N, h, w, C] at five depths of images, uint8 [H, W, 3], without border; of unit length over channels."""
        pixels = np.stack([inner(image) for image in images])
        depths, [maps] = self._shallow(pixels, (0, pixels.shape[1], 0, pixels.shape[2]))
        return depths + self._deep(maps, (0, maps.shape[1], 0, maps.shape[2]))[0]

    def between(self, features: Sequence[tf.Tensor], sr: np.ndarray) -> float:
        """The distance of an SR image from HR, by HR's features."""
        return mean_distance(features, self.features(sr))

    def of_each(self, hr: np.ndarray, srs: Sequence[np.ndarray]) -> list[float]:
        """`between` for each of several SR images; of large ones it needs 32 bytes a pixel of each image at once."""
        at_once, distances = PIXELS // hr[..., 0].size, []
        if not at_once:
            maps, first = by_tiles(self._shallow, [inner(image)[None] for image in (hr, *srs)], *TILES[0])
            return np.hstack([first, by_tiles(self._deep, maps, *TILES[1])[1]]).mean(axis=1).tolist()
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
    counting = [cut(maps, inside // 2**number) for number, maps in enumerate(depths)]
    return [maps / (tf.norm(maps, axis=-1, keepdims=True) + 1e-10) for maps in counting]


def cut(maps: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    top, bottom, left, right = tf.unstack(inside)
    return maps[:, top:bottom, left:right]


def by_tiles(part: Callable, images: Sequence[np.ndarray], side: int, margin: int) -> tuple[list, np.ndarray]:
    """What a part of the network hands on of HR and each SR; and the SRs' distances at its depths, [SRs, depths]."""
    _, height, width, _ = images[0].shape
    handed, sums = [np.empty((1, height // STEP, width // STEP, FILTERS[1]), np.float32) for _ in images], 0.0
    for (top, bottom, rows), (left, right, columns) in product(*(parts(n, side, margin) for n in (height, width))):
        inside, hr, apart = (top - rows.start, bottom - rows.start, left - columns.start, right - columns.start), (), []
        for image, whole in zip(images, handed):
            depths, maps = part(image[:, rows, columns], inside)
            hr = hr or depths
            apart.append([float(tf.reduce_sum(tf.square(a - b))) for a, b in zip(hr, depths)])
            for one in maps:
                whole[:, top // STEP : bottom // STEP, left // STEP : right // STEP] = one
        sums += np.array(apart[1:])
    return handed, sums / [(height >> depth) * (width >> depth) for depth in range(sums.shape[1])]


def parts(length: int, side: int, margin: int) -> Iterator[tuple[int, int, slice]]:
    """Where the parts of a length begin and end, and them with a margin."""
    count = -(-length // side)
    for start, stop in pairwise([*(length * number // count // STEP * STEP for number in range(count)), length]):
        yield start, stop, slice(max(0, start - margin), stop + margin)
