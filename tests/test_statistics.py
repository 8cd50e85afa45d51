"""Intervals and effects, against normal theory and grids whose truth is known."""

import math
import tracemalloc
from itertools import product

import numpy as np
import pandas as pd
import pytest

from srstudy import statistics
from srstudy.statistics import Estimate, bias_difference, colour_bias, estimate, main_effect, mean_colour


def test_the_interval_of_a_mean_is_that_of_normal_theory_for_many_values():
    values = np.random.default_rng(0).normal(30, 4, 400)
    value, low, high = estimate(values, 1)
    half = 1.96 * values.std() / math.sqrt(400)
    assert value == pytest.approx(values.mean(), abs=1e-12)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)


@pytest.mark.parametrize(("shape", "statistic"), [((14,), statistics.MEAN), ((301, 3, 2), colour_bias)])
def test_the_resamples_are_those_of_one_draw_of_the_seed_however_many_are_in_memory_at_once(shape, statistic):
    values = np.random.default_rng(0).normal(size=shape)
    picks = np.random.default_rng([1, 4]).integers(0, len(values), (10_000, len(values)))
    assert estimate(values, 1, statistic)[1:] == tuple(np.percentile(statistic(values[picks]), [2.5, 97.5]))
    assert estimate(values, 1, statistic) != estimate(values, 2, statistic)


def test_memory_does_not_grow_with_photographs_and_runs():
    tracemalloc.start()
    bias_difference(np.zeros((3000, 2, 2)), np.ones((3000, 2, 2)), 1)
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


def test_an_interval_is_wider_on_the_side_of_an_outlier_and_equal_values_leave_no_doubt():
    value, low, high = estimate(np.array([0.0] * 13 + [14.0]), 1)
    assert (value, low) == (pytest.approx(1), 0)
    assert high - value > value - low
    assert f"{estimate(np.full(9, 2.5), 1):+.2f}" == "+2.50 [+2.50, +2.50]"


def test_sources_weigh_alike_in_a_mean_colour():
    rows = pd.DataFrame({"source": ["x", "x", "x", "y"], "mean_a": [1, 2, 6, 11], "mean_b": [0, 3, 0, -3]})
    assert mean_colour(rows) == (7, -1)


EFFECTS = (0.25, -2.0, 0.5)
GRID = np.array(list("abcdefgh")).reshape(2, 2, 2)


@pytest.mark.parametrize("factor", [0, 1, 2])
@pytest.mark.parametrize("interaction", [0.0, 3.0])
def test_a_main_effect_is_found_whatever_photographs_their_order_and_interactions_do(factor, interaction):
    photos = pd.Series(np.random.default_rng(0).normal(28, 3, 14), index=[f"photo-{n}" for n in range(14)])
    runs = {}
    for levels in product((0, 1), repeat=3):
        name = GRID[levels]
        runs[name] = photos + sum(effect * level for effect, level in zip(EFFECTS, levels))
        runs[name] += interaction if levels[0] == levels[1] else -interaction
    runs["g"] = runs["g"][::-1]
    assert main_effect(runs, GRID, factor, 1) == pytest.approx((EFFECTS[factor],) * 3, abs=1e-9)


def shifts(*per_photo: tuple[float, float]) -> np.ndarray:
    """(a*, b*) shifts of one run, [photos, 1, 2]."""
    return np.array(per_photo, float)[:, None]


def test_opposite_shifts_are_no_bias_and_a_shared_one_is():
    """Of one run; runs are averaged only after that."""
    assert colour_bias(shifts((3, 4), (-3, -4))[None]) == pytest.approx(0)
    assert colour_bias(shifts((3, 4), (3, 4))[None]) == pytest.approx(5)
    red_and_green = np.concatenate([shifts((6, 0), (6, 0)), shifts((-6, 0), (-6, 0))], axis=1)
    assert colour_bias(red_and_green[None]) == pytest.approx(6)


def test_a_difference_of_biases_is_taken_on_the_same_photographs():
    common = np.random.default_rng(0).normal(0, 3, (14, 1, 2))
    common -= common.mean(axis=0)
    value, low, high = bias_difference(common + np.array([0, 8]), common + np.array([0, 2]), 1)
    assert value == pytest.approx(6)
    assert 4.5 < low < high < 6.5  # alone, each bias would be uncertain by more than 3
    one, two = shifts((4, 0), (4, 0)), np.concatenate([shifts((1, 0), (1, 0)), shifts((3, 0), (3, 0))], axis=1)
    assert bias_difference(one, two, 1).value == pytest.approx(2)  # of one run and of two


@pytest.mark.parametrize(
    ("low", "high", "expected_sign", "words"),
    [
        (0.1, 0.5, 1, "supported"), (0.1, 0.5, -1, "contradicted"),
        (-0.5, -0.1, -1, "supported"), (-0.5, -0.1, 1, "contradicted"),
        (-0.1, 0.5, 1, "cannot tell at this scale"), (0.0, 0.5, -1, "cannot tell at this scale"),
    ],
)  # fmt: skip
def test_the_verdict_hangs_on_where_the_whole_interval_lies(low, high, expected_sign, words):
    assert statistics.verdict(Estimate((low + high) / 2, low, high), expected_sign) == words


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (-0.09, 0.5, "supported"), (-0.09, -0.01, "supported"),  # a small gain is no help
        (-0.5, -0.11, "contradicted"), (-0.5, -0.09, "cannot tell at this scale"),
    ],
)  # fmt: skip
def test_what_does_not_help_may_gain_less_than_the_margin(low, high, words):
    """Of a measure where less is better, by a claim that there is more."""
    assert statistics.verdict(Estimate((low + high) / 2, low, high), 1, margin=0.1) == words
