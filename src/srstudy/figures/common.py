"""What all pictures share, and those that more than one stage shows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy.ndimage import uniform_filter

from srstudy.degrade.bicubic import SCALE, downscale, upscale
from srstudy.files import replacing

HIGHLIGHT = "#d55e00"  # Okabe and Ito's vermilion and blue: distinct for colour-blind readers
PLAIN = "#0072b2"


class StudyFigure(Figure):
    """A figure that goes by its title and what is seen in it, for a notebook's reader who can't see the picture."""

    seen = ""

    def __repr__(self) -> str:
        return ". ".join(filter(None, (f"Figure: {' '.join(self.get_suptitle().split())}", self.seen)))


subplots = partial(plt.subplots, FigureClass=StudyFigure)


def spread(items: pd.DataFrame | Sequence, most: int) -> pd.DataFrame | list:
    """At most `most` (2 or more) rows of a table or items of a sequence, spread evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return items.iloc[places] if isinstance(items, pd.DataFrame) else [items[place] for place in places]


def photo_grid(images: Mapping[str, np.ndarray], title: str, columns: int = 8) -> Figure:
    """Thumbnails with captions; `images` maps caption -> uint8 [H, W, 3]."""
    rows = -(-len(images) // columns)
    figure, axes = subplots(rows, columns, figsize=(1.25 * columns, 1.1 * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (caption, image) in zip(axes.flat, images.items()):
        step = max(1, min(image.shape[:2]) // 120)
        axis.imshow(image[::step, ::step])
        axis.set_title(textwrap.fill(caption, 20), fontsize=6)
    return titled(figure, title, f"Thumbnails: {', '.join(' '.join(caption.split()) for caption in images)}")


def comparison(
    hr: np.ndarray, lr: np.ndarray, enlarged: Mapping[str, np.ndarray], captions: Mapping[str, str], title: str
) -> Figure:
    """The paper's figures 1 to 3: LR, enlargements and HR side by side, a zoomed crop below each, figures under each.

    `hr`: uint8 [H, W, 3], H and W multiples of 4; `lr`: uint8 [H/4, W/4, 3]; `enlarged` maps method -> uint8 [H, W, 3];
    `captions` maps method -> text under it.
    """
    nearest = np.kron(lr, np.ones((SCALE, SCALE, 1), lr.dtype))
    columns = {"LR": nearest, **enlarged, "HR": hr}
    top, left, side = _most_lost(hr)
    figure, axes = subplots(2, len(columns), figsize=(2.15 * len(columns), 5.2), squeeze=False)
    for column, (name, image) in enumerate(columns.items()):
        whole, zoom = axes[:, column]
        whole.imshow(image)
        for colour, width in (("white", 3.5), (HIGHLIGHT, 1.5)):  # seen on whatever it lies
            whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=width))
        heading = f"{name} {lr.shape[1]}×{lr.shape[0]}" if name == "LR" else name
        whole.set_title(textwrap.fill(heading, 20, break_on_hyphens=False), fontsize=11)
        zoom.imshow(image[top : top + side, left : left + side], interpolation="nearest")
        zoom.set_xlabel(captions.get(name, ""), fontsize=9.5)
        for axis in (whole, zoom):
            axis.set_xticks([])
            axis.set_yticks([])
    across, down = (100 * (start + side / 2) / length for start, length in ((left, hr.shape[1]), (top, hr.shape[0])))
    middle = f"{across:.0f}% from the left, {down:.0f}% down"
    seen = f"Side by side {', '.join(columns)}; below each, enlarged, a square of {side} px around the place {middle}"
    return titled(figure, title, seen)


def _most_lost(hr: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side, in pixels, of the square in which bicubic reduction loses most: there is most to bring back.

    Contrast alone would choose edges between light and dark, of which little is lost. The side is two fifths of the
    shorter one of `hr`, uint8 [H, W, 3].
    """
    side = 2 * min(hr.shape[:2]) // 5
    lost = np.abs(hr.astype(float) - upscale(downscale(hr))).mean(axis=2)
    means = uniform_filter(lost, side)[side // 2 :, side // 2 :][: lost.shape[0] - side + 1, : lost.shape[1] - side + 1]
    top, left = np.unravel_index(means.argmax(), means.shape)
    return int(top), int(left), side


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG or SVG (by the file's ending), whole or not at all, without a date inside.

    In an SVG, text stays text: smaller files, which can be searched and read aloud.
    """
    with replacing(path) as temporary:
        metadata = {"Date": None} if temporary.suffix == ".svg" else None
        with plt.rc_context({"svg.hashsalt": "srstudy", "svg.fonttype": "none"}):
            figure.savefig(temporary, dpi=110, metadata=metadata)


def titled(figure: Figure, title: str, seen: str = "") -> Figure:
    """The figure under its title, and out of pyplot's hands; `seen` says in words what the picture shows."""
    figure.suptitle(title, fontsize=10)
    figure.seen = seen
    figure.tight_layout()
    plt.close(figure)  # the notebook shows what it is given; pyplot must not show it again
    return figure
