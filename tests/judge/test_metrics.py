"""The measures, against closed forms and formulas written out."""

import math

import numpy as np
import pytest
from scipy import ndimage

from srstudy.degrade.bicubic import downscale
from srstudy.judge import metrics
from srstudy.judge.metrics import MEASURES, Picture, inner, lr_psnr, luma


def measures(hr: np.ndarray, sr: np.ndarray) -> dict[str, float]:
    """The measures of an SR image against HR."""
    return metrics.measures(Picture(hr), Picture(sr))


@pytest.fixture
def image(photo: np.ndarray) -> np.ndarray:
    """A piece of a photograph without the darkest and brightest levels, so that shifts do not clip."""
    return np.clip(photo[60:160, 150:270], 30, 220)


@pytest.fixture
def worse(image: np.ndarray) -> np.ndarray:
    """The image with noise."""
    noise = np.random.default_rng(0).integers(-12, 13, image.shape)
    return (image.astype(int) + noise).astype(np.uint8)


@pytest.mark.parametrize("offset", [1, 5, 20])
def test_psnr_of_a_constant_offset_has_its_closed_form(image, offset):
    found = measures(image, image + np.uint8(offset))
    assert found["psnr_rgb"] == pytest.approx(20 * math.log10(255 / offset), abs=1e-9)
    # Y moves by 219/255 of the offset
    assert found["psnr_y"] == pytest.approx(20 * math.log10(255 / (offset * 219 / 255)), abs=1e-9)


def wang_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """SSIM of two channels in [0, 255] (Wang et al. 2004, equation 13): 11x11 Gaussian window, whole windows only."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    a, b = first.astype(float), second.astype(float)
    mean_a, mean_b = mean(a), mean(b)
    variances = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * (mean(a * b) - mean_a * mean_b) + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))).mean())


def test_ssim_is_that_of_wang_et_al(image, worse):
    found = measures(image, worse)
    a, b = image[4:-4, 4:-4], worse[4:-4, 4:-4]
    assert found["ssim_y"] == pytest.approx(wang_ssim(luma(a), luma(b)), abs=1e-6)
    assert found["ssim_rgb"] == pytest.approx(np.mean([wang_ssim(a[..., c], b[..., c]) for c in range(3)]), abs=1e-6)


def test_equal_images_are_perfect(image):
    fidelity = {"psnr_y": 100.0, "psnr_rgb": 100.0, "ssim_y": 1.0, "ssim_rgb": 1.0}
    colour = {"shift_a": 0.0, "shift_b": 0.0, "delta_e": 0.0}
    assert measures(image, image) == {**fidelity, **colour, "sharpness": 1.0}
    assert {*fidelity, *colour, "sharpness", "lr_psnr", "perceptual"} == set(MEASURES)


def test_a_border_of_four_pixels_does_not_count(image, worse):
    ruined = worse.copy()
    ruined[:4], ruined[-4:], ruined[:, :4], ruined[:, -4:] = 0, 255, 255, 0
    assert measures(image, ruined) == measures(image, worse)
    ruined[4, 4] = 0
    assert measures(image, ruined)["psnr_rgb"] < measures(image, worse)["psnr_rgb"]
    assert inner(image).shape == (92, 112, 3)


def test_luma_is_that_of_matlab(image):
    expected = 16 + image.astype(float) @ (np.array([65.481, 128.553, 24.966]) / 255)
    assert np.abs(luma(image) - expected).max() < 1e-9
    ends = luma(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    assert ends.tolist() == [pytest.approx([16, 235])]


TINTS = {"red": ((20, 0, 0), "shift_a", 1), "green": ((0, 20, 0), "shift_a", -1)}
TINTS |= {"blue": ((0, 0, 20), "shift_b", -1), "yellow": ((20, 20, 0), "shift_b", 1)}


@pytest.mark.parametrize(("added", "shift", "sign"), TINTS.values(), ids=TINTS)
def test_a_tint_shifts_its_axis_to_its_side(image, added, shift, sign):
    found = measures(image, image + np.array(added, np.uint8))
    assert sign * found[shift] > 2
    assert found["delta_e"] > 2


@pytest.mark.parametrize(("level", "other"), [(100, 110), (40, 200)])
def test_delta_e_of_grays_has_its_closed_form(level, other):
    def lightness(value: int) -> float:  # sRGB to CIELAB, above the linear parts of both curves
        return 116 * (((value / 255 + 0.055) / 1.055) ** 2.4) ** (1 / 3) - 16

    first, second = lightness(level), lightness(other)
    middle = ((first + second) / 2 - 50) ** 2
    expected = abs(first - second) / (1 + 0.015 * middle / math.sqrt(20 + middle))
    images = (np.full((20, 20, 3), value, np.uint8) for value in (level, other))
    assert measures(*images)["delta_e"] == pytest.approx(expected, abs=0.01)


def test_sharpness_is_below_1_for_blur_and_above_for_sharpening(image):
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::4] = 200
    assert measures(stripes, stripes // 2)["sharpness"] == pytest.approx(0.5, abs=1e-9)
    flat, noise = stripes * 0, np.random.default_rng(0).integers(0, 3, stripes.shape, np.uint8)
    assert [measures(flat, flat)["sharpness"], measures(stripes, flat)["sharpness"]] == [1, pytest.approx(0, abs=0.01)]
    assert 1 < measures(flat, noise)["sharpness"] < 4  # a black HR makes no mean useless
    blurred = ndimage.gaussian_filter(image.astype(float), (1, 1, 0))
    sharpened = np.clip(2.0 * image - blurred, 0, 255).astype(np.uint8)
    assert measures(image, blurred.round().astype(np.uint8))["sharpness"] < 0.9
    assert measures(image, sharpened)["sharpness"] > 1.1


def test_lr_psnr_sees_what_the_given_lr_did_not_hold(image):
    lr = downscale(image)
    assert lr_psnr(lr, image) == 100.0
    assert lr_psnr(lr, image + np.uint8(5)) == pytest.approx(20 * math.log10(255 / 5), abs=1e-9)
