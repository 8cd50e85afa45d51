"""Enlargement without training, by what each method promises: on Set5, committed photographs, and flat images."""

from functools import partial

import numpy as np
import pytest

from srstudy.degrade.bicubic import crop_to_multiple, downscale, to_uint8, upscale
from srstudy.judge.classical import METHODS, back_projection, deep_image_prior
from srstudy.judge.evaluate import sample_images
from srstudy.judge.metrics import Picture, measures, psnr
from srstudy.photos.images import read_rgb

QUICK = METHODS | {"deep image prior": partial(deep_image_prior, steps=2)}


@pytest.fixture(scope="module")
def set5(shared):
    return [crop_to_multiple(read_rgb(path)) for path in sorted((shared / "set5" / "hr").glob("*.png"))]


def mean_psnr(images, method):
    """PSNR-Y of SR against HR, and PSNR of SR reduced again against LR, in dB, averaged over HR images."""
    rows = []
    for hr in images:
        sr = method(lr := downscale(hr))
        rows.append((measures(Picture(hr), Picture(sr))["psnr_y"], psnr(lr, downscale(sr))))
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("name", METHODS)
def test_odd_sizes_are_enlarged_by_4_and_equal_images_equally(photo, name):
    lr = photo[100:117, 200:223]
    sr = QUICK[name](lr)
    assert (sr.shape, sr.dtype) == ((68, 92, 3), np.uint8)
    np.testing.assert_array_equal(QUICK[name](lr), sr)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"clahe", "deep image prior"}))
def test_nothing_is_invented_in_a_flat_image(name):
    lr = np.full((20, 17, 3), (90, 128, 200), np.uint8)
    assert np.ptp(METHODS[name](lr).astype(int) - (90, 128, 200)) <= 1


def test_back_projection_beats_bicubic_and_nearly_is_lr_when_reduced_again(set5, study):
    bicubic, better = mean_psnr(set5, upscale), mean_psnr(set5, back_projection)
    assert better[0] > bicubic[0] + 0.5
    assert better[1] > 60 > bicubic[1]
    for hr in sample_images(study, "test", 6).values():
        assert (mean_psnr([hr], back_projection) > mean_psnr([hr], upscale)).all()


def test_lanczos_is_a_little_better_than_bicubic_and_nearest_far_worse(set5):
    bicubic, better, worse = (mean_psnr(set5, METHODS[name])[0] for name in ("bicubic", "lanczos", "nearest"))
    assert 0.1 < better - bicubic < 0.6
    assert bicubic - worse > 1.5


@pytest.mark.parametrize("name", ["non-local means", "wavelets"])
def test_denoising_helps_noisy_lr_and_hardly_harms_a_clean_one(set5, name):
    random = np.random.default_rng(0)
    gains = []
    for hr in set5:
        clean = downscale(hr)
        noisy = to_uint8(clean + random.normal(0, 20, clean.shape))
        plain, freed = (measures(Picture(hr), Picture(method(noisy))) for method in (upscale, METHODS[name]))
        gains.append(freed["psnr_y"] - plain["psnr_y"])
    assert np.mean(gains) > 0.1
    assert abs(mean_psnr(set5, METHODS[name])[0] - mean_psnr(set5, upscale)[0]) < 0.1


def test_clahe_raises_local_contrast(photo):
    lr = downscale(photo[:256, 128:384])
    plain, sr = Picture(upscale(lr)), Picture(METHODS["clahe"](lr))
    assert sr.slope > 1.2 * plain.slope


@pytest.mark.slow
def test_a_deep_image_prior_learns_lr_and_what_it_makes_is_an_image(photo):
    lr = downscale(hr := photo[40:104, 200:264])
    few, many = (deep_image_prior(lr, steps) for steps in (5, 100))
    assert psnr(lr, downscale(many)) > psnr(lr, downscale(few)) + 5
    assert psnr(hr, many) > psnr(hr, few) + 3
