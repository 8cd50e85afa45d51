"""The pictures of the data phase; see `figures` for those of the runs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from srstudy.figures import HIGHLIGHT, PLAIN, subplots, titled

FACTS = {  # what the figures call them, and whether their axis is logarithmic
    "side": ("shorter side (px)", False),
    "sharpness": ("sharpness (Laplacian variance)", True),
    "noise": ("noise (8-bit levels)", False),
    "jpeg_quality": ("JPEG quality", False),
    "upscaled": ("share of coarse detail (above 0.96: enlarged?)", False),
    "contrast": ("contrast (8-bit levels)", False),
    "colourfulness": ("colourfulness", False),
    "mean_l": ("mean L*", False),
    "mean_a": ("mean a* (green to red)", False),
    "mean_b": ("mean b* (blue to yellow)", False),
}


def fact_boxes(manifest: pd.DataFrame, names: Sequence[str], title: str, columns: int = 4) -> Figure:
    """One panel per fact, one box per source: quartiles, whiskers to 1.5 of their distance, dots beyond.

    `manifest` needs the column source, and those that `names` of FACTS names; `side` is made of width and height.
    """
    facts = manifest.assign(side=manifest[["width", "height"]].min(axis=1))
    sources = sorted(facts.source.unique())
    rows = -(-len(names) // columns)
    size = 2.8 * columns, (0.27 * len(sources) + 0.8) * rows + 0.4
    figure, axes = subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names):
        values = [facts[name][facts.source == source].dropna() for source in sources]
        axis.boxplot(
            values, orientation="horizontal", widths=0.6, medianprops={"color": HIGHLIGHT}, boxprops={"color": PLAIN},
            whiskerprops={"color": PLAIN}, capprops={"color": PLAIN},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": PLAIN},
        )  # fmt: skip
        axis.set_yticks(range(1, len(sources) + 1), sources)
        axis.set_xlabel(FACTS[name][0], fontsize=8)
        axis.set_xscale("log" if FACTS[name][1] else "linear")
        axis.tick_params(labelsize=7.5)
    axes[0, 0].invert_yaxis()  # that of all panels
    return titled(figure, title)


def pair_grid(pairs: Mapping[str, Sequence[np.ndarray]], title: str, columns: int = 6) -> Figure:
    """Photographs two by two, one above the other; `pairs` maps caption -> two of uint8 [H, W, 3]."""
    rows = -(-len(pairs) // columns)
    figure, axes = subplots(rows, columns, figsize=(1.7 * columns, 3.3 * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (caption, images) in zip(axes.flat, pairs.items()):
        boxes = [ImageOps.pad(Image.fromarray(image), (180, 140), color="white") for image in images]
        axis.imshow(np.vstack(boxes))
        axis.set_title(textwrap.fill(caption, 32), fontsize=6)
    return titled(figure, title)
