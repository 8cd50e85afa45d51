"""The generators beside SRGAN's: their sizes by hand, images of any size, and saving."""

import keras
import numpy as np
import pytest

from srstudy.networks import architectures, baselines
from srstudy.networks.enhance import Enhancer

SMALL = {
    "edsr": lambda: baselines.edsr_generator(8, 2),
    "rrdb": lambda: baselines.rrdb_generator(8, 1, 4),
    "autoencoder": lambda: baselines.autoencoder(8, 16),
    "srgan without norm": lambda: architectures.srgan_generator(8, 1, momentum=None),
}


def test_edsr_baseline_has_the_published_number_of_parameters():
    assert baselines.edsr_generator().count_params() == 1_517_571  # Lim et al. 2017: 1.5 M


def test_the_full_size_rrdb_network_has_the_published_number_of_parameters():
    assert baselines.rrdb_generator().count_params() == 16_697_987  # Wang et al. 2018: 16.7 M


@pytest.mark.parametrize("code", [128, 256])
def test_the_autoencoder_has_the_papers_layers(code):
    model = baselines.autoencoder(64, code)
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [(conv.filters, conv.strides[0]) for conv in convs] == [(64, 2), (128, 2), (256, 2), (code, 1), (3, 1)]
    transposed = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert transposed == [256, 128, 64]
    assert convs[-1].activation is keras.activations.tanh


@pytest.mark.parametrize("name", SMALL)
def test_images_of_any_size_are_enlarged_whole_and_in_strips_alike_and_after_saving(name, photo, tmp_path):
    keras.utils.set_random_seed(3)
    model, lr = SMALL[name](), photo[:37, :41]
    enhance = Enhancer(model, "image")
    sr = enhance(lr)
    assert sr.shape == (148, 164, 3) and sr.std() > 0
    enhance._at_once = 41 * 8  # strips of 8 rows
    assert np.abs(enhance(lr).astype(int) - sr).max() <= 1
    architectures.save_model(model, tmp_path / "model.keras")
    np.testing.assert_array_equal(Enhancer(architectures.load_model(tmp_path / "model.keras"), "image")(lr), sr)


def test_without_norm_nothing_but_the_norm_is_missing():
    def kinds(momentum):
        layers = (
            architectures.srgan_generator(8, 2, momentum).layers
            + architectures.discriminator(32, 2, 8, momentum).layers
        )
        return [type(layer).__name__ for layer in layers]

    assert kinds(None) == [kind for kind in kinds(0.5) if kind != "BatchNorm"]


def test_a_network_between_two_is_the_one_or_the_other_at_the_ends_and_neither_between(photo):
    lr, networks = photo[:24, :24], []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(SMALL["rrdb"]())
    first, second = (Enhancer(network, "image")(lr) for network in networks)
    between = [Enhancer(baselines.interpolated(*networks, share), "image")(lr) for share in (0.0, 0.5, 1.0)]
    np.testing.assert_array_equal(between[0], first)
    np.testing.assert_array_equal(between[2], second)
    assert not any((between[1] == end).all() for end in (first, second))
    with pytest.raises(ValueError):
        baselines.interpolated(networks[0], SMALL["edsr"](), 0.5)
