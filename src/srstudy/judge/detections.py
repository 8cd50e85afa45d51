"""Does a detector find on an enlarged frame what it finds on the original one (paper's claim C7)? Boxes kept and added.

The boxes on the original frame are the reference, right or wrong: a detector is compared with itself, not with truth.
The frames of a clip are alike, so intervals resample clips, and in each of them blocks of neighbouring frames.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from srstudy.settings import BICUBIC
from srstudy.statistics import RESAMPLES, Estimate

SAME = 0.5  # intersection over union from which on two boxes show the same thing, as in PASCAL VOC
BLOCK = 4  # frames, one after the other, that are resampled together
COUNTS = ["boxes", "kept", "added"]


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [n, 4] and [m, 4], each (left, top, right, bottom) in px: [n, m], 0 to 1."""
    first, second = (np.asarray(boxes, dtype=float).reshape(-1, 4) for boxes in (first, second))
    low = np.maximum(first[:, None, :2], second[:, :2])
    high = np.minimum(first[:, None, 2:], second[:, 2:])
    shared = (high - low).clip(0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (first, second)]
    union = np.add.outer(*areas) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def count(reference: np.ndarray, found: np.ndarray) -> dict[str, int]:
    """`boxes` of the reference, how many of them are `kept`, and how many boxes of [n, 4] are `added` that it has not.

    Matched one to one, so that as many as possible are kept (Kuhn 1955): two boxes on one person keep one.
    """
    near = overlaps(reference, found) >= SAME
    kept = int(near[linear_sum_assignment(near, maximize=True)].sum())
    return dict(zip(COUNTS, (len(near), kept, near.shape[1] - kept)))


def summary(counts: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row per detector, LR and method: COUNTS in all, and an Estimate each of recall (kept of the reference's boxes),
    precision (kept of those found), boxes added per frame, and the change of recall and of added against bicubic.

    `counts`: a row per clip, frame (0, 1, ... in order), detector, LR and method, with COUNTS. Where there is no box of
    which to take a share, the figure is NaN.
    """
    rows = []
    for (detector, lr), part in counts.groupby(["detector", "lr"], sort=False):
        part = part.assign(block=part.frame // BLOCK, frames=1)
        sums = part.pivot_table(index=["clip", "block"], columns="method", values=[*COUNTS, "frames"], aggfunc="sum")
        draws, base = _draws(sums.index.get_level_values("clip"), seed), sums.xs(BICUBIC, axis=1, level="method")
        for method in part.method.unique():
            own = sums.xs(method, axis=1, level="method")
            figures = {
                "recall": (own.kept, own.boxes),
                "precision": (own.kept, own.kept + own.added),
                "added_per_frame": (own.added, own.frames),
                "recall_change": (own.kept - base.kept, own.boxes),
                "added_change": (own.added - base.added, own.frames),
            }
            estimates = {name: _ratio(draws, *parts) for name, parts in figures.items()}
            rows.append({"detector": detector, "lr": lr, "method": method, **own[COUNTS].sum(), **estimates})
    return pd.DataFrame(rows)


def _draws(clips: pd.Index, seed: int) -> np.ndarray:
    """How often each block is in each resample, [1 + resamples, blocks]; first, all of them once. `clips`: of each."""
    random, sizes = np.random.default_rng([seed, 7]), pd.Series(clips).value_counts(sort=False)
    taken = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES)
    inside = [random.multinomial(n * size, np.full(size, 1 / size)) for n, size in zip(taken.T, sizes)]
    return np.concatenate([np.ones((1, len(clips))), np.concatenate(inside, axis=1)])


def _ratio(draws: np.ndarray, part: pd.Series, whole: pd.Series) -> Estimate:
    """Sum of `part` over that of `whole`; resamples with nothing in `whole` say nothing, and are left out."""
    above, below = draws @ part.to_numpy(float), draws @ whole.to_numpy(float)
    value, *values = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return Estimate(float(value), *np.nanpercentile(values, [2.5, 97.5])) if whole.any() else Estimate(*[np.nan] * 3)


def verdicts(table: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """C7 by each detector and LR of a `summary`: supported, if one of the models keeps more boxes than bicubic and adds
    no more, both surely; contradicted, if each keeps fewer or adds more, surely; else nobody can tell.

    Surely: with the whole 95% interval. It is not corrected for the number of models and rows.
    """
    rows = []
    for (detector, lr), part in table[table.method.isin(models)].groupby(["detector", "lr"], sort=False):
        some = list(zip(part["recall_change"], part["added_change"]))
        good = any(more.low > 0 and new.high <= 0 for more, new in some)
        bad = all(more.high < 0 or new.low > 0 for more, new in some)
        rows.append((detector, lr, "supported" if good else "contradicted" if bad else "cannot tell"))
    return pd.DataFrame(rows, columns=["detector", "lr", "verdict"])


def overall(said: Sequence[str]) -> str:
    """One verdict of many, as with the study's other claims: mixed, if some support and some contradict."""
    found = set(said)
    return "mixed" if {"supported", "contradicted"} <= found else found.pop() if len(found) == 1 else "cannot tell"
