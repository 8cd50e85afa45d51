"""The losses of the study (paper III-C), each on batches of RGB images in [-1, 1] or on logits."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from srstudy.networks.perceptual import features


def content_loss(network: keras.Model, feature_scale: float) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Mean squared error between VGG feature maps of HR and SR (paper III-C), as a function (hr, sr) -> scalar.

    Features are multiplied by `feature_scale` first (SRGAN uses 1/12.75, Ledig et al. 2017, 3.2), which
    brings the loss to the size of a pixel MSE.
    """

    def loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
        [hr_features], [sr_features] = features(network, hr), features(network, sr)
        return tf.reduce_mean(tf.square(feature_scale * (tf.stop_gradient(hr_features) - sr_features)))

    return loss


def l1_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """Mean absolute error over pixels and channels; 2 is the whole range."""
    return tf.reduce_mean(tf.abs(hr - sr))


def charbonnier_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """L1 rounded off at 0, mean of sqrt(difference^2 + 1e-6) (Lai et al. 2017, arXiv:1704.03915)."""
    return tf.reduce_mean(tf.sqrt(tf.square(hr - sr) + 1e-6))


PIXEL_LOSSES = {"l1": l1_loss, "charbonnier": charbonnier_loss}


def adversarial_loss(fake: tf.Tensor, real: tf.Tensor | None = None) -> tf.Tensor:
    """Generator's part: binary cross-entropy of the discriminator's answer on SR against "real" (paper III-C).

    Takes logits [B, 1]. With `real` it is relativistic: SR shall look more real than HR does on average, and HR less
    real than SR (ESRGAN, Wang et al. 2018, arXiv:1809.00219, 3.2).
    """
    if real is None:
        return tf.reduce_mean(tf.nn.softplus(-fake))
    return _relativistic(real, fake, 0.0, swapped=True)


def discriminator_loss(
    real: tf.Tensor, fake: tf.Tensor, label_smoothing: float = 0.0, relativistic: bool = False
) -> tf.Tensor:
    """Binary cross-entropy of logits [B, 1], HR labelled 1 (less `label_smoothing`), SR 0, averaged (paper IV).

    One-sided smoothing (Salimans et al. 2016, arXiv:1606.03498) keeps a discriminator that wins from being certain.
    """
    if relativistic:
        return _relativistic(real, fake, label_smoothing, swapped=False)
    return 0.5 * (_cross_entropy(real, 1.0 - label_smoothing) + _cross_entropy(fake, 0.0))


def _relativistic(real: tf.Tensor, fake: tf.Tensor, label_smoothing: float, swapped: bool) -> tf.Tensor:
    """Relativistic average: each logit less the other kind's mean over the whole batch, on whatever device it is."""
    high, low = (fake, real) if swapped else (real, fake)
    return 0.5 * (
        _cross_entropy(high - mean_over_devices(low), 1.0 - label_smoothing)
        + _cross_entropy(low - mean_over_devices(high), 0.0)
    )


def mean_over_devices(logits: tf.Tensor) -> tf.Tensor:
    """Mean of logits [B, 1] over the whole batch, of which each device has a part."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce("MEAN", tf.reduce_mean(logits))


def _cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    return tf.reduce_mean(tf.nn.softplus(logits) - label * logits)
