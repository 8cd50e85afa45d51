"""The `cctv` degradation: a function of image, ranges and seed; its steps are taken as often and go as far as told."""

from collections import Counter

import numpy as np
import pytest

from srstudy.degrade import signal
from srstudy.degrade.bicubic import downscale
from srstudy.degrade.camera import degradation_steps, degrade, draw_steps, lr_for_scoring, with_every_step
from srstudy.judge.metrics import luma
from srstudy.parsing import parse
from srstudy.settings import Webp

SIGNAL, STORING = ("noise", "gain", "sharpening", "interlacing"), ("jpeg", "h264")
STEPS = ("optics", "motion", *SIGNAL, *STORING)  # all that has a probability


@pytest.fixture
def cctv(study):
    """The committed degradation."""
    return study.degradations["cctv"]


@pytest.fixture
def hr(photo):
    return photo[40:136, 180:276]


def changed(camera, step, **values):
    """The camera with other figures of one of its steps."""
    return camera.model_copy(update={step: getattr(camera, step).model_copy(update=values)})


def alone(camera, *names):
    """The camera with sampling by a box and these steps alone, each of them taken."""
    for step in STEPS:
        camera = changed(camera, step, probability=float(step in names))
    return changed(camera, "downscaling", kernels=("box",))


def draws(camera, count):
    return [draw_steps(camera, np.random.default_rng(seed)) for seed in range(count)]


def lr_of(hr, camera, seed=0):
    return degrade(hr, camera, np.random.default_rng(seed))


def test_lr_is_a_quarter_of_hr_each_way_which_is_left_as_it_was(cctv, photo):
    for height, width in ((96, 96), (64, 100), (4, 8)):
        hr = photo[:height, :width].copy()
        for seed in range(10):
            lr = lr_of(hr, cctv, seed)
            assert (lr.shape, lr.dtype) == ((height // 4, width // 4, 3), np.uint8)
        np.testing.assert_array_equal(hr, photo[:height, :width])
    with pytest.raises(ValueError, match="30x32 is not a multiple of 4"):
        lr_of(photo[:30, :32], cctv)


def test_equal_seeds_give_equal_bytes_and_others_other_ones(cctv, hr):
    lrs = [lr_of(hr, cctv, seed).tobytes() for seed in (1, 1, *range(2, 22))]
    assert lrs[0] == lrs[1]
    assert len(set(lrs)) == 21


def test_a_photograph_is_scored_on_one_lr_that_its_id_and_the_seed_decide(cctv, hr):
    first, again, other, later = (lr_for_scoring(*of).tobytes() for of in (
        ("a", hr, cctv, 1), ("a", hr, cctv, 1), ("b", hr, cctv, 1), ("a", hr, cctv, 2)
    ))  # fmt: skip
    assert first == again
    assert len({first, other, later}) == 3
    np.testing.assert_array_equal(lr_for_scoring("a", hr, None, 1), downscale(hr))


def test_without_any_step_lr_is_the_mean_of_4_by_4_pixels(cctv, hr):
    means = hr.reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(lr_of(hr, alone(cctv)) - means).max() <= 1


def test_every_step_shows_its_image_and_the_last_is_lr(cctv, hr):
    blurred = changed(cctv, "optics", probability=1.0)
    steps = list(degradation_steps(hr, blurred, np.random.default_rng(4)))
    assert [name for name, _ in steps] == draw_steps(blurred, np.random.default_rng(4))
    assert [image.shape for _, image in steps[:2]] == [(96, 96, 3), (24, 24, 3)]
    np.testing.assert_array_equal(steps[-1][1], lr_of(hr, blurred, 4))


def test_a_step_is_taken_as_often_as_its_probability_says(cctv):
    count = Counter(name for taken in draws(cctv, 600) for name in taken)
    for name in STEPS:
        share = getattr(cctv, name).probability
        assert count[name] / 600 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 600)), name
    assert count["downscaling"] == 600


def test_blur_comes_before_sampling_the_signal_after_it_and_storing_last_if_it_must(cctv):
    every = with_every_step(cctv)
    orders = set(map(tuple, draws(every, 600)))
    assert {taken[:3] for taken in orders} == {("optics", "motion", "downscaling")}
    assert {frozenset(taken[3:7]) for taken in orders} == {frozenset(SIGNAL)}
    assert len(orders) == 24 * 2  # every order of the signal's four steps, and of the two codecs
    anywhere = every.model_copy(update={"storing_last": 0.0})
    assert {taken.index("jpeg") for taken in draws(anywhere, 100)} == set(range(3, 9))


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
    plain = lr_of(hr, alone(cctv), 5).astype(float)
    small, large = (
        np.abs(lr_of(hr, changed(alone(cctv, name), name, **values), 5) - plain).mean() for values in (mild, strong)
    )
    assert large > 2.5 * small


def test_a_codec_s_blocks_begin_anywhere_in_a_crop(cctv, photo):
    """So that a network can't learn where they are from where its crop begins."""
    coarse, starts = changed(alone(cctv, "jpeg"), "jpeg", quality=(5, 5)), set()
    for seed in range(60):
        steps = np.abs(np.diff(luma(lr_of(photo[:384, :384], coarse, seed)), axis=1)).mean(axis=0)
        starts.add(int(np.argmax([steps[start::8].mean() for start in range(8)])))
    assert starts == set(range(8))


def test_a_camera_without_webp_draws_what_it_drew_before_there_was_webp(cctv):
    assert cctv.webp is None
    assert not any("webp" in steps for steps in draws(cctv, 200))
    webp = parse(Webp, {"probability": 1.0, "quality": [30, 95]}, "webp")
    taken = Counter(name for steps in draws(cctv.model_copy(update={"webp": webp}), 200) for name in steps)
    assert taken["webp"] == 200


def test_lr_is_sampled_by_any_of_the_kernels_that_are_named(cctv, hr):
    names = ("matlab", "sampled_linear", "sampled_cubic", "box")
    expected = [downscale(hr), *(signal.sample(hr, signal.TAPS[name]) for name in names[1:3])]
    for name, lr in zip(names, expected):
        np.testing.assert_array_equal(lr_of(hr, changed(alone(cctv), "downscaling", kernels=(name,))), lr)
    some = {lr_of(hr, changed(alone(cctv), "downscaling", kernels=names), seed).tobytes() for seed in range(40)}
    assert len(some) == 4
