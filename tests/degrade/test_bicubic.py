"""LR images are MATLAB's: against MATLAB's own, the field's published figures, and the kernel written out by hand."""

import math

import numpy as np
import pytest
from PIL import Image

from srstudy.degrade.bicubic import crop_to_multiple, downscale, resize, resize_matrix, upscale
from srstudy.photos.images import read_rgb

IMAGES = {"set5": 5, "set14": 14}


def pairs(shared, name):
    """(path, HR, MATLAB's LR) of every image of a test set."""
    for path in sorted((shared / name / "hr").glob("*.png")):
        yield path, crop_to_multiple(read_rgb(path)), read_rgb(shared / name / "lr_x4_matlab" / path.name)


@pytest.mark.parametrize("name", IMAGES)
def test_no_pixel_differs_from_matlab(shared, name):
    differing = {path.name: np.count_nonzero(downscale(hr) != lr) for path, hr, lr in pairs(shared, name)}
    assert differing == dict.fromkeys(differing, 0)
    assert len(differing) == IMAGES[name]


@pytest.mark.parametrize(("name", "published", "tolerance"), [("set5", 28.43, 0.005), ("set14", 26.00, 0.01)])
def test_bicubic_enlargement_has_the_published_psnr(shared, name, published, tolerance):
    psnr = []
    for path, hr, lr in pairs(shared, name):
        # As the field does: Y of a colour image, the image itself where the file is gray; a border of 4 left out.
        with Image.open(path) as image:
            weights, offset = ([1, 0, 0], 0) if image.mode == "L" else ([65.481 / 255, 128.553 / 255, 24.966 / 255], 16)
        hr_y, sr_y = (offset + image[4:-4, 4:-4] @ np.array(weights) for image in (hr, upscale(lr)))
        psnr.append(10 * math.log10(255**2 / np.mean((hr_y - sr_y) ** 2)))
    assert np.mean(psnr) == pytest.approx(published, abs=tolerance)


@pytest.mark.parametrize(("size_in", "size_out"), [(128, 32), (32, 128), (7, 28), (20, 5), (4, 1), (1, 4)])
def test_weights_sum_to_1_for_every_output_pixel_and_are_mirrored_like_the_image(size_in, size_out):
    matrix = resize_matrix(size_in, size_out).toarray()
    assert matrix.shape == (size_out, size_in)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


def test_sizes_that_are_no_multiple_are_refused_until_the_right_and_lower_edge_are_cut(photo):
    for height, width in ((65, 64), (64, 66)):
        with pytest.raises(ValueError, match=f"{height}x{width} is not a multiple of 4"):
            downscale(photo[:height, :width])
        np.testing.assert_array_equal(crop_to_multiple(photo[:height, :width]), photo[:64, :64])


def test_resizing_is_the_same_interpolation_at_any_factor(photo):
    assert resize(photo[:63, :101], 0.7).shape == (44, 71, 3)
    assert np.array_equal(resize(photo[:64, :100], 0.25), downscale(photo[:64, :100]))
    assert np.array_equal(resize(photo[:64, :100], 4), upscale(photo[:64, :100]))
    assert np.array_equal(resize(photo[:64, :100], 1), photo[:64, :100])


def keys(x: float) -> float:
    """Keys' cubic convolution kernel with a = -1/2 (Keys 1981, equation 15)."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def to_8_bits(value: float) -> int:
    return min(max(math.floor(value + 0.5), 0), 255)


@pytest.mark.parametrize(("row", "column"), [(3, 3), (7, 20), (12, 9)])
def test_an_inner_lr_pixel_is_the_widened_kernel_summed_by_hand(photo, row, column):
    hr, channel = photo[60:132, 180:292], 1
    tap = [keys((k - 7.5) / 4) for k in range(16)]  # HR pixels 4r-6 to 4r+9 around the LR pixel's centre, 4r+1.5

    def vertical(x: int) -> int:  # MATLAB rounds to 8 bits after the first pass too
        column_of_hr = [int(hr[4 * row - 6 + k, x, channel]) for k in range(16)]
        return to_8_bits(sum(weight * value for weight, value in zip(tap, column_of_hr)) / sum(tap))

    expected = to_8_bits(sum(tap[k] * vertical(4 * column - 6 + k) for k in range(16)) / sum(tap))
    assert downscale(hr)[row, column, channel] == expected


@pytest.mark.parametrize(("row", "column"), [(14, 17), (30, 31), (41, 24)])
def test_an_inner_enlarged_pixel_is_the_kernel_summed_by_hand(photo, row, column):
    lr, channel = photo[200:216, 200:216], 0

    def taps(place: int) -> dict[int, float]:
        centre = (place + 0.5) / 4 - 0.5
        return {k: keys(centre - k) for k in range(math.floor(centre) - 1, math.floor(centre) + 3)}

    def vertical(x: int) -> int:
        return to_8_bits(sum(weight * int(lr[y, x, channel]) for y, weight in taps(row).items()))

    expected = to_8_bits(sum(weight * vertical(x) for x, weight in taps(column).items()))
    assert upscale(lr)[row, column, channel] == expected
