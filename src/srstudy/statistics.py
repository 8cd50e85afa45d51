"""Intervals over test photographs: never a mean without its uncertainty.

Every function resamples photographs (percentile bootstrap), because the question is what would happen on others. One
training run stands behind each figure, so the intervals do not cover the luck of a training seed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

RESAMPLES, AT_ONCE = 10_000, 1_000  # so many resamples, of which so many are in memory
COLOUR = ["mean_a", "mean_b"]  # of a photograph, columns of the manifest
LEVELS = (("5k", "10k"), ("32", "64"), ("plain", "augmented"))  # of the three factors of the grid
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
    picks = (random.integers(0, len(values), (AT_ONCE, len(values))) for _ in range(RESAMPLES // AT_ONCE))
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


def main_effect(scores: Mapping[str, pd.Series], factor: int, seed: int) -> Estimate:
    """Mean difference between the two `LEVELS` of a factor (0, 1 or 2) of the 2x2x2 grid, the others alike.

    `scores` maps run names such as "10k-64-augmented" to per-photo values with equal index.
    """
    grid = product(*(LEVELS[i] for i in range(3) if i != factor))
    pairs = [["-".join([*others[:factor], level, *others[factor:]]) for level in LEVELS[factor]] for others in grid]
    return estimate(np.mean([scores[high] - scores[low] for low, high in pairs], axis=0), seed)


def verdict(difference: Estimate, expected_sign: int) -> str:
    """In words: does the interval lie wholly on the side that the claim expects, wholly on the other, or on both?"""
    low, high = sorted((difference.low * expected_sign, difference.high * expected_sign))
    return "supported" if low > 0 else "contradicted" if high < 0 else "cannot tell at this scale"
