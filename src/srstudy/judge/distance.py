"""How differently a network sees two images: the perceptual distance."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from srstudy.judge.metrics import inner
from srstudy.networks.perceptual import feature_network, features

NETWORK = "hed-vgg16"  # the one that needs no download; MEASURES in metrics.py names it
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")
PIXELS = 2**18  # of the images that go through the network at once: a quarter less time, half a GB


class Distance:
    """Distance of images in VGG feature space, 0 for equal ones: LPIPS without its learned weights (Zhang et al. 2018,
    arXiv:1801.03924). Its network is not LPIPS's, so its figures carry the network's name.

    Takes over 3 GB for an image of 1920x1080.
    """

    def __init__(self):
        vgg = feature_network(NETWORK, LAYERS)

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
        def units(images: tf.Tensor) -> list[tf.Tensor]:
            depths = features(vgg, tf.cast(images, tf.float32) / 127.5 - 1.0)
            return [maps / (tf.norm(maps, axis=-1, keepdims=True) + 1e-10) for maps in depths]

        self._units = units

    def features(self, *images: np.ndarray) -> list[tf.Tensor]:
        """[N, h, w, C] at five depths of images, uint8 [H, W, 3], without border; of unit length over channels."""
        return self._units(np.stack([inner(image) for image in images]))

    def between(self, features: Sequence[tf.Tensor], sr: np.ndarray) -> float:
        """The distance of an SR image from HR, by HR's features."""
        return self.of_each(features, [sr])[0]

    def of_each(self, features: Sequence[tf.Tensor], srs: Sequence[np.ndarray]) -> list[float]:
        """`between` for each of several SR images."""
        at_once, distances = max(1, PIXELS // srs[0][..., 0].size), []
        for start in range(0, len(srs), at_once):
            batch = self.features(*srs[start : start + at_once])
            distances += [mean_distance(features, [maps[i : i + 1] for maps in batch]) for i in range(len(batch[0]))]
        return distances


def mean_distance(hr: Sequence[tf.Tensor], sr: Sequence[tf.Tensor]) -> float:
    """Squared differences of two images' features, summed over channels, averaged over places, then over depths."""
    return float(np.mean([tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=-1)) for a, b in zip(hr, sr)]))
