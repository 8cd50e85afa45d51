import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy.losses import adversarial_loss, discriminator_loss, pixel_loss

LOGITS = np.float32([[-3.0], [0.5], [2.0]])


def cross_entropy(label, logits):
    """Keras's binary cross-entropy on the sigmoid's output, as the paper states it."""
    return float(keras.losses.BinaryCrossentropy()(np.full_like(logits, label), tf.sigmoid(logits)))


def test_adversarial_loss_is_cross_entropy_against_real():
    assert float(adversarial_loss(LOGITS)) == pytest.approx(cross_entropy(1, LOGITS), rel=1e-5)


def test_discriminator_loss_averages_cross_entropy_on_real_and_fake():
    expected = (cross_entropy(1, LOGITS) + cross_entropy(0, 2 * LOGITS)) / 2
    assert float(discriminator_loss(LOGITS, 2 * LOGITS)) == pytest.approx(expected, rel=1e-5)


def test_an_undecided_discriminator_costs_ln_2():
    assert float(discriminator_loss(0 * LOGITS, 0 * LOGITS)) == pytest.approx(np.log(2))


def test_the_losses_stay_finite_when_the_discriminator_is_certain():
    certain = tf.constant([[1e4]])
    assert np.isfinite([float(adversarial_loss(-certain)), float(discriminator_loss(-certain, certain))]).all()


def test_pixel_loss_is_the_mean_absolute_difference():
    assert float(pixel_loss(tf.zeros((1, 2, 2, 3)), tf.constant(0.25, shape=(1, 2, 2, 3)))) == pytest.approx(0.25)
