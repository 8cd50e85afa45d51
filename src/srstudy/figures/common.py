"""What all pictures share, and those that more than one stage shows."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from srstudy.degrade.bicubic import SCALE
from srstudy.files import replacing

HIGHLIGHT = "#d55e00"  # Okabe and Ito's vermilion and blue: distinct for colour-blind readers
PLAIN = "#0072b2"


class StudyFigure(Figure):
    """A figure that goes by its title, which a notebook then gives to a reader who can't see the picture."""

    def __repr__(self) -> str:
        return f"Figure: {' '.join(self.get_suptitle().split())}"


subplots = partial(plt.subplots, FigureClass=StudyFigure)


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
    return titled(figure, title)


def comparison(
    hr: np.ndarray, lr: np.ndarray, enlarged: Mapping[str, np.ndarray], captions: Mapping[str, str], title: str
) -> Figure:
    """The paper's figures 1 to 3: LR, enlargements and HR side by side, a zoomed crop below each, figures under each.

    `enlarged` maps method -> uint8 [H, W, 3]; `captions` maps method -> text under it.
    """
    nearest = np.kron(lr, np.ones((SCALE, SCALE, 1), lr.dtype))
    columns = {"LR": nearest, **enlarged, "HR": hr}
    top, left, side = _liveliest(hr)
    figure, axes = subplots(2, len(columns), figsize=(2.15 * len(columns), 5.2), squeeze=False)
    for column, (name, image) in enumerate(columns.items()):
        whole, zoom = axes[:, column]
        whole.imshow(image)
        whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=HIGHLIGHT, linewidth=1.5))
        heading = f"{name} {lr.shape[1]}×{lr.shape[0]}" if name == "LR" else name
        whole.set_title(textwrap.fill(heading, 20, break_on_hyphens=False), fontsize=11)
        zoom.imshow(image[top : top + side, left : left + side], interpolation="nearest")
        zoom.set_xlabel(captions.get(name, ""), fontsize=9.5)
        for axis in (whole, zoom):
            axis.set_xticks([])
            axis.set_yticks([])
    return titled(figure, title)


def _liveliest(hr: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of the square with most contrast: where methods differ most."""
    side = min(hr.shape[:2]) // 3
    grey = hr.mean(axis=2)
    places = [(y, x) for y in range(0, hr.shape[0] - side, side // 2) for x in range(0, hr.shape[1] - side, side // 2)]
    return (*max(places, key=lambda p: grey[p[0] : p[0] + side, p[1] : p[1] + side].std()), side)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG or SVG (by the file's ending), whole or not at all, without a date inside.

    In an SVG, text stays text: smaller files, which can be searched and read aloud.
    """
    with replacing(path) as temporary:
        metadata = {"Date": None} if temporary.suffix == ".svg" else None
        with plt.rc_context({"svg.hashsalt": "srstudy", "svg.fonttype": "none"}):
            figure.savefig(temporary, dpi=110, metadata=metadata)


def titled(figure: Figure, title: str) -> Figure:
    """The figure under its title, and out of pyplot's hands."""
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    plt.close(figure)  # the notebook shows what it is given; pyplot must not show it again
    return figure
