"""Figures as tables, and how a table looks in a notebook and on its page."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from IPython.display import HTML

from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.statistics import Estimate, estimate

FEW = 10  # photographs, below which intervals come with a caution


def show(table: pd.DataFrame, caption: str = "") -> HTML:
    """The whole table under its caption, no cell cut short; the index only where it has a name."""
    if not len(table):
        return HTML("<p>(nothing)</p>")
    with pd.option_context("display.max_colwidth", None):
        html = table.to_html(index=table.index.name is not None, border=0, justify="left", max_rows=None)
    return HTML(f"<p><b>{caption}</b></p>\n{html}" if caption else html)


def caution(count: int) -> str:
    """What to say beside bootstrap intervals over `count` photographs: nothing where there are enough."""
    if count >= FEW:
        return ""
    return (
        f"Caution: intervals over so few photographs ({count}) are too short. Where values scatter normally, those "
        "called 95% hold the true mean in about 75% of cases with 3 photographs, in 90% with 10."
    )


def results(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean and 95% interval over photos for every method and measure: columns run, measure, value, low, high."""
    rows = []
    for method, group in scores.groupby("method", sort=False):
        for measure in MEASURES:
            found = estimate(group[measure].to_numpy(), seed)
            rows.append({"run": method, "measure": measure, "value": found.value, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def results_table(table: pd.DataFrame) -> pd.DataFrame:
    """`results` for reading: a row per run, a column per measure, "mean [low, high]" in each cell."""
    cells = {
        (row.run, MEASURES[row.measure][0]): f"{Estimate(row.value, row.low, row.high):{_digits(row.measure)}}"
        for row in table.itertuples()
    }
    return pd.Series(cells).unstack(sort=False).rename_axis("run")


def differences_table(scores: pd.DataFrame, pairs: Iterable[tuple[str, str]], seed: int) -> pd.DataFrame:
    """Mean of first minus second method, photo by photo, with its 95% interval: a row for each pair.

    Raises KeyError for a method that has no scores.
    """
    by_method = scores.set_index(["method", "photo"])[list(MAIN_MEASURES)]
    rows = []
    for method, other in pairs:
        differences = by_method.loc[method] - by_method.loc[other]
        cells = {
            MEASURES[measure][0]: f"{estimate(differences[measure].to_numpy(), seed):+{_digits(measure)}}"
            for measure in MAIN_MEASURES
        }
        rows.append({"difference": f"{method} − {other}", **cells})
    return pd.DataFrame(rows)


def _digits(measure: str) -> str:
    return ".3f" if measure in ("ssim_y", "ssim_rgb", "perceptual", "sharpness") else ".2f"


def effects_table(table: pd.DataFrame) -> pd.DataFrame:
    """`effects` for reading: a row per measure, a column per factor, "difference [low, high]" in each cell."""
    cells = {
        (MEASURES[row.measure][0], row.factor): f"{Estimate(row.value, row.low, row.high):+{_digits(row.measure)}}"
        for row in table.itertuples()
    }
    return pd.Series(cells).unstack(sort=False).rename_axis("measure")
