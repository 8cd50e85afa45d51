"""Intervals and comparisons over test photographs: never a mean without its uncertainty.

Every function resamples photographs (bootstrap), because the question is what would happen on other photographs. One
training run stands behind each figure, so the intervals do not cover the luck of a training seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pandas as pd

RESAMPLES = 10_000
COLOUR = ["mean_a", "mean_b"]  # of a photograph, columns of the manifest
LEVELS = (("5k", "10k"), ("32", "64"), ("plain", "augmented"))  # of the three factors of the grid


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


def estimate(values: np.ndarray, seed: int, statistic: Callable[[np.ndarray], np.ndarray] | None = None) -> Estimate:
    """Estimate a statistic of `values` [photos, ...] with a percentile bootstrap over photos.

    `statistic` maps resampled values [resamples, photos, ...] to [resamples]; default: the mean.
    """
    values = np.asarray(values, dtype=float)
    statistic = statistic or partial(np.mean, axis=1)
    picks = np.random.default_rng([seed, 4]).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(statistic(values[picks]), [2.5, 97.5])
    return Estimate(float(statistic(values[None])[0]), float(low), float(high))


def mean_colour(rows: pd.DataFrame) -> tuple[float, float]:
    """Mean (a*, b*) of photographs, in which their sources weigh alike, as in the sets that are cut from them."""
    return tuple(rows.groupby("source")[COLOUR].mean().mean())


def colour_bias(shifts: np.ndarray) -> np.ndarray:
    """Dominant colour bias: length of the mean (a*, b*) shift over photos, [resamples, photos, runs, 2] -> [resamples].

    Shifts that differ from photo to photo cancel; a tint that all photos share stays. Averaged over runs.
    """
    return np.linalg.norm(shifts.mean(axis=1), axis=-1).mean(axis=-1)


def bias_difference(first: np.ndarray, second: np.ndarray, seed: int) -> Estimate:
    """Colour bias of some runs minus that of others, on the same photos; both [photos, runs, 2]."""
    split = first.shape[1]
    both = np.concatenate([first, second], axis=1)
    return estimate(both, seed, lambda sample: colour_bias(sample[:, :, :split]) - colour_bias(sample[:, :, split:]))


def main_effect(scores: Mapping[str, pd.Series], factor: int, seed: int) -> Estimate:
    """Main effect of one factor of the 2x2x2 grid: mean difference between its two levels, others alike.

    `scores` maps run names such as "10k-64-augmented" to per-photo values with equal index; `factor` 0 is the number of
    images (10k - 5k), 1 the LR size (64 - 32), 2 augmentation (on - off).
    """
    differences = []
    for others in product(*(LEVELS[i] for i in range(3) if i != factor)):
        low, high = ("-".join([*others[:factor], level, *others[factor:]]) for level in LEVELS[factor])
        differences.append(scores[high] - scores[low])
    return estimate(np.mean(differences, axis=0), seed)


def verdict(difference: Estimate, expected_sign: int) -> str:
    """In words: does the interval lie wholly on the side that the claim expects, wholly on the other, or on both?"""
    if difference.low * expected_sign > 0 and difference.high * expected_sign > 0:
        return "supported"
    if difference.low * expected_sign < 0 and difference.high * expected_sign < 0:
        return "not supported"
    return "cannot tell at this scale"
