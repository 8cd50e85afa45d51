"""Which training photographs a set may draw from: seeded lists of ids, chosen by what the manifest knows of each."""

from __future__ import annotations

import ast
import hashlib

import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.data.manifest import usable
from srstudy.errors import StudyError
from srstudy.schema import pick
from srstudy.settings import Selection
from srstudy.statistics import COLOUR, Estimate, mean_colour

RESAMPLES = 2000
CONDITION = (  # what a `where` may be made of, besides the names of columns
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.In, ast.NotIn, ast.UnaryOp, ast.USub, ast.Constant, ast.List, ast.Tuple, ast.Name, ast.Load,
)  # fmt: skip


def choose(study: Study, manifest: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """What each selection of the study's profile admits of the manifest's usable training photographs, by name.

    Raises StudyError, naming the key in `params.yaml`, for what a selection asks for and the manifest hasn't.
    """
    train = usable(manifest, "train")
    return {
        name: select(train, selection, study.seed, f"profiles.{study.profile_name}.selections.{name}")
        for name, selection in study.profile.selections.items()
    }


def select(train: pd.DataFrame, selection: Selection, seed: int, key: str) -> pd.DataFrame:
    """Rows of the manifest that a selection admits, by id; its fields apply in the order in which they are declared.

    `key` is the selection's place in `params.yaml`, for errors. Raises StudyError for an unknown source or column, a
    `where` that is no condition, or if no photograph is left.
    """
    rows = train
    if selection.source is not None:
        pick(dict.fromkeys(sorted(set(rows.source))), selection.source, f"{key}.source")
        rows = rows[rows.source == selection.source]
    if selection.where is not None:
        rows = rows[_holds(rows, selection.where, f"{key}.where")]
    if not len(rows):
        raise StudyError(f"{key}: admits none of {len(train)} training photographs; loosen its conditions.")
    if selection.highest is not None:
        rows = _highest(rows, selection.highest, selection.share, f"{key}.highest")
    if selection.per_source is not None:
        rows = rows.iloc[_lots(rows, seed)].groupby("source").head(selection.per_source)
    if selection.grey_radius is not None:
        rows = _towards_grey(rows, selection.grey_radius, seed, f"{key}.grey_radius")
    return rows.sort_values("id")


def selection_table(selections: dict[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """A row for each selection: how many photographs, of which sources, and how far from grey their colour is.

    The 95% interval is that of a bootstrap over the photographs within each source.
    """
    rows = []
    for name, chosen in selections.items():
        a, b = mean_colour(chosen)
        counts = chosen.source.value_counts().sort_index()
        rows.append({
            "selection": name,
            "photographs": len(chosen),
            "of each source": ", ".join(f"{source} {count}" for source, count in counts.items()),
            "mean a*": f"{a:.1f}",
            "mean b*": f"{b:.1f}",
            "distance from grey": f"{_distance(chosen, seed):.1f}",
        })  # fmt: skip
    return pd.DataFrame(rows)


def selection_ids(selections: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What was chosen, as a table to be kept: columns selection, source, id."""
    return pd.concat([rows[["source", "id"]].assign(selection=name) for name, rows in selections.items()])[
        ["selection", "source", "id"]
    ]


def _holds(rows: pd.DataFrame, condition: str, key: str) -> pd.Series:
    """Where a condition such as "sharpness > 20 and source == 'ffhq'" is true.

    Made of columns, constants, comparisons (`in` among them) and `and`, `or`, `not`: anything else is refused before
    pandas is given it, so that parameters can't run code.
    """
    try:
        tree = ast.parse(condition.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two where it is nested too deep
        raise StudyError(f'{key}: "{condition}" can\'t be read; write it as "contrast > 20 and width > 512".') from None
    for node in ast.walk(tree):
        if not isinstance(node, CONDITION):
            shown = ast.unparse(node) or condition  # an operator by itself has no text
            raise StudyError(
                f'{key}: "{shown}" is not allowed; use columns of the manifest, constants, comparisons, and, or, not.'
            )
        if isinstance(node, ast.Name):
            pick(dict.fromkeys(rows.columns), node.id, key)
    try:
        holds = rows.eval(ast.unparse(tree), engine="python")
    except (TypeError, ValueError, NotImplementedError, RecursionError):
        raise StudyError(
            f'{key}: "{condition}" compares what can\'t be compared; compare numbers with numbers, text with text.'
        ) from None
    if not isinstance(holds, pd.Series) or not pd.api.types.is_bool_dtype(holds):
        raise StudyError(f'{key}: "{condition}" is no condition on a photograph; write it like "contrast > 20".')
    return holds


def _highest(rows: pd.DataFrame, column: str, share: float, key: str) -> pd.DataFrame:
    """The share of the rows, at least one, that has the greatest values in a column; ties go by id."""
    pick(dict.fromkeys(rows.columns), column, key)
    if not pd.api.types.is_numeric_dtype(rows[column]):
        raise StudyError(f"{key}: '{column}' is no numeric column of the manifest; rank by one of numbers.")
    keep = max(1, round(share * len(rows)))
    return rows.sort_values([column, "id"], ascending=[False, True]).head(keep)


def _lots(rows: pd.DataFrame, seed: int) -> np.ndarray:
    """Positions of the rows in an order drawn by the seed. Which of two comes first depends on no third one."""
    return np.argsort([hashlib.sha256(f"{seed} {id}".encode()).hexdigest() for id in rows.id])


def _towards_grey(rows: pd.DataFrame, radius: float, seed: int, key: str) -> pd.DataFrame:
    """Drop photographs until the mean colour of the rest is no farther than `radius` from grey (a* = b* = 0).

    In an order drawn by the seed, each photograph is dropped that is farther out than the mean of its source, in the
    direction of the mean colour as it then is. So strong colours become rarer, but none disappears, as they would if
    the strongest were dropped first. A source's last photograph stays.
    Raises StudyError if the mean is still too far when all have been looked at.
    """
    rows = rows.iloc[_lots(rows, seed)]
    colours, sources = rows[COLOUR].to_numpy(), pd.factorize(rows.source)[0]
    counts = np.bincount(sources)
    sums = np.stack([np.bincount(sources, weights=channel) for channel in colours.T], axis=1)
    kept = np.ones(len(rows), bool)
    for position, source in enumerate(sources):
        mean = (sums / counts[:, None]).mean(axis=0)
        if np.hypot(*mean) <= radius:
            break
        farther = (colours[position] - sums[source] / counts[source]) @ mean > 0
        if farther and counts[source] > 1:
            kept[position] = False
            counts[source] -= 1
            sums[source] -= colours[position]
    left = np.hypot(*(sums / counts[:, None]).mean(axis=0))
    if left > radius:
        raise StudyError(f"{key}: the mean colour stays {left:.1f} from grey, farther than {radius:g}; allow more.")
    return rows[kept]


def _distance(rows: pd.DataFrame, seed: int) -> Estimate:
    """How far the mean colour of photographs is from grey, with its 95% bootstrap interval."""
    random = np.random.default_rng([seed, 5])
    groups = [group.to_numpy() for _, group in rows.groupby("source")[COLOUR]]
    # One resample after the other: all at once would need gigabytes for ten thousand photographs.
    means = [
        np.mean([group[random.integers(0, len(group), len(group))].mean(axis=0) for group in groups], axis=0)
        for _ in range(RESAMPLES)
    ]
    low, high = np.percentile(np.hypot(*np.transpose(means)), [2.5, 97.5])
    return Estimate(float(np.hypot(*mean_colour(rows))), float(low), float(high))
