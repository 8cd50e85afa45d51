"""Which training photographs a set may draw from: chosen by what the manifest knows of each, and by the seed."""

import hashlib

import numpy as np
import pandas as pd
from pandas.errors import UndefinedVariableError

from srstudy import StudyError
from srstudy.parsing import pick
from srstudy.photos.manifest import usable
from srstudy.settings import Selection
from srstudy.statistics import COLOUR, Estimate, mean_colour
from srstudy.study import Study

RESAMPLES = 2000


def choose(study: Study, manifest: pd.DataFrame, *names: str) -> dict[str, pd.DataFrame]:
    """What selections of the profile, these or all, admit of usable training photographs; raises as `select` does."""
    train, wishes = usable(manifest, "train"), study.profile.selections
    where = f"profiles.{study.profile_name}.selections"
    return {name: select(train, wishes[name], study.seed, f"{where}.{name}") for name in names or wishes}


def select(train: pd.DataFrame, selection: Selection, seed: int, key: str) -> pd.DataFrame:
    """Rows of the manifest that a selection admits, by id; its fields apply in the order in which they are declared.

    `key` is the selection's place in `params.yaml`, for errors. Raises StudyError for an unknown source or column, a
    `where` that is no condition, if no photograph is left, or if they can't be brought near enough to grey.
    """
    rows, wish = train, selection
    if wish.source is not None:
        pick(dict.fromkeys(sorted(set(rows.source))), wish.source, f"{key}.source")
        rows = rows[rows.source == wish.source]
    if wish.where is not None:
        rows = rows[_holds(rows, wish.where, f"{key}.where")]
    if not len(rows):
        raise StudyError(f"{key}: admits none of {len(train)} training photographs; loosen its conditions.")
    if wish.highest is not None:
        pick(dict.fromkeys(rows.columns), wish.highest, f"{key}.highest")
        if not pd.api.types.is_numeric_dtype(rows[wish.highest]):
            raise StudyError(f"{key}.highest: '{wish.highest}' is no column of numbers; rank by one that is.")
        keep = max(1, round(wish.share * len(rows)))
        rows = rows.sort_values([wish.highest, "id"], ascending=[False, True]).head(keep)
    # In an order drawn by the seed, in which it depends on no third row which of two comes first.
    rows = rows.iloc[np.argsort([hashlib.sha256(f"{seed} {id}".encode()).hexdigest() for id in rows.id])]
    if wish.per_source is not None:
        rows = rows.groupby("source").head(wish.per_source)
    if wish.grey_radius is not None:
        rows = _towards_grey(rows, wish.grey_radius, f"{key}.grey_radius")
    return rows.sort_values("id")


def _holds(rows: pd.DataFrame, condition: str, key: str) -> pd.Series:
    """Where a condition on columns, such as "contrast > 20 and source == 'ffhq'", is true, as pandas understands it."""
    hint = 'write it like "contrast > 20 and width > 512"'
    try:
        holds = rows.eval(condition.strip(), engine="python")
    except Exception as error:  # pandas has one of its own for each part of an expression
        if isinstance(error, UndefinedVariableError):
            pick(dict.fromkeys(rows.columns), str(error).split("'")[1], key)
        what = "compares what can't be compared" if isinstance(error, TypeError) else "can't be read"
        raise StudyError(f'{key}: "{condition}" {what} ({str(error) or type(error).__name__}); {hint}.') from None
    if not isinstance(holds, pd.Series) or not pd.api.types.is_bool_dtype(holds):
        raise StudyError(f'{key}: "{condition}" is no condition on a photograph; {hint}.')
    return holds


def _towards_grey(rows: pd.DataFrame, radius: float, key: str) -> pd.DataFrame:
    """Drop photographs until the mean colour of the rest is no farther than `radius` from grey (a* = b* = 0).

    In the order of the rows, each photograph is dropped that is farther out than the mean of its source, in the
    direction of the mean colour as it then is. So strong colours become rarer, but none disappears, as they would if
    the strongest were dropped first. A source's last photograph stays.
    """
    colours, sources = rows[COLOUR].to_numpy(), pd.factorize(rows.source)[0]
    counts, kept = np.bincount(sources), np.ones(len(rows), bool)
    sums = np.stack([np.bincount(sources, weights=channel) for channel in colours.T], axis=1)
    for position, source in enumerate(sources):
        mean = (sums / counts[:, None]).mean(axis=0)
        if np.hypot(*mean) <= radius:
            break
        if (colours[position] - sums[source] / counts[source]) @ mean > 0 and counts[source] > 1:
            kept[position] = False
            counts[source] -= 1
            sums[source] -= colours[position]
    left = np.hypot(*(sums / counts[:, None]).mean(axis=0))
    if left > radius:
        raise StudyError(f"{key}: the mean colour stays {left:.1f} from grey, farther than {radius:g}; allow more.")
    return rows[kept]


def selection_table(selections: dict[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """A row for each selection: how many photographs, of which sources, and how far from grey their mean colour is.

    The 95% interval is that of a bootstrap within each source.
    """
    rows = []
    for name, chosen in selections.items():
        counts, (a, b) = chosen.source.value_counts().sort_index(), mean_colour(chosen)
        groups = [group.to_numpy() for _, group in chosen.groupby("source")[COLOUR]]
        random, means = np.random.default_rng([seed, 5]), []
        for _ in range(RESAMPLES):  # one after the other: all at once would need gigabytes for ten thousand photographs
            drawn = [group[random.integers(0, len(group), len(group))] for group in groups]
            means.append(np.mean([group.mean(axis=0) for group in drawn], axis=0))
        distance = Estimate(np.hypot(a, b), *np.percentile(np.hypot(*np.transpose(means)), [2.5, 97.5]))
        sources = ", ".join(f"{source} {count}" for source, count in counts.items())
        colour = {"mean a*": f"{a:.1f}", "mean b*": f"{b:.1f}", "distance from grey": f"{distance:.1f}"}
        rows.append({"selection": name, "photographs": len(chosen), "of each source": sources, **colour})
    return pd.DataFrame(rows)
