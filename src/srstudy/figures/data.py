"""The pictures of the data phase: photographs, what is known of them, and what is chosen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image, ImageOps

from srstudy.figures.common import HIGHLIGHT, PLAIN, subplots, titled
from srstudy.statistics import mean_colour

MARKERS = "o^sDvP*"  # 7 of them go with 10 colours: no pair comes twice among 70 groups

FACTS = {  # what the figures call them, and whether their axis is logarithmic (from 1 on: a flat photograph has 0)
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

    A fact that is the same for all photographs is written, not drawn. `manifest` needs the column source, and those
    that `names` of FACTS names; `side` is made of width and height.
    """
    facts = manifest.assign(side=manifest[["width", "height"]].min(axis=1))
    sources = sorted(facts.source.unique())
    rows = -(-len(names) // columns)
    size = 2.8 * columns, (0.27 * len(sources) + 0.8) * rows + 0.4
    figure, axes = subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis, name in zip(axes.flat, names):
        axis.set_xlabel(FACTS[name][0], fontsize=8)
        axis.tick_params(labelsize=7.5)
        if facts[name].nunique() < 2:
            axis.set_xticks([])
            axis.text(0.5, 0.5, _all_alike(facts[name]), transform=axis.transAxes, ha="center", fontsize=9)
            continue
        values = [facts[name][facts.source == source].dropna() for source in sources]
        axis.boxplot(
            values, orientation="horizontal", widths=0.6, medianprops={"color": HIGHLIGHT}, boxprops={"color": PLAIN},
            whiskerprops={"color": PLAIN}, capprops={"color": PLAIN},
            flierprops={"marker": ".", "markersize": 3, "markeredgecolor": PLAIN},
        )  # fmt: skip
        if FACTS[name][1]:
            axis.set_xscale("symlog", linthresh=1)
    axes[0, 0].set_yticks(range(1, len(sources) + 1), sources)  # those of all panels
    axes[0, 0].set_ylim(len(sources) + 0.6, 0.4)
    return titled(figure, title, f"A row of boxes for each of {', '.join(sources)}. Medians: {_medians(facts, names)}")


def _all_alike(values: pd.Series) -> str:
    """What to say of a fact with at most one value."""
    return f"{values.dropna().iloc[0]:g} for all that have one" if values.notna().any() else "none has one"


def _medians(facts: pd.DataFrame, names: Sequence[str]) -> str:
    """Of every fact, the sources with the lowest and the highest median; or the value that all share."""
    texts = []
    for name in names:
        medians = facts.groupby("source")[name].median()
        if facts[name].nunique() < 2:
            text = _all_alike(facts[name])
        else:
            text = " to ".join(f"{medians[end]:.4g} ({end})" for end in (medians.idxmin(), medians.idxmax()))
        texts.append(f"{FACTS[name][0]} {text}")
    return "; ".join(texts)


def pair_grid(pairs: Mapping[str, Sequence[np.ndarray]], title: str, columns: int = 6) -> Figure:
    """Photographs two by two, one above the other; `pairs` maps caption -> two of uint8 [H, W, 3], of any size."""
    rows = -(-len(pairs) // columns)
    figure, axes = subplots(rows, columns, figsize=(1.7 * columns, 3.3 * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (caption, images) in zip(axes.flat, pairs.items()):
        boxes = [ImageOps.pad(Image.fromarray(image), (180, 140), color="white") for image in images]
        axis.imshow(np.vstack([boxes[0], np.full((12, 180, 3), 255, np.uint8), boxes[1]]))
        axis.set_title(textwrap.fill(caption, 32), fontsize=6)
    return titled(figure, title, f"Pairs, one above the other: {'; '.join(pairs)}" if pairs else "")


def tile_pairs(hr: Sequence[np.ndarray], lr: Sequence[np.ndarray], names: Sequence[str], title: str) -> Figure:
    """LR above HR for a handful of tiles, both drawn at the same size.

    `hr` holds uint8 [S, S, 3], `lr` the same number of uint8 [S/4, S/4, 3], `names` those of their photographs.
    """
    figure, axes = subplots(2, len(hr), figsize=(1.5 * len(hr), 4.3), squeeze=False)
    for column in range(len(hr)):
        for row, (name, image) in enumerate((("LR", lr[column]), ("HR", hr[column]))):
            axes[row, column].imshow(image, interpolation="nearest")
            axes[row, column].set_title(f"{name} {image.shape[1]}×{image.shape[0]}", fontsize=7)
            axes[row, column].axis("off")
        axes[0, column].set_title(f"{textwrap.fill(names[column], 24)}\n{axes[0, column].get_title()}", fontsize=7)
    return titled(figure, title, f"LR above HR, a tile each of {', '.join(names)}")


def colour_scatter(points: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Mean colour of photographs in the a*b* plane; a cross within the group's marker is the group's mean.

    `points` maps group -> table with columns mean_a, mean_b. Groups differ in marker and colour.
    """
    figure, axis = subplots(figsize=(7, 4.5))
    means = []
    for number, (name, rows) in enumerate(points.items()):
        colour, marker = plt.get_cmap("tab10")(number % 10), MARKERS[number % len(MARKERS)]
        label = f"{name} ({len(rows)})"
        axis.scatter(rows.mean_a, rows.mean_b, s=18, marker=marker, alpha=0.6, color=colour, label=label)
        mean = rows.mean_a.mean(), rows.mean_b.mean()
        means.append(f"{name} a* {round(mean[0]):+d}, b* {round(mean[1]):+d}")
        axis.scatter(*mean, s=220, marker=marker, facecolor="none", edgecolor=colour)
        axis.scatter(*mean, s=120, marker="+", linewidth=2.5, color=colour)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xlabel("mean a* (green to red)")
    axis.set_ylabel("mean b* (blue to yellow)")
    # Beside the axes, where it covers no photograph.
    axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, ncols=-(-len(points) // 25))
    return titled(figure, title, f"A point for each photograph, a cross at each mean: {'; '.join(means)}")


def selection_panels(
    selections: Mapping[str, pd.DataFrame], captions: Mapping[str, str], title: str, columns: int = 4
) -> Figure:
    """A panel per selection: its photographs in the a*b* plane, the others in grey, a cross at its mean colour.

    `selections` maps name -> table with columns source, mean_a, mean_b; `captions` maps name -> text above. Of many
    photographs every so manieth is drawn, about 1000.
    """
    rows = -(-len(selections) // columns)
    columns = min(columns, len(selections))
    size = 3.1 * columns, 2.9 * rows + 0.4
    seen = []
    figure, axes = subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(selections) :]:
        axis.axis("off")
    for axis, (name, chosen) in zip(axes.flat, selections.items()):
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        for points, colour in ((pd.concat(selections.values()), "0.85"), (chosen, PLAIN)):
            shown = points.iloc[:: max(1, len(points) // 1000)]
            axis.scatter(shown.mean_a, shown.mean_b, s=12, color=colour, alpha=0.8, linewidth=0)
        mean = mean_colour(chosen)
        seen.append(f"{name} a* {round(mean[0]):+d}, b* {round(mean[1]):+d}")
        axis.scatter(*mean, s=140, marker="+", linewidth=2.5, color=HIGHLIGHT)
        axis.set_title(captions[name], fontsize=8)
        axis.set_xlabel("mean a* (green to red)", fontsize=8)
        axis.tick_params(labelsize=7.5)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean b* (blue to yellow)", fontsize=8)
    return titled(figure, title, f"A panel for each selection, a cross at its mean: {'; '.join(seen)}")
