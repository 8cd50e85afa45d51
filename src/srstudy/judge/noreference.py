"""What a picture looks like when there is no original to hold it against: blockiness, noise, sharpness.

All take uint8 [H, W, 3] and look at luma alone. They describe, and do not judge: a sharper picture may be a worse one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from srstudy.judge.metrics import luma

BLOCK = 8  # px a side of a codec's blocks
BINS = 20  # of a histogram
LOOKS = ["blockiness", "noise", "sharpness"]


def blockiness(image: np.ndarray) -> float:
    """Mean step between neighbouring pixels across a grid of 8 pixels, over that elsewhere; 1 without a grid.

    The grid may begin anywhere in the picture: the place where the figure is largest is taken, for rows and columns
    each, and the two are averaged. So a picture without a grid has somewhat more than 1.
    """
    grey = luma(image)
    return float(np.mean([_grid(np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)) for axis in (0, 1)]))


def _grid(steps: np.ndarray) -> float:
    on = [steps[start::BLOCK].mean() for start in range(BLOCK)]
    best = int(np.argmax(on))
    return on[best] / max(np.delete(steps, np.s_[best::BLOCK]).mean(), 1e-9)


def noise(image: np.ndarray) -> float:
    """Standard deviation of noise in 8-bit levels, from what a mask that ignores ramps and edges leaves of luma.

    Immerkaer 1996, "Fast noise variance estimation", with the median in place of the mean: a picture's details are
    few and large there, noise is everywhere.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    left = ndimage.convolve(luma(image), mask, mode="nearest")[1:-1, 1:-1]
    return float(np.median(np.abs(left)) / (6 * 0.67449))  # the mask's norm is 6; a Gaussian's median is 0.67449 sigma


def sharpness(image: np.ndarray) -> float:
    """Root-mean-square spatial frequency of luma, in radians per pixel: its slope over its standard deviation.

    Contrast cancels out. A sine wave of frequency f has 2 sin(f / 2).
    """
    grey = luma(image)
    slope = np.mean(np.diff(grey, axis=0) ** 2) + np.mean(np.diff(grey, axis=1) ** 2)
    return float(np.sqrt(slope) / max(grey.std(), 1e-9))


def looks(images: Iterable[np.ndarray], scale: int = 1) -> pd.DataFrame:
    """A row of `LOOKS` for each image.

    `scale`: how many times the images were enlarged. All figures are then by pixels of what they were before:
    blockiness and noise are what is left of both in means of `scale` x `scale` pixels, sharpness is per pixel of then.
    """
    rows = []
    for image in images:
        reduced = np.asarray(Image.fromarray(image).reduce(scale))
        rows.append((blockiness(reduced), noise(reduced), scale * sharpness(image)))
    return pd.DataFrame(rows, columns=LOOKS)


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """How far two distributions lie over each other, from 0 (apart) to 1 (equal): the intersection of their histograms.

    20 bins from the 1st to the 99th percentile of both together, what lies beyond in the outer bins (Swain and Ballard
    1991, "Color indexing", for the intersection).
    """
    low, high = np.percentile(np.concatenate([one, other]), [1, 99])
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    shares = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values) for values in (one, other)]
    return float(np.minimum(*shares).sum())
