"""Intervals over test photographs: never a mean without its uncertainty.

Every function resamples photographs (percentile bootstrap), because the question is what would happen on others. One
training run stands behind each figure, so the intervals do not cover the luck of a training seed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES = 10_000
AT_ONCE = 2**20  # values of resamples that are in memory at once: with all copies, some 50 MB
COLOUR = ["mean_a", "mean_b"]  # of a photograph, columns of the manifest
MEAN = partial(np.mean, axis=1)  # over photographs: [resamples, photos] -> [resamples]


class Estimate(NamedTuple):
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def estimate(values: np.ndarray, seed: int, statistic: Callable[[np.ndarray], np.ndarray] = MEAN) -> Estimate:
    """Estimate a statistic of `values` [photos, ...], a function of [resamples, photos, ...] -> [resamples]."""
    values, random = np.asarray(values, dtype=float), np.random.default_rng([seed, 4])
    at_once = max(1, AT_ONCE // values.size)
    counts = (min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once))
    picks = (random.integers(0, len(values), (count, len(values))) for count in counts)
    low, high = np.percentile(np.concatenate([statistic(values[some]) for some in picks]), [2.5, 97.5])
    return Estimate(float(statistic(values[None])[0]), float(low), float(high))


def mean_colour(rows: pd.DataFrame) -> tuple[float, float]:
    """Mean (a*, b*) of photographs, in which their sources weigh alike, as in the sets that are cut from them."""
    return tuple(rows.groupby("source")[COLOUR].mean().mean())


def colour_bias(shifts: np.ndarray) -> np.ndarray:
    """Length of the mean (a*, b*) shift over photos, mean over runs: [resamples, photos, runs, 2] -> [resamples]."""
    # Shifts that differ from photo to photo cancel; a tint that all photos share stays.
    return np.linalg.norm(shifts.mean(axis=1), axis=-1).mean(axis=-1)


def bias_difference(first: np.ndarray, second: np.ndarray, seed: int) -> Estimate:
    """Colour bias of some runs minus that of others, on the same photos; both [photos, runs, 2]."""
    both, split = np.concatenate([first, second], axis=1), first.shape[1]
    return estimate(both, seed, lambda sample: colour_bias(sample[:, :, :split]) - colour_bias(sample[:, :, split:]))


def main_effect(scores: Mapping[str, pd.Series], grid: np.ndarray, factor: int, seed: int) -> Estimate:
    """Mean difference between the two levels of a factor (0, 1 or 2) of a 2x2x2 grid, the others alike.

    `scores` maps the names of runs in `grid` [2, 2, 2] to per-photo values with equal index.
    """
    lows, highs = np.moveaxis(grid, factor, 0)
    return estimate(np.mean([scores[high] - scores[low] for low, high in zip(lows.flat, highs.flat)], axis=0), seed)


def verdict(difference: Estimate, expected_sign: int, margin: float = 0.0) -> str:
    """In words: does the interval lie wholly on the side that the claim expects, wholly on the other, or on both?

    The sides meet at 0; with a `margin`, so far on the other side: of "does not help" where a small gain is no help.
    """
    low, high = sorted((difference.low * expected_sign, difference.high * expected_sign))
    return "supported" if low > -margin else "contradicted" if high < -margin else "cannot tell at this scale"
