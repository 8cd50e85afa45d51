"""The losses against closed forms and an independent implementation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy.train import losses

REAL = np.array([[2.0], [-1.0], [0.5]], "float32")
FAKE = np.array([[-3.0], [0.25], [1.0]], "float32")


def cross_entropy(labels: float, logits: np.ndarray) -> float:
    target = np.full_like(logits, labels)
    return float(keras.losses.binary_crossentropy(target[:, 0], logits[:, 0], from_logits=True))


def test_the_l1_loss_is_the_mean_absolute_difference():
    hr, sr = np.random.default_rng(0).uniform(-1, 1, (2, 2, 8, 8, 3)).astype("float32")
    assert float(losses.l1_loss(hr, sr)) == pytest.approx(np.abs(hr - sr).mean(), rel=1e-5)


def test_the_charbonnier_loss_is_l1_far_from_zero_and_smooth_at_zero():
    zero = tf.zeros((1, 4, 4, 3))
    assert float(losses.charbonnier_loss(zero, zero + 0.5)) == pytest.approx(0.5, rel=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(zero)
        loss = losses.charbonnier_loss(zero, zero)
    assert float(loss) == pytest.approx(1e-3)
    assert not tf.reduce_any(tf.math.is_nan(tape.gradient(loss, zero)))


def test_the_frequency_loss_is_the_mean_difference_of_numpy_s_coefficients():
    hr, sr = np.random.default_rng(0).uniform(-1, 1, (2, 2, 8, 6, 3)).astype("float32")
    parts = np.fft.rfft2(hr - sr, axes=(1, 2))
    expected = (np.abs(parts.real).mean() + np.abs(parts.imag).mean()) / 2
    assert float(losses.frequency_loss(hr, sr)) == pytest.approx(expected, rel=1e-5)


def test_the_adversarial_loss_is_the_cross_entropy_of_sr_against_real():
    assert float(losses.adversarial_loss(FAKE)) == pytest.approx(cross_entropy(1, FAKE), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_discriminators_loss_averages_hr_against_real_and_sr_against_fake(smoothing):
    expected = (cross_entropy(1 - smoothing, REAL) + cross_entropy(0, FAKE)) / 2
    assert float(losses.discriminator_loss(REAL, FAKE, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_relativistic_losses_compare_each_with_the_other_kinds_mean():
    real, fake = REAL - FAKE.mean(), FAKE - REAL.mean()
    expected = (cross_entropy(1, real) + cross_entropy(0, fake)) / 2
    assert float(losses.discriminator_loss(REAL, FAKE, relativistic=True)) == pytest.approx(expected, rel=1e-5)
    swapped = (cross_entropy(1, fake) + cross_entropy(0, real)) / 2
    assert float(losses.adversarial_loss(FAKE, REAL)) == pytest.approx(swapped, rel=1e-5)


@pytest.mark.parametrize(("relativistic", "expected"), [(False, (2 / 3, 1 / 3)), (True, (2 / 3, 2 / 3))])
def test_accuracies_are_the_shares_that_the_discriminator_told_right(relativistic, expected):
    found = losses.accuracies(tf.constant(REAL), tf.constant(FAKE), relativistic)
    assert (float(found["real_accuracy"]), float(found["fake_accuracy"])) == pytest.approx(expected)


def test_huge_logits_stay_finite():
    assert float(losses.discriminator_loss(REAL * 1e4, FAKE * 1e4)) < 1e5
    assert float(losses.adversarial_loss(FAKE * 1e4)) < 1e5
