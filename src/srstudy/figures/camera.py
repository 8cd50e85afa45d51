"""Pictures of the camera's degradation and of real footage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from srstudy.figures.common import HIGHLIGHT, PLAIN, subplots, titled
from srstudy.judge.noreference import BINS, LOOKS, overlap

LABELS = {
    "blockiness": "blockiness (1: no grid)",
    "noise": "noise (standard deviation, 8-bit levels)",
    "sharpness": "sharpness (RMS frequency, radians per px)",
}


def camera_steps(
    hr: np.ndarray, steps: Sequence[tuple[str, np.ndarray]], real: np.ndarray, title: str, columns: int = 6
) -> Figure:
    """HR, the picture after each step of `camera.through`, and a real one, all drawn at the same size."""
    sized = [(f"{number}. {name}", image) for number, (name, image) in enumerate(steps, 1)]
    pictures = [("HR", hr), *sized, ("a real frame", real)]
    rows = -(-len(pictures) // columns)
    figure, axes = subplots(rows, columns, figsize=(1.9 * columns, 2.5 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (caption, image) in zip(axes.flat, pictures):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(f"{caption}\n{image.shape[1]}×{image.shape[0]}", fontsize=9)
    return titled(figure, title, f"One after another: {', '.join(caption for caption, _ in pictures)}")


def looks_histograms(groups: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """One panel a figure: its distribution over real frames, filled, and over each kind of LR, as lines with overlaps.

    `groups` maps name -> table of `noreference.looks`; the first one is what the others, two at most, are held against.
    """
    (first, real), *others = groups.items()
    seen = []
    figure, axes = subplots(1, len(LOOKS), figsize=(4.0 * len(LOOKS), 3.1), squeeze=False)
    for axis, look in zip(axes[0], LOOKS):
        low, high = np.percentile(pd.concat([rows[look] for rows in groups.values()]), [1, 99])
        edges = np.linspace(low, high, BINS + 1)
        axis.hist(real[look].clip(low, high), edges, weights=_shares(real), color="0.8", label=first)
        for (name, rows), colour, line in zip(others, (HIGHLIGHT, PLAIN), ("--", "-")):
            label = f"{name}: {overlap(real[look], rows[look]):.2f}"
            seen.append(f"{look} {label}")
            axis.hist(
                rows[look].clip(low, high), edges, weights=_shares(rows), histtype="step", color=colour, label=label,
                linewidth=1.6, linestyle=line,
            )  # fmt: skip
        axis.set_xlabel(LABELS[look], fontsize=9)
        axis.tick_params(labelsize=7.5)
        axis.legend(fontsize=8, title="overlap with real frames", title_fontsize=8)
    axes[0, 0].set_ylabel("share of patches", fontsize=9)
    return titled(figure, title, f"Overlap with {first}, 1 where the distributions are the same: {', '.join(seen)}")


def frame_crops(crops: Sequence[Mapping[str, np.ndarray]], title: str) -> Figure:
    """A row of pictures for each crop of a frame: method -> uint8 [H, W, 3], drawn at one size."""
    figure, axes = subplots(len(crops), len(crops[0]), figsize=(2.7 * len(crops[0]), 3.2 * len(crops)), squeeze=False)
    for row, pictures in zip(axes, crops):
        for axis, (name, image) in zip(row, pictures.items()):
            axis.imshow(image, interpolation="nearest")
            axis.set_title(name, fontsize=10)
            axis.axis("off")
    return titled(figure, title, f"Side by side, a row for each of {len(crops)} places: {', '.join(crops[0])}")


def _shares(rows: pd.DataFrame) -> np.ndarray:
    return np.full(len(rows), 1 / len(rows))
