"""Intervals and effects, against normal theory and simulated data whose truth is known."""

import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from tests.report.scores import rows_of

from srstudy import statistics
from srstudy.statistics import Outcome, adjusted, mean_colour, resample

PAIR = np.array([[1.0, -1.0]])


def of_one(values, seed: int = 1) -> Outcome:
    """The mean of one run's values [photos], or [photos, 2]."""
    return resample(np.asarray(values, float)[None], rows_of(1), np.ones((1, 1)), seed)[0]


def test_the_interval_of_a_mean_is_that_of_normal_theory_for_many_values():
    values = np.random.default_rng(0).normal(30, 4, 400)
    found = of_one(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert found.interval[1:] == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)
    assert found.effect == pytest.approx(values.mean() / values.std(ddof=1))
    assert found.detectable == pytest.approx(2.8 / 1.96 * half, rel=0.03)
    error = values.std() / math.sqrt(400)
    assert found.differs(values.mean() + 1.5 * error) == pytest.approx(2 * stats.norm.sf(1.5), abs=0.01)
    assert found.exceeds(values.mean() + 2 * error) == pytest.approx(2 * stats.norm.sf(2), abs=0.01)


@pytest.mark.parametrize("shape", [(2, 14), (2, 301, 2)])
def test_the_resamples_are_those_of_the_seed_however_many_are_in_memory_at_once(monkeypatch, shape):
    values = np.random.default_rng(0).normal(size=shape)
    once = resample(values, rows_of(2), PAIR[:, :1] * 0.5 + np.zeros((3, 2)), 1)
    monkeypatch.setattr(statistics, "AT_ONCE", 2000)
    again = resample(values, rows_of(2), PAIR[:, :1] * 0.5 + np.zeros((3, 2)), 1)
    for one, other in zip(once, again):
        assert one.draws == pytest.approx(other.draws, abs=1e-9)
    assert of_one(values[0], 1).interval != of_one(values[0], 2).interval


def test_memory_does_not_grow_with_photographs_and_runs():
    tracemalloc.start()
    resample(np.ones((60, 3000, 2)), rows_of(*[12] * 5), np.ones((2, 60)), 1)
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


def test_an_interval_is_wider_on_the_side_of_an_outlier_and_equal_values_leave_no_doubt():
    value, low, high = of_one([0.0] * 13 + [14.0]).interval
    assert value == pytest.approx(1)
    assert high - value > value - low
    assert f"{of_one(np.full(9, 2.5)).interval:+.2f}" == "+2.50 [+2.50, +2.50]"
    assert of_one(np.zeros(9)).differs(0) == 1


def test_sources_weigh_alike_in_a_mean_colour():
    rows = pd.DataFrame({"source": ["x", "x", "x", "y"], "mean_a": [1, 2, 6, 11], "mean_b": [0, 3, 0, -3]})
    assert mean_colour(rows) == (7, -1)


def test_opposite_shifts_are_no_bias_and_a_shared_one_is():
    """Of one training; trainings are averaged only after that."""
    assert of_one([(3, 4), (-3, -4)]).value == pytest.approx(0)
    assert of_one([(3, 4), (3, 4)]).value == pytest.approx(5)
    red_and_green = np.array([[(6, 0), (6, 0)], [(-6, 0), (-6, 0)]], float)
    assert resample(red_and_green, rows_of(2), np.full((1, 2), 0.5), 1)[0].value == pytest.approx(6)


def test_a_difference_of_biases_is_taken_on_the_same_photographs():
    common = np.random.default_rng(0).normal(0, 3, (14, 2))
    common -= common.mean(axis=0)
    (found,) = resample(np.stack([common + np.array([0, 8]), common + np.array([0, 2])]), rows_of(1, 1), PAIR, 1)
    assert found.value == pytest.approx(6)
    assert 4 < found.interval.low < found.interval.high < 6.7  # alone, each bias would be uncertain by more than 3


def simulated(count, trainings, of_seed, of_photo, photos, truth=0.0):
    """Figures of so many studies, each a first run minus a second, which differ in truth and by luck."""
    random, rows = np.random.default_rng(7), rows_of(*trainings * count)
    run = rows.method.to_numpy().astype(int)
    weights = np.where(run % 2, -1, 1) / np.array(trainings)[run % 2] * (run // 2 == np.arange(count)[:, None])
    means = random.normal(size=len(rows)) * np.array(of_seed)[run % 2] + np.where(run % 2, 0, truth)
    own = random.normal(size=(2 * count, photos))[run] * of_photo
    shared = random.normal(0, 5, (count, photos))[run // 2]
    return resample(means[:, None] + own + shared, rows, weights, 1)


@pytest.mark.parametrize(
    ("trainings", "of_seed", "of_photo", "photos"),
    [
        ((3, 3), (1, 1), 0.01, 30), ((3, 3), (1, 1), 2, 30), ((3, 3), (1, 0.3), 1, 30),  # seeds, both, unlike runs
        ((3, 1), (1, 0), 0.01, 30), ((3, 1), (1, 0), 3, 30),  # against bicubic
        ((1, 1), (0, 0), 1, 14), ((1, 1), (0, 0), 1, 258),  # photographs alone
    ],
)  # fmt: skip
def test_at_least_93_of_100_intervals_hold_the_truth(monkeypatch, trainings, of_seed, of_photo, photos):
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)
    found = [one.interval for one in simulated(600, trainings, of_seed, of_photo, photos)]
    held = np.mean([interval.low <= 0 <= interval.high for interval in found])
    assert 0.93 <= held <= 0.99


def test_without_the_correction_for_few_seeds_intervals_would_be_much_too_narrow():
    """The plain bootstrap of three and three seeds, all their resamples."""
    picks = np.stack(np.meshgrid(*[range(3)] * 3), axis=-1).reshape(-1, 3)
    held = 0
    for seed in range(300):
        first, second = np.random.default_rng(seed).normal(size=(2, 3))
        draws = np.subtract.outer(first[picks].mean(axis=1), second[picks].mean(axis=1))
        low, high = np.percentile(draws, [2.5, 97.5])
        held += low <= 0 <= high
    assert held < 0.87 * 300


def test_the_smallest_difference_that_could_be_seen_is_seen_in_four_of_five_cases(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 4000)
    truth = 2.9 * math.sqrt(2 * 0.2**2 / 6 + 2 * 1.0**2 / 60)  # 2.8 for a spread that is known
    found = simulated(200, (6, 6), (0.2, 0.2), 1.0, 60, truth)
    assert np.mean([one.interval.low > 0 for one in found]) == pytest.approx(0.8, abs=0.08)
    assert np.mean([one.detectable for one in found]) == pytest.approx(truth, rel=0.06)


def test_both_readings_of_one_training_share_its_luck():
    """Trainings that differ much, each by 1 from itself under the other reading."""
    rows = pd.concat([rows_of(3), rows_of(3).assign(method="other")], ignore_index=True)
    luck = np.repeat([[0.0], [30.0], [-20.0]], 20, axis=1)
    weights = np.array([[1, 1, 1, -1, -1, -1]]) / 3
    assert resample(np.concatenate([luck + 1, luck]), rows, weights, 1)[0].interval == pytest.approx((1, 1, 1))


def test_of_tests_made_together_the_largest_p_stays_and_small_ones_grow():
    assert adjusted([0.01, 0.04, 0.03, 0.9]) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.9])
    assert adjusted([]) == []
