"""The perceptual distance, against its formula written out."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from srstudy.judge import distance as module
from srstudy.judge.distance import LAYERS, NETWORK, PIXELS, Distance
from srstudy.networks.perceptual import feature_network, features


@pytest.fixture(scope="module")
def distance() -> Distance:
    return Distance()


@pytest.fixture(scope="module")
def blurred(photo) -> list[np.ndarray]:
    """A piece of a photograph, then softer and softer."""
    return [gaussian_filter(photo[:96, :80], (sigma, sigma, 0)) for sigma in (0, 1, 3)]


def test_it_is_zero_for_equal_images_and_grows_with_blur(distance, blurred):
    hr = distance.features(blurred[0])
    same, near, far = (distance.between(hr, sr) for sr in blurred)
    assert same == pytest.approx(0, abs=1e-6)
    assert 0 < near < far


def test_it_is_the_mean_squared_difference_of_unit_features(distance, blurred):
    hr, sr, _ = blurred
    network = feature_network(NETWORK, LAYERS)
    depths = []
    for a, b in zip(*(features(network, image[None, 4:-4, 4:-4] / np.float32(127.5) - 1) for image in (hr, sr))):
        a, b = (maps.numpy() / np.linalg.norm(maps, axis=-1, keepdims=True).clip(1e-9) for maps in (a, b))
        depths.append(((a - b) ** 2).sum(axis=-1).mean())
    assert distance.between(distance.features(hr), sr) == pytest.approx(np.mean(depths), rel=1e-4)


def test_a_border_of_four_pixels_does_not_count(distance, blurred):
    hr, sr, _ = blurred
    framed = sr.copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 255, 255, 0
    assert distance.between(distance.features(hr), framed) == distance.between(distance.features(hr), sr)


@pytest.mark.parametrize("side", [256, 512], ids=["several at once", "one at a time"])
def test_images_have_the_same_distance_alone_and_in_company(distance, photo, side):
    hr = photo[:side, :side]
    srs = [gaussian_filter(hr, (sigma, sigma, 0)) for sigma in (1, 2, 3)]
    assert (side**2 * 2 <= PIXELS) == (side == 256)
    known = distance.features(hr)
    assert distance.of_each(hr, srs) == [distance.between(known, sr) for sr in srs]


def test_tiles_add_up_to_the_distance_of_the_whole_image(distance, photo, monkeypatch):
    """Of 504x440 px without border: the last tiles end between two places of the deepest layer."""
    hr, sr = photo[:, :448], gaussian_filter(photo[:, :448], (1, 1, 0))
    whole = distance.between(distance.features(hr), sr)
    monkeypatch.setattr(module, "PIXELS", 1)
    monkeypatch.setattr(module, "TILE", 130)
    assert distance.of_each(hr, [sr, hr]) == pytest.approx([whole, 0], rel=1e-6, abs=1e-9)
