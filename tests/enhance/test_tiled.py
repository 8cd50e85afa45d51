"""A picture in tiles is the picture."""

import numpy as np
import pytest

from srstudy.enhance.steps import DENOISE_REACH, denoised
from srstudy.enhance.tiles import enlarged, plan, spans

SIZES = [(1, 1, 16), (3, 200, 64), (200, 3, 64), (65, 65, 64), (129, 30, 64), (130, 65, 16)]


@pytest.mark.parametrize(("height", "width", "tile"), SIZES)
@pytest.mark.parametrize("strength", [0, 6])
def test_tiled_is_equal_to_whole_with_and_without_noise(evidence, photo, height, width, tile, strength):
    noise = np.random.default_rng(0).normal(0, strength, (height, width, 3))
    lr = (photo[:height, 100 : 100 + width] + noise).clip(0, 255).astype(np.uint8)
    [whole] = evidence.run([denoised(lr, strength)])
    places = plan(height, width, evidence.reach + (DENOISE_REACH if strength else 0), tile)
    tiled = enlarged(evidence, lambda first, last: lr[first:last], places, lambda _, sr, *__: sr,
                     lambda lr: denoised(lr, strength))  # fmt: skip
    assert np.abs(np.concatenate([*tiled]).astype(int) - whole).max() <= 1


def test_each_pixel_is_kept_once_and_sees_what_it_depends_on():
    for length in (*range(1, 200), 399, 400, 401, 1025):
        for most in (16, 64, 400):
            places = spans(length, most, 27)
            assert [place.start for place in places] + [length] == [0] + [place.stop for place in places]
            assert len({place.last - place.first for place in places}) == 1  # of equal size: compiled once
            for place in places:
                assert 0 <= place.first <= max(0, place.start - 27)
                assert min(length, place.stop + 27) <= place.last <= length


def test_only_large_pictures_are_cut():
    assert [[len(side) for side in plan(*size, 27)] for size in ((400, 400), (1000, 4000))] == [[1, 1], [3, 10]]
