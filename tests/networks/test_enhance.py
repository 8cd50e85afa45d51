"""A trained generator in use: what batch norm normalises with, and that nothing of the generator changes."""

import numpy as np
import pytest
import tensorflow as tf

from srstudy.networks import enhance as module
from srstudy.networks.architectures import residual_generator, srgan_generator
from srstudy.networks.enhance import Enhancer, has_batch_norm


@pytest.fixture
def generator():
    """A generator whose moving averages are far from the statistics of any photograph."""
    model = srgan_generator(4, 1)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.2, w.shape) if w.ndim == 4 else w for w in model.get_weights()])
    return model


def levels(sr):
    return np.clip(np.round((np.asarray(sr) + 1) * 127.5), 0, 255).astype(np.uint8)


def test_moving_statistics_are_what_keras_predicts_with(generator, photo):
    lr = photo[:12, :16]
    expected = levels(generator.predict(lr[None] / 127.5 - 1.0, verbose=0)[0])
    assert np.abs(Enhancer(generator, "moving")(lr).astype(int) - expected).max() <= 1


def test_image_statistics_are_those_of_a_training_step(generator, photo):
    lr = photo[:12, :16]
    sr = Enhancer(generator, "image")(lr)
    expected = levels(generator(tf.constant(lr[None] / 127.5 - 1.0, tf.float32), training=True)[0])
    assert np.abs(sr.astype(int) - expected).max() <= 1
    assert (sr != Enhancer(generator, "moving")(lr)).any()


def test_using_a_generator_does_not_change_it(generator, photo):
    before = generator.get_weights()
    enhance = Enhancer(generator, "image")
    first = enhance(photo[:12, :16])
    enhance(photo[100:140, 100:140])
    assert all((a == b).all() for a, b in zip(before, generator.get_weights()))
    np.testing.assert_array_equal(first, enhance(photo[:12, :16]))


def test_only_generators_with_batch_norm_depend_on_the_statistics(generator):
    assert has_batch_norm(generator)
    assert not has_batch_norm(residual_generator(4, 1))


def test_any_size_becomes_four_times_as_large(photo):
    enhance = Enhancer(residual_generator(4, 1), "moving")
    for height, width in ((7, 9), (16, 16)):
        assert enhance(photo[:height, :width]).shape == (4 * height, 4 * width, 3)


@pytest.mark.parametrize("statistics", ["image", "moving"])
@pytest.mark.parametrize("kind", ["paper's, pixel shuffle", "paper's, nearest", "residual"])
def test_strips_of_a_large_image_make_the_sr_of_the_whole(generator, photo, monkeypatch, kind, statistics):
    models = {"paper's, pixel shuffle": generator, "paper's, nearest": srgan_generator(4, 1, upscaling="nearest")}
    model = models.get(kind) or residual_generator(4, 2)
    random = np.random.default_rng(0)
    model.set_weights([w if w.ndim < 4 else random.normal(0, 0.2, w.shape) for w in model.get_weights()])
    whole = Enhancer(model, statistics)(photo[:50, :20])
    for name in ("LARGE_MAPS", "SMALL_MAPS"):
        monkeypatch.setattr(module, name, 7 * 20)  # the last one has a row
    strips = Enhancer(model, statistics)(photo[:50, :20])
    assert whole.shape == strips.shape == (200, 80, 3)
    assert np.abs(strips.astype(int) - whole).max() <= 1  # a sum that another shape adds up in another order
    assert (strips != whole).mean() < 1e-3
