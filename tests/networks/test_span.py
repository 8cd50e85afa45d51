"""The generator whose kernels are put together of several while it trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy.networks import architectures
from srstudy.networks.enhance import Enhancer
from srstudy.networks.span import ComposedConv, fused, span_generator


@pytest.fixture
def model():
    """A small one that does more than the bicubic enlargement."""
    keras.utils.set_random_seed(3)
    model = span_generator(8, 2)
    for weight in model.trainable_weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, (1, 2), stddev=0.1))
    return model


@pytest.mark.parametrize(("filters", "parameters"), [(32, 194_608), (48, 426_288)])
def test_when_it_is_trained_it_has_the_parameters_of_plain_convolutions(filters, parameters):
    # of n filters: first 27n+n; 6 blocks of three 9n^2+n; one more; 1x1 of four maps 4n^2+n; last 9n*48+48
    n = filters
    assert parameters == 27 * n + n + 19 * (9 * n * n + n) + 4 * n * n + n + 9 * n * 48 + 48
    plain = fused(span_generator(filters, 6))
    assert plain.count_params() == parameters
    assert not any(isinstance(layer, ComposedConv) for layer in plain.layers)


def test_a_composed_kernel_is_three_convolutions_one_after_the_other_and_one_beside_them():
    keras.utils.set_random_seed(1)
    layer, x = ComposedConv(5), tf.random.stateless_uniform((2, 9, 7, 3), (1, 2), -1, 1)
    layer.build(x.shape)
    layer.bias.assign(tf.range(5.0))
    inside = tf.nn.conv2d(tf.einsum("bhwi,ia->bhwa", x, layer.before), layer.middle, 1, "SAME")
    expected = tf.einsum("bhwa,ao->bhwo", inside, layer.after) + tf.einsum("bhwi,io->bhwo", x, layer.beside)
    np.testing.assert_allclose(layer(x), expected + tf.range(5.0), atol=1e-5)


def test_fused_it_gives_the_same_image_and_stays_what_it_is(model, photo, tmp_path):
    x = tf.cast(photo[None, :40, :36], tf.float32) / 127.5 - 1
    plain = fused(model)
    np.testing.assert_allclose(plain(x), model(x), atol=1e-5)
    assert fused(plain) is plain
    architectures.save_model(plain, tmp_path / "model.keras")
    sr = Enhancer(architectures.load_model(tmp_path / "model.keras"), "image")(photo[:37, :41])
    assert np.abs(sr.astype(int) - Enhancer(model, "image")(photo[:37, :41])).max() <= 1
    strips = Enhancer(model, "image")
    strips._at_once = 41 * 8
    assert np.abs(strips(photo[:37, :41]).astype(int) - sr).max() <= 1


def test_untrained_it_is_the_bicubic_enlargement(photo):
    keras.utils.set_random_seed(3)
    x = tf.cast(photo[None, :20, :24], tf.float32) / 127.5 - 1
    np.testing.assert_allclose(span_generator(8, 1)(x), architectures.residual_generator(4, 1)(x), atol=1e-6)
