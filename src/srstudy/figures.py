"""The pictures of the study. Every function returns a matplotlib figure; titles carry the profile's note."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from srstudy.degrade import SCALE
from srstudy.files import replacing
from srstudy.images import read_rgb
from srstudy.metrics import MEASURES, RATES
from srstudy.statistics import mean_colour

HIGHLIGHT = "#d55e00"  # Okabe and Ito's vermilion and blue: distinct for colour-blind readers
PLAIN = "#0072b2"
MARKERS = "o^sDvP*"  # 7 of them go with 10 colours: no pair comes twice among 70 groups


HISTORY = {  # names of a history's figures on validation photographs; the rest go by their column
    "psnr_y": "validation PSNR-Y (dB)",
    "shift_a": "validation a* shift",
    "shift_b": "validation b* shift",
    "perceptual": "validation VGG16-HED",
    "diversity": "validation diversity, HR = 1",
}


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


def tile_pairs(hr: Sequence[np.ndarray], lr: Sequence[np.ndarray], title: str) -> Figure:
    """LR above HR for a handful of tiles, both drawn at the same size."""
    figure, axes = subplots(2, len(hr), figsize=(1.5 * len(hr), 3.8), squeeze=False)
    for column in range(len(hr)):
        for row, (name, image) in enumerate((("LR", lr[column]), ("HR", hr[column]))):
            axes[row, column].imshow(image, interpolation="nearest")
            axes[row, column].set_title(f"{name} {image.shape[1]}×{image.shape[0]}", fontsize=7)
            axes[row, column].axis("off")
    return titled(figure, title)


def colour_scatter(points: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Mean colour of photographs in the a*b* plane; a cross within the group's marker is the group's mean.

    `points` maps group -> table with columns mean_a, mean_b. Groups differ in marker and colour.
    """
    figure, axis = subplots(figsize=(5.5, 4.5))
    for number, (name, rows) in enumerate(points.items()):
        colour, marker = plt.get_cmap("tab10")(number % 10), MARKERS[number % len(MARKERS)]
        label = f"{name} ({len(rows)})"
        axis.scatter(rows.mean_a, rows.mean_b, s=18, marker=marker, alpha=0.6, color=colour, label=label)
        mean = rows.mean_a.mean(), rows.mean_b.mean()
        axis.scatter(*mean, s=220, marker=marker, facecolor="none", edgecolor=colour)
        axis.scatter(*mean, s=120, marker="+", linewidth=2.5, color=colour)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    axis.set_xlabel("mean a* (green to red)")
    axis.set_ylabel("mean b* (blue to yellow)")
    axis.legend(fontsize=7)
    return titled(figure, title)


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
    figure, axes = subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(selections) :]:
        axis.axis("off")
    for axis, (name, chosen) in zip(axes.flat, selections.items()):
        axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axis.axvline(0, color="0.8", linewidth=0.8, zorder=0)
        for points, colour in ((pd.concat(selections.values()), "0.85"), (chosen, PLAIN)):
            shown = points.iloc[:: max(1, len(points) // 1000)]
            axis.scatter(shown.mean_a, shown.mean_b, s=12, color=colour, alpha=0.8, linewidth=0)
        axis.scatter(*mean_colour(chosen), s=140, marker="+", linewidth=2.5, color=HIGHLIGHT)
        axis.set_title(captions[name], fontsize=8)
        axis.set_xlabel("mean a* (green to red)", fontsize=8)
        axis.tick_params(labelsize=7.5)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean b* (blue to yellow)", fontsize=8)
    return titled(figure, title)


def curves(history: Sequence[Mapping[str, float]], title: str, columns: int = 5) -> Figure:
    """One panel per figure of a run's history over training steps; what is measured at ends of epochs has dots."""
    table = pd.DataFrame(history)
    names = [name for name in table if name not in ("step", "epoch", *RATES)]
    rows = -(-len(names) // columns)
    figure, axes = subplots(rows, columns, figsize=(2.3 * columns, 1.9 * rows), squeeze=False)
    for axis, name in zip(axes.flat, names):
        known = table[["step", name]].dropna()
        axis.plot(known.step, known[name], color=PLAIN, marker="." if len(known) < 12 else None)
        axis.set_title(HISTORY.get(name, name.replace("_", " ")), fontsize=9)
        axis.set_xlim(0, 1.03 * table.step.max())
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=8)
    return titled(figure, title)


def rate_curves(rates: pd.DataFrame, title: str) -> Figure:
    """How fast a run was and what it held in memory, over training steps; columns as in `reports/rates`."""
    labels = {"images_per_second": "images per second", "gflops": "GFLOP per second", "memory_gb": "memory (GB)"}
    figure, axes = subplots(1, len(labels), figsize=(3.1 * len(labels), 2.3))
    for axis, (name, label) in zip(axes, labels.items()):
        axis.plot(rates.step, rates[name], color=PLAIN, marker="." if len(rates) < 12 else None)
        axis.set_title(label, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.set_xlim(0, 1.03 * rates.step.max())
        axis.set_ylim(0, 1.1 * rates[name].max())
        axis.tick_params(labelsize=7)
    return titled(figure, title)


def strips(folder: str | Path, title: str, most: int = 6) -> Figure | None:
    """The pictures of a run's validations, one below the other, the first and the last among them; None if it has none
    yet.
    """
    paths = sorted(Path(folder).glob("step-*.png"))
    if not paths:
        return None
    chosen = [paths[i] for i in sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(most, len(paths)))})]
    figure, axes = subplots(len(chosen), 1, figsize=(8, 2.1 * len(chosen)), squeeze=False)
    for axis, path in zip(axes[:, 0], chosen):
        axis.imshow(read_rgb(path))
        axis.set_ylabel(f"step {int(path.stem.rpartition('-')[2]):,}", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
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


def interval_bars(table: pd.DataFrame, measures: Sequence[str], baseline: str, title: str) -> Figure:
    """One panel per measure: mean and 95% interval of every run, the baseline as a dashed line.

    `table`: columns run, measure, value, low, high.
    """
    runs = list(dict.fromkeys(table.run))
    figure, axes = subplots(1, len(measures), figsize=(3.1 * len(measures), 0.3 * len(runs) + 1.3), squeeze=False)
    for axis, measure in zip(axes[0], measures):
        rows = table[table.measure == measure].set_index("run").loc[runs]
        _draw_intervals(axis, rows, runs, rows.value[baseline], measure)
    return titled(figure, title)


def effect_bars(table: pd.DataFrame, measures: Sequence[str], title: str) -> Figure:
    """Main effects: one panel per measure, one line per factor, with 95% intervals and a line at no effect.

    `table`: columns factor, measure, value, low, high.
    """
    figure, axes = subplots(1, len(measures), figsize=(3.1 * len(measures), 1.9), squeeze=False)
    for axis, measure in zip(axes[0], measures):
        rows = table[table.measure == measure]
        _draw_intervals(axis, rows, list(rows.factor), 0, measure)
    return titled(figure, title)


def arm_dots(table: pd.DataFrame, measures: Sequence[str], title: str) -> Figure:
    """One panel per measure, one dot per arm of an ablation; a band over the arms whose name begins with "as it is".

    `table`: column arm and the measures.
    """
    figure, axes = subplots(1, len(measures), figsize=(4.2 * len(measures), 0.27 * len(table) + 1.1), squeeze=False)
    same = table.arm.str.startswith("as it is")
    for axis, measure in zip(axes[0], measures):
        axis.axvspan(table[measure][same].min(), table[measure][same].max(), color=HIGHLIGHT, alpha=0.25)
        axis.plot(table[measure], range(len(table)), "o", color=PLAIN, markersize=4)
        axis.set_yticks(range(len(table)), table.arm if axis.get_subplotspec().is_first_col() else [])
        axis.set_ylim(len(table) - 0.5, -0.5)
        _head(axis, measure)
    return titled(figure, title)


def _head(axis: Axes, measure: str) -> None:
    label, direction = MEASURES[measure]
    axis.set_title(label + {1: " ↑", -1: " ↓", 0: ""}[direction], fontsize=9)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.tick_params(labelsize=7.5)


def _draw_intervals(axis: Axes, rows: pd.DataFrame, names: list[str], line: float, measure: str) -> None:
    error = [rows.value - rows.low, rows.high - rows.value]
    axis.errorbar(rows.value, range(len(rows)), xerr=error, fmt="o", color=PLAIN, markersize=4, capsize=2)
    axis.axvline(line, color=HIGHLIGHT, linestyle="--", linewidth=1)
    axis.set_yticks(range(len(names)), names if axis.get_subplotspec().is_first_col() else [])
    axis.set_ylim(len(names) - 0.5, -0.5)
    _head(axis, measure)


def timing_bars(table: pd.DataFrame, title: str) -> Figure:
    """Wall time of each stage in seconds."""
    figure, axis = subplots(figsize=(6.5, 0.22 * len(table) + 0.9))
    axis.barh(table.stage, table.seconds, color=PLAIN)
    axis.invert_yaxis()
    axis.set_xlabel("seconds")
    axis.tick_params(labelsize=7.5)
    return titled(figure, title)


def draw_times(root: Path) -> None:
    """Draw `reports/timings.csv` as `reports/timings.svg`, which the report shows without containing it."""
    times = pd.read_csv(root / "reports" / "timings.csv", keep_default_na=False)
    title = f"wall time of each stage, {times.seconds.sum() / 60:.1f} minutes in all ({times.profile[0]} profile)"
    save_figure(timing_bars(times, title), root / "reports" / "timings.svg")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG or SVG (by the file's ending), whole or not at all, without a date inside."""
    with replacing(path) as temporary:
        metadata = {"Date": None} if temporary.suffix == ".svg" else None
        with plt.rc_context({"svg.hashsalt": "srstudy"}):
            figure.savefig(temporary, dpi=110, metadata=metadata)


def titled(figure: Figure, title: str) -> Figure:
    """The figure under its title, and out of pyplot's hands."""
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    plt.close(figure)  # the notebook shows what it is given; pyplot must not show it again
    return figure
