"""Looks without an original, against pictures whose grid, noise and frequency are known."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from srstudy.judge.metrics import luma
from srstudy.judge.noreference import LOOKS, blockiness, looks, noise, overlap, sharpness


def grey(levels):
    """float [H, W] as an image."""
    return np.repeat(np.floor(levels + 0.5).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def steps(offset, height, size=64):
    """A ramp of 1 level a pixel, and `height` levels a pixel across a grid of 8 that begins at `offset`."""
    rise = np.where(np.arange(1, size) % 8 == offset % 8, height, 1)
    levels = np.concatenate([[0], np.cumsum(rise)])
    return grey((levels[:, None] + levels[None]) / 2 + 20)


@pytest.mark.parametrize("offset", [0, 3, 7])
def test_blockiness_is_the_step_at_the_grid_over_that_elsewhere_wherever_the_grid_begins(offset):
    assert blockiness(steps(offset, 3)) == pytest.approx(3, rel=0.02)


def test_a_smooth_ramp_has_no_grid():
    assert blockiness(steps(0, 1)) == pytest.approx(1, rel=0.02)


def test_a_real_jpeg_is_blockier_the_lower_its_quality(photo):
    figures = []
    for quality in (95, 40, 15, 5):
        file = io.BytesIO()
        Image.fromarray(photo[:256, :256]).save(file, "JPEG", quality=quality)
        figures.append(blockiness(np.array(Image.open(file))))
    assert figures == sorted(figures)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_is_the_deviation_of_what_was_added_also_on_a_slope(sigma):
    ramp = np.linspace(60, 190, 200)[:, None] + np.zeros(200)
    noisy = grey(ramp + np.random.default_rng(0).normal(0, sigma, ramp.shape))
    assert noise(noisy) == pytest.approx(sigma * 219 / 255, rel=0.05)  # luma of BT.601 has 219 levels for 255


def test_no_noise_is_found_in_a_ramp():
    assert noise(grey(np.arange(20, 84)[:, None] + np.zeros(64))) == 0


@pytest.mark.parametrize("frequency", [0.2, 0.8, 1.6])
def test_sharpness_is_the_frequency_of_a_wave_whatever_its_contrast(frequency):
    for contrast in (30, 100):
        wave = grey(128 + contrast * np.sin(frequency * np.arange(400))[:, None] + np.zeros(32))
        assert sharpness(wave) == pytest.approx(2 * np.sin(frequency / 2), rel=0.03)


def test_a_blurred_photograph_is_less_sharp(photo):
    soft = np.array(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(2)))
    assert sharpness(soft) < 0.7 * sharpness(photo)


@pytest.mark.parametrize("look", [blockiness, noise, sharpness])
def test_a_flat_picture_has_a_finite_figure(look):
    assert np.isfinite(look(np.full((32, 32, 3), 90, np.uint8)))


def test_luma_alone_is_looked_at(photo):
    patch = photo[:64, :64]
    same = grey((luma(patch) - 16) * 255 / 219)
    for look in (blockiness, noise, sharpness):
        assert look(same) == pytest.approx(look(patch), rel=0.1, abs=0.1)


def test_an_image_enlarged_by_repeating_its_pixels_has_the_looks_of_before(photo):
    patch = photo[:96, :96]
    large = np.kron(patch, np.ones((4, 4, 1), np.uint8))
    [before], [after] = (table[["blockiness", "noise"]].values for table in (looks([patch]), looks([large], 4)))
    np.testing.assert_allclose(after, before)


def test_sharpness_of_an_enlarged_wave_is_by_the_pixels_of_before():
    wave = grey(128 + 90 * np.sin(0.1 * np.arange(512))[:, None] + np.zeros(64))
    assert looks([wave], 4).sharpness[0] == pytest.approx(0.4, rel=0.03)


def test_there_is_a_row_for_each_image(photo):
    table = looks([photo[:64, :64], photo[64:128, :64]])
    assert (list(table), len(table)) == (LOOKS, 2)


def test_overlap_is_the_area_under_both_distributions():
    random = np.random.default_rng(0)
    normal = random.normal(0, 1, 40_000)
    assert overlap(normal, normal) == pytest.approx(1)
    assert overlap(normal, normal + 100) == 0
    assert overlap(normal, random.normal(2, 1, 40_000)) == pytest.approx(0.3173, abs=0.01)  # 2 Phi(-1)
    assert overlap([0.0, 1.0], [0.0, 0.0]) == pytest.approx(0.5)
