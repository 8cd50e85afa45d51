"""The losses of the study (paper III-C), each on batches of RGB images in [-1, 1] or on logits."""

import keras
import tensorflow as tf

from srstudy.networks.perceptual import features


def content_loss(
    hr: tf.Tensor, sr: tf.Tensor, network: keras.Model, feature_scale: float, known: tf.Tensor | None = None
) -> tf.Tensor:
    """Mean squared difference of the VGG features of HR and SR (paper III-C), images [B, H, W, 3] in [-1, 1].

    `known`: HR's features [B, h, w, C] of this network, where they were computed before.

    SRGAN's `feature_scale` of 1/12.75 (Ledig et al. 2017, 3.2) gives it the size of a mean squared error of pixels.
    """
    [hr_features] = features(network, hr) if known is None else [tf.cast(known, tf.float32)]
    [sr_features] = features(network, sr)
    return tf.reduce_mean(tf.square(feature_scale * (tf.stop_gradient(hr_features) - sr_features)))


def l1_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference over pixels and channels; 2 is the whole range."""
    return tf.reduce_mean(tf.abs(hr - sr))


def charbonnier_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """L1 rounded off at 0: mean of sqrt(difference^2 + 1e-6) (Lai et al. 2017, arXiv:1704.03915)."""
    return tf.reduce_mean(tf.sqrt(tf.square(hr - sr) + 1e-6))


def mse_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """Mean squared difference over pixels and channels; 4 is the square of the whole range."""
    return tf.reduce_mean(tf.square(hr - sr))


def frequency_loss(hr: tf.Tensor, sr: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of the Fourier coefficients, real and imaginary parts (Sun et al. 2023, SAFMN,
    arXiv:2302.13800, 4.1): an error of a fine structure counts as much as one of a large area.
    """
    spectrum = tf.signal.rfft2d(tf.transpose(hr - sr, (0, 3, 1, 2)))
    return 0.5 * tf.reduce_mean(tf.abs(tf.math.real(spectrum)) + tf.abs(tf.math.imag(spectrum)))


PIXEL_LOSSES = {"l1": l1_loss, "charbonnier": charbonnier_loss, "mse": mse_loss}


def adversarial_loss(fake: tf.Tensor, real: tf.Tensor | None = None) -> tf.Tensor:
    """The generator's cross-entropy: the discriminator's logits [B, 1] of SR against the label "real" (paper III-C).

    With `real`, the logits of HR, it is relativistic: SR should look more real than HR does on average, and HR less
    real than SR (ESRGAN, Wang et al. 2018, arXiv:1809.00219, 3.2).
    """
    if real is None:
        return tf.reduce_mean(tf.nn.softplus(-fake))  # -log(sigmoid(fake))
    return _relativistic(higher=fake, lower=real, label=1.0)


def discriminator_loss(
    real: tf.Tensor, fake: tf.Tensor, label_smoothing: float = 0.0, relativistic: bool = False
) -> tf.Tensor:
    """Cross-entropy of logits [B, 1], HR labelled 1 (less `label_smoothing`), SR 0, averaged (paper IV).

    One-sided smoothing (Salimans et al. 2016, arXiv:1606.03498) keeps a discriminator that wins from being certain.
    """
    if relativistic:
        return _relativistic(higher=real, lower=fake, label=1.0 - label_smoothing)
    return 0.5 * (_cross_entropy(real, 1.0 - label_smoothing) + _cross_entropy(fake, 0.0))


def _relativistic(higher: tf.Tensor, lower: tf.Tensor, label: float) -> tf.Tensor:
    """Each logit less the other kind's mean: of the kind that should score higher against `label`, the other's 0."""
    above, below = higher - mean_over_devices(lower), lower - mean_over_devices(higher)
    return 0.5 * (_cross_entropy(above, label) + _cross_entropy(below, 0.0))


def mean_over_devices(logits: tf.Tensor) -> tf.Tensor:
    """Mean of logits [B, 1] over the whole batch, of which each device has a part."""
    return tf.distribute.get_replica_context().all_reduce("MEAN", tf.reduce_mean(logits))


def _cross_entropy(logits: tf.Tensor, label: float) -> tf.Tensor:
    """Binary cross-entropy without the overflow of a sigmoid: log(1 + exp(logit)) - label * logit."""
    return tf.reduce_mean(tf.nn.softplus(logits) - label * logits)


def accuracies(real: tf.Tensor, fake: tf.Tensor, relativistic: bool) -> dict[str, tf.Tensor]:
    """Shares of HR taken for real and of SR taken for fake, by logits [B, 1] above and below 0, or the other's mean."""
    high, low = (mean_over_devices(x) for x in (fake, real)) if relativistic else (0.0, 0.0)
    right = {"real_accuracy": real > high, "fake_accuracy": fake < low}
    return {name: tf.reduce_mean(tf.cast(answers, tf.float32)) for name, answers in right.items()}
