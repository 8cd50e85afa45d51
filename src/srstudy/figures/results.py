"""The pictures of all runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from srstudy.figures.common import HIGHLIGHT, PLAIN, save_figure, subplots, titled
from srstudy.judge.metrics import MEASURES


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
