"""What light and signal go through, against closed forms and SciPy's direct sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from srstudy.degrade import sensor

GREY = np.arange(5, 251, 35)


@pytest.mark.parametrize("kernel", [sensor.gaussian_kernel(2.0, 0.7, 0.4), sensor.motion_kernel(5.3, 2.0)])
def test_a_kernel_sums_to_1_and_is_centred(kernel):
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    assert kernel.min() >= 0
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-12)


def covariance(kernel):
    y, x = np.mgrid[: kernel.shape[0], : kernel.shape[1]] - kernel.shape[0] // 2
    return np.array([[(kernel * a * b).sum() for b in (x, y)] for a in (x, y)])


def test_a_lens_blurs_by_its_two_deviations_along_its_turned_axes():
    turn = np.array([[math.cos(0.4), -math.sin(0.4)], [math.sin(0.4), math.cos(0.4)]])
    expected = turn @ np.diag([2.5**2, 1.2**2]) @ turn.T
    np.testing.assert_allclose(covariance(sensor.gaussian_kernel(2.5, 1.2, 0.4)), expected, rtol=0.03, atol=0.03)


def test_motion_blurs_along_its_way_alone():
    """The variance of an even spread over 9 px is 81 / 12; sharing a point among its neighbours adds at most 1/4."""
    (along, cross), (_, across) = covariance(sensor.motion_kernel(9.0, 0.0))
    assert along == pytest.approx(81 / 12, abs=0.5)
    assert across == cross == 0
    slanted = covariance(sensor.motion_kernel(9.0, math.pi / 4))
    assert slanted[0, 1] == pytest.approx(81 / 24, abs=0.5)


def test_motion_of_no_length_changes_nothing(photo):
    np.testing.assert_array_equal(sensor.convolve(photo[:20, :24], sensor.motion_kernel(0.0, 1.0)), photo[:20, :24])


@pytest.mark.parametrize("kernel", [sensor.gaussian_kernel(2.0, 0.7, 0.4), sensor.motion_kernel(5.3, 2.0)])
def test_convolution_is_the_direct_sum(photo, kernel):
    image = photo[100:133, 50:96]
    direct = ndimage.convolve(image.astype(float), kernel[..., None], mode="reflect")
    assert np.abs(sensor.convolve(image, kernel).astype(float) - direct).max() <= 0.5 + 1e-6


def noisy(level, white, read):
    patch = np.full((200, 200, 3), level, np.uint8)
    return sensor.add_noise(patch, white, read, np.random.default_rng(1)).astype(float)


@pytest.mark.parametrize("level", [60, 120, 200])
def test_noise_has_the_variance_of_shot_and_read_noise_seen_through_the_curve_of_srgb(level):
    white, read = 4000.0, 10.0
    light = ((level / 255 + 0.055) / 1.055) ** 2.4
    slope = 255 * 1.055 / 2.4 * light ** (1 / 2.4 - 1)
    expected = slope * math.sqrt(light * white + read**2) / white
    result = noisy(level, white, read)
    assert result.std() == pytest.approx(math.hypot(expected, math.sqrt(1 / 12)), rel=0.03)  # 1/12: rounding to levels
    assert result.mean() == pytest.approx(level, abs=0.2)


def test_noise_grows_in_the_dark():
    spread = [noisy(level, 2000.0, 4.0).std() for level in (40, 80, 120, 160, 200)]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 1.5 * spread[-1]


def test_fewer_electrons_and_more_read_noise_make_more_noise():
    base = noisy(100, 2000.0, 2.0).std()
    assert noisy(100, 500.0, 2.0).std() == pytest.approx(2 * base, rel=0.1)
    assert noisy(100, 2000.0, 40.0).std() > 1.5 * base


def test_levels_survive_the_way_to_light_and_back():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(sensor.from_linear(sensor.to_linear(levels)), levels)


def test_light_is_that_of_srgb():
    """Fixed points of IEC 61966-2-1: half of the light is level 188, and level 10 lies on its straight part."""
    assert sensor.to_linear(np.uint8(188)) == pytest.approx(0.5, abs=0.005)
    assert sensor.to_linear(np.uint8(10)) == pytest.approx(10 / 255 / 12.92)


def test_gain_multiplies_the_light_of_each_channel():
    image = np.repeat(GREY[:, None, None], 3, axis=2).astype(np.uint8)
    gains = np.array([0.8, 1.0, 0.5])
    light = sensor.to_linear(sensor.amplify(image, gains))
    step = sensor.to_linear(image) - sensor.to_linear(image - 1)  # half a level's rounding, in light
    assert (np.abs(light - sensor.to_linear(image) * gains) <= 0.6 * step).all()


def test_too_much_light_is_cut_off():
    bright = sensor.amplify(np.full((2, 2, 3), 250, np.uint8), np.array([2.0, 1.0, 2.0]))
    assert bright[0, 0].tolist() == [255, 250, 255]


def test_a_sharpened_edge_has_halos_and_a_flat_place_none():
    edge = np.full((9, 40, 3), 80, np.uint8)
    edge[:, 20:] = 160
    sharp = sensor.sharpen(edge, 1.0, 1.0)
    assert (sharp[:, :12] == 80).all()
    assert (sharp[:, 28:] == 160).all()
    np.testing.assert_array_equal(sharp.astype(int).sum(axis=1), edge.astype(int).sum(axis=1))  # as much below as above
    # A Gaussian of 1 px leaves Phi(0.5) = 0.6915 of a step to the first pixel behind it: 0.3085 * 80 is missing there.
    assert sharp[4, 20, 0] - 160 == pytest.approx(0.3085 * 80, abs=1.5)


@pytest.mark.parametrize("shift", [-2, 0, 3])
def test_interlacing_moves_odd_rows_alone(photo, shift):
    image = photo[:9, :20]
    woven = sensor.interlace(image, shift)
    np.testing.assert_array_equal(woven[::2], image[::2])
    for row in range(1, 9, 2):
        for column in range(max(0, shift), min(20, 20 + shift)):
            assert (woven[row, column] == image[row, column - shift]).all()


def test_what_enters_an_interlaced_field_repeats_its_border(photo):
    right, left = (sensor.interlace(photo[:9, :20], shift)[1::2] for shift in (3, -2))
    assert (right[:, :3] == photo[1:9:2, :1]).all()
    assert (left[:, -2:] == photo[1:9:2, 19:20]).all()
