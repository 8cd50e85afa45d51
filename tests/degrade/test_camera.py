"""The `cctv` degradation: a function of image, ranges and seed; its steps are taken as often and go as far as told."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from srstudy.degrade import camera
from srstudy.degrade.camera import degrade, order, through
from srstudy.judge.metrics import luma


@pytest.fixture
def cctv(study):
    """The committed degradation."""
    return study.degradations["cctv"]


@pytest.fixture
def hr(photo):
    return photo[40:136, 180:276]


def with_probability(cctv, probability, *names, **others):
    """`cctv` with these steps taken by that probability, and other values changed."""
    steps = {name: replace(getattr(cctv, name), probability=probability) for name in names}
    return replace(cctv, **steps, **others)


def alone(cctv, *names):
    """`cctv` with sampling by a box and these steps alone, each of them taken."""
    steps = [field.name for field in fields(cctv) if field.name not in ("downscaling", "storing_last")]
    none = with_probability(cctv, 0.0, *steps, downscaling=replace(cctv.downscaling, kernels=("box",)))
    return with_probability(none, 1.0, *names)


def orders(cctv, count):
    return [order(cctv, np.random.default_rng(seed)) for seed in range(count)]


def test_lr_is_a_quarter_of_hr_each_way(cctv, photo):
    for height, width in ((96, 96), (64, 100), (4, 8)):
        lr = degrade(photo[:height, :width], cctv, np.random.default_rng(0))
        assert (lr.shape, lr.dtype) == ((height // 4, width // 4, 3), np.uint8)


def test_equal_seeds_give_equal_bytes_and_others_other_ones(cctv, hr):
    lrs = [degrade(hr, cctv, np.random.default_rng(seed)).tobytes() for seed in (1, 1, *range(2, 22))]
    assert lrs[0] == lrs[1]
    assert len(set(lrs)) == 21


def test_the_image_is_left_as_it_was(cctv, hr):
    before = hr.copy()
    for seed in range(10):
        degrade(hr, cctv, np.random.default_rng(seed))
    np.testing.assert_array_equal(hr, before)


def test_sides_that_are_no_multiple_of_4_are_refused(cctv, photo):
    with pytest.raises(ValueError, match="30x32 is not a multiple of 4"):
        degrade(photo[:30, :32], cctv, np.random.default_rng(0))


def test_without_any_step_lr_is_the_mean_of_4_by_4_pixels(cctv, hr):
    means = hr.reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    lr = degrade(hr, alone(cctv), np.random.default_rng(0))
    assert np.abs(lr - means).max() <= 1


def test_the_kernels_that_are_listed_are_the_ones_used(cctv, hr):
    some = replace(alone(cctv), downscaling=replace(cctv.downscaling, kernels=("lanczos", "bilinear")))
    seen = {degrade(hr, some, np.random.default_rng(seed)).tobytes() for seed in range(20)}
    filters = Image.Resampling.LANCZOS, Image.Resampling.BILINEAR
    assert seen == {np.array(Image.fromarray(hr).resize((24, 24), filter)).tobytes() for filter in filters}


def test_every_step_shows_its_image_and_the_last_is_lr(cctv, hr):
    blurred = with_probability(cctv, 1.0, "optics")
    steps = list(through(hr, blurred, np.random.default_rng(4)))
    assert [name for name, _ in steps] == order(blurred, np.random.default_rng(4))
    assert [image.shape for _, image in steps[:2]] == [(96, 96, 3), (24, 24, 3)]
    np.testing.assert_array_equal(steps[-1][1], degrade(hr, blurred, np.random.default_rng(4)))


def test_a_step_is_taken_as_often_as_its_probability_says(cctv):
    count = Counter(name for taken in orders(cctv, 600) for name in taken)
    for field in fields(cctv):
        if field.name not in ("downscaling", "storing_last"):
            share = getattr(cctv, field.name).probability
            deviation = np.sqrt(share * (1 - share) / 600)
            assert count[field.name] / 600 == pytest.approx(share, abs=4 * deviation), field.name
    assert count["downscaling"] == 600


def test_blur_comes_before_sampling_the_signal_after_it_and_storing_last(cctv):
    every = camera.with_every_step(cctv)
    seen = set(map(tuple, orders(every, 600)))
    assert {taken[:3] for taken in seen} == {("optics", "motion", "downscaling")}
    assert {frozenset(taken[3:7]) for taken in seen} == {frozenset(camera.SIGNAL)}
    assert len(seen) == 24 * 2  # every order of the signal's four steps, and of the two codecs


def test_storing_may_come_anywhere_after_sampling_if_it_need_not_be_last(cctv):
    every = replace(camera.with_every_step(cctv), storing_last=0.0)
    assert {taken.index("jpeg") for taken in orders(every, 100)} == set(range(3, 9))


@pytest.mark.parametrize(
    ("name", "mild", "strong"),
    [
        ("optics", {"sigma": (0.3, 0.3)}, {"sigma": (4.0, 4.0)}),
        ("motion", {"length": (0.5, 0.5)}, {"length": (16.0, 16.0)}),
        ("noise", {"white": (1e5, 1e5), "read": (0, 0)}, {"white": (200, 200), "read": (9, 9)}),
        ("gain", {"gain": (1, 1), "balance": (1, 1)}, {"gain": (0.6, 0.6), "balance": (1, 1)}),
        ("sharpening", {"amount": (0.05, 0.05)}, {"amount": (2, 2)}),
        ("interlacing", {"shift": (0, 0)}, {"shift": (3, 3)}),
        ("jpeg", {"quality": (95, 95)}, {"quality": (5, 5)}),
        ("h264", {"quantiser": (12, 12)}, {"quantiser": (48, 48)}),
    ],
)
def test_how_far_a_step_goes_is_its_range_s(cctv, hr, name, mild, strong):
    def change(values):
        step = replace(getattr(alone(cctv, name), name), **values)
        lr = degrade(hr, replace(alone(cctv, name), **{name: step}), np.random.default_rng(5))
        return np.abs(lr.astype(float) - degrade(hr, alone(cctv), np.random.default_rng(5))).mean()

    assert change(strong) > 2.5 * change(mild)


def test_gain_and_balance_stay_within_their_ranges(cctv, hr):
    flat, ranges = np.full_like(hr, 128), replace(cctv.gain, probability=1.0, gain=(0.8, 1.2), balance=(0.9, 1.1))
    seen = []
    for seed in range(60):
        lr = degrade(flat, replace(alone(cctv, "gain"), gain=ranges), np.random.default_rng(seed))
        light = ((lr[3, 3] / 255 + 0.055) / 1.055) ** 2.4 / ((128 / 255 + 0.055) / 1.055) ** 2.4
        seen.append((light[1], light[0] / light[1], light[2] / light[1]))
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    assert (low > np.array([0.8, 0.9, 0.9]) - 0.02).all()
    assert (high < np.array([1.2, 1.1, 1.1]) + 0.02).all()
    assert (high - low > np.array([0.3, 0.15, 0.15])).all()


def test_a_codec_s_blocks_begin_anywhere_in_a_crop(cctv, photo):
    """So that a network can't learn where they are from where its crop begins."""
    coarse = replace(alone(cctv, "jpeg"), jpeg=replace(cctv.jpeg, probability=1.0, quality=(5, 5)))
    starts = set()
    for seed in range(60):
        grey = luma(degrade(photo[:384, :384], coarse, np.random.default_rng(seed)))
        steps = np.abs(np.diff(grey, axis=1)).mean(axis=0)
        starts.add(int(np.argmax([steps[start::8].mean() for start in range(8)])))
    assert starts == set(range(8))


def test_what_a_camera_does_leaves_the_picture_recognisable(cctv, photo):
    plain = degrade(photo[:256, :256], alone(cctv), np.random.default_rng(0)).astype(float)
    for seed in range(30):
        lr = degrade(photo[:256, :256], cctv, np.random.default_rng(seed)).astype(float)
        assert np.corrcoef(lr.ravel(), plain.ravel())[0, 1] > 0.8  # the least is that of an interlaced one
