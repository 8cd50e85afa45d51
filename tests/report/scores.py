"""Constructed scores of a study, whose truth is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from srstudy.files import write_csv
from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import labelled
from srstudy.study import Study

PHOTOS = [f"photo-{number}" for number in range(14)]
HALF = "srgan-5k-32-plain after 10 epochs"


def score_table(study: Study, changes: Mapping[str, Mapping[str, object]] = {}, photos: Sequence[str] = PHOTOS):
    """Scores of all methods of a study, alike but for the changes by a method's label: numbers, or one a photograph."""
    random = np.random.default_rng(0)
    level = {measure: random.normal(10, 2, len(photos)) for measure in MEASURES}  # photographs differ
    for measure in ("shift_a", "shift_b"):  # every photograph has its own tint, but all together have none
        level[measure] -= level[measure].mean()
    keys = [("bicubic", "", "")]
    for name, run in study.runs.items():
        kinds = ("image", "moving") if run.recipe.generator.kind == "srgan" else ("",)
        keys += [
            (name, epochs, kind) for epochs in ("", *([f"{run.snapshot:g}"] if run.snapshot else [])) for kind in kinds
        ]
    rows = [pd.DataFrame({"photo": photos, "run": run, "snapshot": s, "statistics": kind}) for run, s, kind in keys]
    scores = labelled(study, pd.concat(rows, ignore_index=True))
    for method, group in scores.groupby("method", sort=False):
        for measure in MEASURES:
            noise = random.normal(0, 0.001, len(photos))
            scores.loc[group.index, measure] = level[measure] + noise + changes.get(method, {}).get(measure, 0)
    return scores


def rows_of(*trainings: int) -> pd.DataFrame:
    """What `resample` is told of rows: runs 0, 1 and so on, each trained under so many seeds."""
    names = np.repeat(np.arange(len(trainings)).astype(str), trainings)
    return pd.DataFrame(
        {"method": names, "run": [f"{name}, row {row}" for row, name in enumerate(names)], "family": names}
    )


def write_scores(reports: Path, scores: pd.DataFrame) -> None:
    """The table as evaluation leaves it, a file for each run."""
    for run, rows in scores.drop(columns="method").groupby("run"):
        write_csv(reports / "scores" / f"{run}.csv", rows)
