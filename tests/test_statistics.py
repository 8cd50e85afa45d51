"""Intervals and effects, against normal theory and grids whose truth is known."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest

from srstudy.statistics import Estimate, bias_difference, colour_bias, estimate, main_effect, mean_colour, verdict


def test_the_interval_of_a_mean_is_that_of_normal_theory_for_many_values():
    values = np.random.default_rng(0).normal(30, 4, 400)
    found = estimate(values, 1)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.05 * half)


def test_about_95_of_100_intervals_hold_the_truth():
    random = np.random.default_rng(0)
    found = [estimate(random.normal(0, 1, 60), 1) for _ in range(40)]
    held = sum(interval.low <= 0 <= interval.high for interval in found)
    assert held >= 34  # 38 expected; a 90% interval of the wrong centre or half the width holds fewer


def test_the_seed_decides_the_interval():
    values = np.random.default_rng(0).normal(size=14)
    assert estimate(values, 1) == estimate(values, 1)
    assert estimate(values, 1) != estimate(values, 2)


def test_sources_weigh_alike_in_a_mean_colour():
    rows = pd.DataFrame({"source": ["x", "x", "x", "y"], "mean_a": [1, 2, 6, 11], "mean_b": [0, 3, 0, -3]})
    assert mean_colour(rows) == (7, -1)


def test_equal_values_leave_no_doubt():
    assert estimate(np.full(9, 2.5), 1) == Estimate(2.5, 2.5, 2.5)


def test_one_outlier_widens_the_interval_to_its_side():
    found = estimate(np.array([0.0] * 13 + [14.0]), 1)
    assert found.value == pytest.approx(1)
    assert found.low == 0
    assert found.high - found.value > found.value - found.low


def test_an_estimate_is_written_with_its_interval():
    assert f"{Estimate(1.234, -0.5, 2):+.2f}" == "+1.23 [-0.50, +2.00]"


FACTORS = (("5k", "10k"), ("32", "64"), ("plain", "augmented"))
EFFECTS = (0.25, -2.0, 0.5)


def grid(interaction: float = 0.0) -> dict[str, pd.Series]:
    """Scores of the eight runs: photos differ among each other, and the factors add their effects."""
    photos = pd.Series(np.random.default_rng(0).normal(28, 3, 14), index=[f"photo-{n}" for n in range(14)])
    runs = {}
    for levels in product((0, 1), repeat=3):
        name = "-".join(names[level] for names, level in zip(FACTORS, levels))
        runs[name] = photos + sum(effect * level for effect, level in zip(EFFECTS, levels))
        runs[name] += interaction if levels[0] == levels[1] else -interaction
    return runs


@pytest.mark.parametrize("factor", [0, 1, 2])
@pytest.mark.parametrize("interaction", [0.0, 3.0])
def test_a_main_effect_is_found_exactly_whatever_photographs_and_interactions_do(factor, interaction):
    found = main_effect(grid(interaction), factor, 1)
    assert (found.value, found.low, found.high) == pytest.approx((EFFECTS[factor],) * 3, abs=1e-9)


def test_a_main_effect_does_not_depend_on_the_order_of_the_photographs():
    runs = grid()
    runs["10k-64-plain"] = runs["10k-64-plain"][::-1]
    assert main_effect(runs, 0, 1).high == pytest.approx(EFFECTS[0], abs=1e-9)


def shifts(*per_photo: tuple[float, float]) -> np.ndarray:
    """(a*, b*) shifts of one run, [photos, 1, 2]."""
    return np.array(per_photo, float)[:, None]


def test_opposite_shifts_are_no_bias_and_a_shared_one_is():
    assert colour_bias(shifts((3, 4), (-3, -4))[None]) == pytest.approx(0)
    assert colour_bias(shifts((3, 4), (3, 4))[None]) == pytest.approx(5)
    assert colour_bias(shifts((3, 4), (0, 0))[None]) == pytest.approx(2.5)


def test_bias_is_averaged_over_runs_and_not_over_their_shifts():
    tinted = np.concatenate([shifts((6, 0), (6, 0)), shifts((-6, 0), (-6, 0))], axis=1)  # red one, green the other
    assert colour_bias(tinted[None]) == pytest.approx(6)


def test_a_difference_of_biases_is_taken_on_the_same_photographs():
    common = np.random.default_rng(0).normal(0, 3, (14, 1, 2))
    common -= common.mean(axis=0)
    found = bias_difference(common + np.array([0, 8]), common + np.array([0, 2]), 1)
    assert found.value == pytest.approx(6)
    assert 4.5 < found.low < found.high < 6.5  # alone, each bias would be uncertain by more than 3


def test_runs_of_both_sides_need_not_be_equally_many():
    one, two = shifts((4, 0), (4, 0)), np.concatenate([shifts((1, 0), (1, 0)), shifts((3, 0), (3, 0))], axis=1)
    assert bias_difference(one, two, 1).value == pytest.approx(2)
    assert bias_difference(two, one, 1).value == pytest.approx(-2)


@pytest.mark.parametrize(
    ("low", "high", "expected_sign", "words"),
    [
        (0.1, 0.5, 1, "supported"),
        (0.1, 0.5, -1, "not supported"),
        (-0.5, -0.1, -1, "supported"),
        (-0.5, -0.1, 1, "not supported"),
        (-0.1, 0.5, 1, "cannot tell at this scale"),
        (-0.1, 0.5, -1, "cannot tell at this scale"),
        (0.0, 0.5, 1, "cannot tell at this scale"),
        (0.0, 0.0, 1, "cannot tell at this scale"),
    ],
)
def test_the_verdict_hangs_on_where_the_whole_interval_lies(low, high, expected_sign, words):
    assert verdict(Estimate((low + high) / 2, low, high), expected_sign) == words
