"""Networks against counts of parameters by hand, and against other implementations of their layers."""

import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy import StudyError
from srstudy.networks import architectures


def noise(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def test_the_full_size_generator_has_the_papers_number_of_parameters():
    # first conv 9*9*3*64+64, PReLU 64                                          15,680
    # 16 blocks of two convs (3*3*64*64+64), two BN (4*64), one PReLU (64)   1,190,912
    # conv 36,928 and BN 256                                                    37,184
    # two upscaling blocks: conv 3*3*64*256+256, PReLU 64                      295,552
    # last conv 9*9*64*3+3                                                      15,555
    assert architectures.srgan_generator().count_params() == 1_554_883


@pytest.mark.parametrize(("hr_size", "parameters"), [(128, 38_249_281), (256, 138_912_577)])
def test_the_full_size_discriminator_has_the_papers_number_of_parameters(hr_size, parameters):
    # convs 3-64-64-128-128-256-256-512-512, each 9*in*out+out               4,685,376
    # BN after all but the first, 4*out                                          7,424
    # four strides of 2 leave (hr/16)^2 * 512 values: 32,768 or 131,072
    # dense 1024: 33,555,456 or 134,218,752; logit 1024+1                        1,025
    assert architectures.discriminator(hr_size).count_params() == parameters


def test_the_full_size_residual_generator_has_the_parameters_of_its_convolutions():
    # conv 9*3*64+64 = 1,792; 16 blocks of two convs 36,928; conv 36,928; conv 9*64*48+48 = 27,696
    assert architectures.residual_generator().count_params() == 1_792 + 32 * 36_928 + 36_928 + 27_696


def test_the_papers_layers_stand_in_the_papers_number_and_kind():
    kinds = [type(layer).__name__ for layer in architectures.srgan_generator().layers]
    assert kinds.count("BatchNorm") == 2 * 16 + 1
    assert kinds.count("Add") == 16 + 1
    assert kinds.count("PReLU") == 1 + 16 + 2
    kinds = [type(layer).__name__ for layer in architectures.discriminator(128).layers]
    assert (kinds.count("Conv2D"), kinds.count("BatchNorm"), kinds.count("Dense")) == (8, 7, 2)
    assert kinds.count("LeakyReLU") == 8 + 1


@pytest.mark.parametrize("upscaling", ["pixel_shuffle", "nearest"])
def test_the_srgan_generator_enlarges_any_size_by_four_and_stays_in_range(upscaling):
    generator = architectures.srgan_generator(4, 1, upscaling=upscaling)
    sr = generator(noise(2, 5, 7, 3)).numpy()
    assert sr.shape == (2, 20, 28, 3)
    assert np.abs(sr).max() <= 1


def test_the_untrained_residual_generator_is_the_bicubic_enlargement():
    lr = noise(1, 8, 9, 3)
    expected = tf.image.resize(lr, (32, 36), method="bicubic")
    np.testing.assert_allclose(architectures.residual_generator(4, 1)(lr), expected, atol=1e-6)


def test_pixel_shuffle_puts_channels_where_shi_et_al_put_them():
    image = np.arange(2 * 3 * 8).reshape(1, 2, 3, 8).astype("float32")
    shuffled = architectures.PixelShuffle(2)(image).numpy()
    for row in range(4):
        for column in range(6):
            block = (row % 2) * 2 + column % 2
            expected = image[0, row // 2, column // 2, 2 * block : 2 * block + 2]
            np.testing.assert_array_equal(shuffled[0, row, column], expected)


@pytest.mark.parametrize("build", [architectures.srgan_generator, architectures.residual_generator])
def test_a_saved_generator_loads_in_safe_mode_and_gives_the_same_image(build, tmp_path):
    generator = build(4, 1)
    generator.set_weights([w + np.random.default_rng(0).normal(0, 0.1, w.shape) for w in generator.get_weights()])
    architectures.save_model(generator, tmp_path / "generator.keras")
    loaded = keras.saving.load_model(tmp_path / "generator.keras", compile=False, safe_mode=True)
    lr = noise(1, 6, 6, 3)
    np.testing.assert_array_equal(loaded(lr), generator(lr))
    assert "Lambda" not in zipfile.ZipFile(tmp_path / "generator.keras").read("config.json").decode()


def test_equal_weights_give_equal_files(tmp_path):
    weights = architectures.srgan_generator(4, 1).get_weights()
    for name in ("first", "second"):
        keras.backend.clear_session()  # layers are numbered from 1 again, as in a new process
        generator = architectures.srgan_generator(4, 1)  # each time elsewhere in memory
        generator.set_weights(weights)
        architectures.save_model(generator, tmp_path / f"{name}.keras")
    assert (tmp_path / "first.keras").read_bytes() == (tmp_path / "second.keras").read_bytes()


def test_a_missing_or_damaged_model_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"none\.keras"):
        architectures.load_model(tmp_path / "none.keras")
    (tmp_path / "half.keras").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(StudyError, match=r"half\.keras"):
        architectures.load_model(tmp_path / "half.keras")


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_batch_norm_is_kerass_with_its_moving_statistics_and_gradients(dtype):
    x, found = tf.constant(noise(3, 6, 5, 4) * 3 + 1), []
    for kind in (architectures.BatchNorm, keras.layers.BatchNormalization):
        norm = kind(momentum=0.5, synchronized=True, dtype=dtype)
        norm.build(x.shape)
        norm.gamma.assign([0.5, 1.0, 2.0, -1.0])
        for _ in range(2):
            with tf.GradientTape() as tape:
                y = norm(x, training=True)
                loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
        gradients = tape.gradient(loss, norm.trainable_variables)
        found.append([y, norm(x, training=False), norm.moving_mean, norm.moving_variance, *gradients])
    near = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 0.03, "atol": 0.3}
    for ours, kerass in zip(*found):
        assert ours.dtype == kerass.dtype
        np.testing.assert_allclose(np.asarray(ours, "float32"), np.asarray(kerass, "float32"), **near)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 9)])
def test_the_last_convolution_is_kerass_with_its_gradients_on_even_and_odd_sides(height, width):
    x, found = tf.constant(noise(2, height, width, 5)), []
    for kind in (architectures.OutputConv, keras.layers.Conv2D):
        keras.utils.set_random_seed(1)
        layer = kind(3, 9, padding="same", activation="tanh")
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**3)
        found.append([y, *tape.gradient(loss, [x, *layer.trainable_variables])])
    for ours, kerass in zip(*found):
        np.testing.assert_allclose(ours, kerass, rtol=1e-4, atol=1e-4)


def test_a_frozen_batch_norm_normalises_with_its_moving_statistics_as_kerass():
    norm = architectures.BatchNorm(momentum=0.5)
    norm.build((None, 4, 4, 2))
    norm.trainable = False
    x = tf.constant(noise(1, 4, 4, 2) + 5)
    np.testing.assert_allclose(norm(x, training=True), x, rtol=1e-3)
    assert not np.asarray(norm.moving_mean).any()
