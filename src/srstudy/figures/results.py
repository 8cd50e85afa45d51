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
    seen = [f"The dashed line is {baseline}"]
    for axis, measure in zip(axes[0], measures):
        rows = table[table.measure == measure].set_index("run").loc[runs]
        _draw_intervals(axis, rows, runs, rows.value[baseline], measure)
        seen.append(f"{MEASURES[measure][0]}: {_ends(rows.value)}")
    return titled(figure, title, ". ".join(seen))


def effect_bars(table: pd.DataFrame, measures: Sequence[str], title: str) -> Figure:
    """Main effects: one panel per measure, one line per factor, with 95% intervals and a line at no effect.

    `table`: columns factor, measure, value, low, high.
    """
    figure, axes = subplots(1, len(measures), figsize=(3.1 * len(measures), 1.9), squeeze=False)
    seen = []
    for axis, measure in zip(axes[0], measures):
        rows = table[table.measure == measure]
        _draw_intervals(axis, rows, list(rows.factor), 0, measure)
        effects = (f"{row.factor} {row.value:+.3g} [{row.low:+.3g}, {row.high:+.3g}]" for row in rows.itertuples())
        seen.append(f"{MEASURES[measure][0]}: {', '.join(effects)}")
    return titled(figure, title, ". ".join(seen))


def arm_dots(table: pd.DataFrame, measures: Sequence[str], title: str) -> Figure:
    """One panel per measure, one dot per arm of an ablation; a band over the arms whose name begins with "as it is".

    An arm so far off that it would squeeze the others is an arrow at the edge with its value. `table`: column arm and
    the measures.
    """
    figure, axes = subplots(1, len(measures), figsize=(4.2 * len(measures), 0.27 * len(table) + 1.1), squeeze=False)
    same = table.arm.str.startswith("as it is")
    seen = []
    for axis, measure in zip(axes[0], measures):
        values = table[measure].set_axis(range(len(table)))
        band = table[measure][same].min(), table[measure][same].max()
        axis.axvspan(*band, color=HIGHLIGHT, alpha=0.25)
        off = _far_off(values)
        axis.plot(values[~off], values.index[~off], "o", color=PLAIN, markersize=4)
        for place, value in values[off].items():
            _arrow(axis, place, value, right=value > values.median())
        axis.set_yticks(range(len(table)), table.arm if axis.get_subplotspec().is_first_col() else [])
        axis.set_ylim(len(table) - 0.5, -0.5)
        _head(axis, measure)
        ends = _ends(table.set_index("arm")[measure])
        seen.append(f"{MEASURES[measure][0]}: as it is {band[0]:.4g} to {band[1]:.4g}, {ends}")
    return titled(figure, title, ". ".join(seen))


def _ends(values: pd.Series) -> str:
    """The lowest and the highest of values that are indexed by what they are of."""
    low, high = values.idxmin(), values.idxmax()
    return f"lowest {low} {values[low]:.4g}, highest {high} {values[high]:.4g}"


def _far_off(values: pd.Series) -> pd.Series:
    """bool, of each value: does it lie further from the median than ten times the distance of the quartiles?"""
    low, high = values.quantile(0.25), values.quantile(0.75)
    return (values - values.median()).abs() > max(10 * (high - low), 1e-9)


def _arrow(axis: Axes, place: int, value: float, right: bool) -> None:
    """Instead of a dot beyond the axis, an arrow at its edge, and the value beside."""
    edge, inside, side = (0.98, 0.94, "right") if right else (0.02, 0.06, "left")
    across = axis.get_yaxis_transform()
    axis.plot(edge, place, ">" if right else "<", transform=across, color=PLAIN, markersize=6)
    axis.text(inside, place, f"{value:.4g}", transform=across, ha=side, va="center", fontsize=8)


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
