"""Intervals over test photographs and training seeds: never a mean without its uncertainty.

A hierarchical bootstrap: photographs are drawn with replacement, the same for all trainings, because the question is
what would happen on others; a run's trainings under several seeds are drawn within the run, because another seed would
give another model. Few values show too small a spread, so both levels are widened by Student's t. Of a run with one
training, what another seed would give is not known: its interval covers photographs alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

RESAMPLES, LEVEL = 10_000, 0.05
AT_ONCE = 2**20  # values of resamples that are in memory at once: with all copies, some 50 MB
COLOUR = ["mean_a", "mean_b"]  # of a photograph, columns of the manifest


class Estimate(NamedTuple):
    """A figure with its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"


@dataclass(frozen=True, eq=False)
class Outcome:
    """A figure, what it was in each resample, and its standard deviation from photograph to photograph."""

    value: float
    draws: np.ndarray  # [resamples]
    spread: float

    @property
    def interval(self) -> Estimate:
        """With 95% confidence."""
        return Estimate(self.value, *np.percentile(self.draws, [2.5, 97.5]).tolist())

    @property
    def effect(self) -> float:
        """Of a difference, the paired standardised one: 1 is as large as its spread over photographs (Cohen's d_z)."""
        return self.value / self.spread if self.spread else float("nan")

    @property
    def detectable(self) -> float:
        """The smallest true difference that such data would tell from 0 in 80 of 100 cases: 2.8 standard errors."""
        low, less, more, high = np.percentile(self.draws, [2.5, 20, 80, 97.5])
        return float(high - low + more - less) / 2

    def differs(self, point: float) -> float:
        """Two-sided p value of the hypothesis that the truth is this point."""
        return min(1.0, 2 * min(self._share(self.draws <= point), self._share(self.draws >= point)))

    def exceeds(self, margin: float) -> float:
        """p value, as of a two-sided test, of the hypothesis that the truth is as far from 0 as the margin."""
        return min(1.0, 2 * max(self._share(self.draws <= -margin), self._share(self.draws >= margin)))

    def _share(self, found: np.ndarray) -> float:
        return (1 + int(found.sum())) / (1 + len(found))


def resample(values: np.ndarray, rows: pd.DataFrame, weights: np.ndarray, seed: int) -> list[Outcome]:
    """Figures that are sums over rows with `weights` [figures, rows] of their means over photographs.

    `values`: [rows, photos], or [rows, photos, 2] of vectors, of whose mean the length counts: what differs from
    photograph to photograph cancels, what all share stays. `rows` has the columns method, run, and family: rows of one
    method are repetitions under other seeds; those of one run are of one training, and stay together when seeds are
    drawn; a family's runs differ in the seed alone.
    """
    photos, centre = values.shape[1], values.mean(axis=1)
    size = partial(np.linalg.norm, axis=-1) if values.ndim == 3 else np.asarray
    shares, freedom = _of_seeds(size(centre), rows, weights)
    streams, draws = [np.random.default_rng([seed, 4, level]) for level in range(4)], []
    at_once = max(1, AT_ONCE // max(values[:, 0].size, photos, *shares.shape))
    for count in (min(at_once, RESAMPLES - done) for done in range(0, RESAMPLES, at_once)):
        picks = streams[0].integers(0, photos, (count, photos)) + photos * np.arange(count)[:, None]
        times = np.bincount(picks.ravel(), minlength=picks.size).reshape(count, photos)
        moves = np.tensordot(times / photos, values, (1, 1)) - centre
        widened = np.sqrt(photos / streams[1].chisquare(max(photos - 1, 1), count))
        over_photos = size(centre + moves * widened.reshape(-1, *[1] * centre.ndim)) @ weights.T
        over_seeds = streams[2].normal(size=(count, shares.shape[1])) @ shares.T
        widened = np.sqrt(freedom / streams[3].chisquare(freedom, over_seeds.shape))
        draws.append(over_photos + over_seeds * widened)
    along = values
    if values.ndim == 3:  # each photograph's part of the length
        units = centre / np.maximum(size(centre), 1e-12)[:, None]
        along = np.einsum("rpk,rk->rp", values, units)
    spreads = (weights @ along).std(axis=1, ddof=min(1, photos - 1)).round(12)
    figures, draws = weights @ size(centre), np.concatenate(draws).round(12)  # else rounding gives 0 a sign
    return [Outcome(float(value), draw, float(spread)) for value, draw, spread in zip(figures, draws.T, spreads)]


def _of_seeds(means: np.ndarray, rows: pd.DataFrame, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each training adds to the seeds' part of each figure, [figures, runs], per standard normal number; and that
    part's degrees of freedom [figures].

    Three seeds have but ten resamples, so they are drawn by random weights (a wild bootstrap: Wu 1986, Annals of
    Statistics 14) that give an unbiased variance. Degrees of freedom are Satterthwaite's (1946, Biometrics Bulletin 2).
    """
    repeats = rows.groupby("method").run.transform("size").to_numpy()
    deviations = means - pd.Series(means).groupby(rows.method.to_numpy()).transform("mean").to_numpy()
    scaled = weights * deviations * np.sqrt(repeats / np.maximum(repeats - 1, 1))
    of_run, of_family = (pd.get_dummies(rows[name], dtype=float).to_numpy() for name in ("run", "family"))
    shares, belongs = scaled @ of_run, (of_run.T @ of_family > 0).astype(float)
    variances, freedom = shares**2 @ belongs, np.maximum(belongs.sum(axis=0) - 1, 1)
    total, parts = variances.sum(axis=1), (variances**2 / freedom).sum(axis=1)
    return shares, np.divide(total**2, parts, out=np.ones_like(total), where=parts > 0)


def mean_colour(rows: pd.DataFrame) -> tuple[float, float]:
    """Mean (a*, b*) of photographs, in which their sources weigh alike, as in the sets that are cut from them."""
    return tuple(rows.groupby("source")[COLOUR].mean().mean())


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p values of tests made together, so that of those below 5% one in 20 is false (Benjamini and Hochberg 1995)."""
    return false_discovery_control(p_values).tolist() if len(p_values) else []
