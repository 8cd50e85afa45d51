"""Every metric agrees with another implementation or a closed form, to the tolerance that docs/metrics.md states."""

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srstudy.degrade.bicubic import crop_to_multiple, downscale, upscale
from srstudy.judge.distributions import Moments, frechet, mmd
from srstudy.judge.metrics import Picture, luma, measures, psnr
from srstudy.judge.naturalness import asymmetric_gaussian
from srstudy.photos.images import read_rgb


@pytest.fixture
def pair(photo) -> tuple[np.ndarray, np.ndarray]:
    """HR of odd sides, cut to multiples of 4, and its bicubic enlargement."""
    hr = crop_to_multiple(photo[:203, :301])
    return hr, upscale(downscale(hr))


def test_psnr_and_ssim_are_scikit_image_s(pair):
    found, (hr, sr) = measures(*map(Picture, pair)), (image[4:-4, 4:-4] for image in pair)
    assert found["psnr_rgb"] == pytest.approx(peak_signal_noise_ratio(hr, sr), abs=1e-9)
    assert found["psnr_y"] == pytest.approx(peak_signal_noise_ratio(luma(hr), luma(sr), data_range=255), abs=1e-9)
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    assert found["ssim_rgb"] == pytest.approx(structural_similarity(hr, sr, channel_axis=2, **wang), abs=1e-9)


@pytest.mark.parametrize(("name", "expected"), [("set5", 28.43), ("set14", 26.00)])
def test_bicubic_has_its_published_psnr(shared, name, expected):
    """Set14's one gray file counts on its own 256 levels there."""
    found = []
    for path in sorted((shared / name / "hr").glob("*.png")):
        with Image.open(path) as image:
            channel = (lambda rgb: rgb[..., 0]) if image.mode == "L" else luma
        hr = crop_to_multiple(read_rgb(path))
        sides = (channel(image)[4:-4, 4:-4] for image in (hr, upscale(downscale(hr))))
        found.append(psnr(*sides))
    assert np.mean(found) == pytest.approx(expected, abs=0.005)


def test_moments_of_a_stream_are_those_of_all_vectors_at_once():
    vectors = np.random.default_rng(0).normal(3, 2, (5000, 20)).astype(np.float32)
    found = Moments()
    for start in range(0, 5000, 37):
        found.add(vectors[start : start + 37])
    np.testing.assert_allclose(found.mean, vectors.mean(axis=0, dtype=float), atol=1e-10)
    np.testing.assert_allclose(found.covariance, np.cov(vectors.astype(float), rowvar=False), atol=1e-10)
    assert {vector.tobytes() for vector in found.sample} <= {vector.tobytes() for vector in vectors}
    assert len(found.sample) == 4096


def test_frechet_distance_of_gaussians_has_its_closed_form():
    """Of covariances that share axes: squared differences of means and of standard deviations, of which some are 0."""
    random = np.random.default_rng(0)
    axes, _ = np.linalg.qr(random.normal(size=(30, 30)))
    (mean_a, mean_b), (a, b) = random.normal(size=(2, 30)), random.uniform(0, 3, (2, 30))
    b[:10] = 0
    found = frechet(mean_a, (axes * a**2) @ axes.T, mean_b, (axes * b**2) @ axes.T)
    assert found == pytest.approx(np.sum((mean_a - mean_b) ** 2) + np.sum((a - b) ** 2), abs=1e-6)


def test_mmd_is_its_double_sum():
    a, b = np.random.default_rng(0).normal(size=(2, 9, 5))
    b = b[:7] + 0.5

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (sum(p * q for p, q in zip(x, y)) / 5 + 1) ** 3

    own = [
        sum(kernel(x, y) for i, x in enumerate(part) for j, y in enumerate(part) if i != j)
        / (len(part) ** 2 - len(part))
        for part in (a, b)
    ]
    assert mmd(a, b) == pytest.approx(sum(own) - 2 * sum(kernel(x, y) for x in a for y in b) / 63, rel=1e-12)


@pytest.mark.parametrize(("shape", "draw"), [(2.0, "normal"), (1.0, "laplace")])
def test_niqe_s_fit_finds_the_distribution_that_values_are_drawn_from(shape, draw):
    """The scale of a normal distribution is sqrt(2) standard deviations."""
    values = getattr(np.random.default_rng(0), draw)(size=1_000_000)
    scale = np.sqrt(2) if shape == 2 else 1.0
    assert asymmetric_gaussian(values) == pytest.approx((shape, scale, scale), rel=0.01)
