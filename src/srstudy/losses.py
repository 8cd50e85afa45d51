"""The losses of the study (paper III-C), each on batches of RGB images in [-1, 1] or on logits."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from srstudy.perceptual import features


def content_loss(network: keras.Model, feature_scale: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Mean squared error between VGG feature maps of HR and SR (paper III-C), as a function (hr, sr) -> scalar.

    Features are multiplied by `feature_scale` first (SRGAN uses 1/12.75, Ledig et al. 2017, 3.2), which
    brings the loss to the size of a pixel MSE.
    """

    def loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
        [hr_features], [sr_features] = features(network, hr), features(network, sr)
        return tf.reduce_mean(tf.square(feature_scale * (tf.stop_gradient(hr_features) - sr_features)))

    return loss


def pixel_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """Mean absolute error (L1) over pixels and channels; 2 is the whole range."""
    return tf.reduce_mean(tf.abs(hr - sr))


def adversarial_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Generator's part: binary cross-entropy of the discriminator's answer on SR against "real" (paper III-C)."""
    return tf.reduce_mean(tf.nn.softplus(-fake_logits))


def discriminator_loss(real_logits: tf.Tensor, fake_logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, HR labelled 1 and SR labelled 0, averaged over the two (paper IV)."""
    return 0.5 * (tf.reduce_mean(tf.nn.softplus(-real_logits)) + tf.reduce_mean(tf.nn.softplus(fake_logits)))
