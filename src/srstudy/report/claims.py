"""The paper's claims as differences with a verdict, and where the paper is silent; `words.yaml` lists both."""

import re
from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import by_statistics, digits, name_of, per_run, shifts
from srstudy.settings import Selection
from srstudy.statistics import LEVELS, Estimate, bias_difference, estimate, verdict
from srstudy.study import Study

WORDS = yaml.safe_load(Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"))
GRID = ["-".join(run) for run in product(*LEVELS)]
KINDS = {kind: [name for name in GRID if name.endswith(kind)] for kind in LEVELS[2]}
BIAS, BIASED = "colour bias", "5k-32-biased"
VERDICTS = ("supported", "contradicted", "cannot tell at this scale", "not judged here", "mixed")
SUPPORTED, CONTRADICTED, UNDECIDED, NOT_JUDGED, MIXED = VERDICTS
LIGHTS = dict(zip(VERDICTS, "🟢🔴🟡⚪🟠"))
BETTER = {SUPPORTED: "better by", CONTRADICTED: "worse by", UNDECIDED: "no measurable difference by"}


class Comparison(NamedTuple):
    """The mean difference first − second, and its sign by a claim. Names of methods, or kinds of runs of the grid."""

    measure: str
    first: str
    second: str
    sign: int

    def __str__(self) -> str:
        return f"{BIAS if self.measure == BIAS else name_of(self.measure)}: {self.first} − {self.second}"

    @property
    def methods(self) -> tuple[list[str], list[str]]:
        """Those that are compared, run by run."""
        return KINDS.get(self.first, [self.first]), KINDS.get(self.second, [self.second])

    def difference(self, scores: pd.DataFrame, seed: int) -> Estimate:
        """With its 95% interval, photograph by photograph."""
        first, second = self.methods
        if self.measure == BIAS:
            return bias_difference(shifts(scores, *first), shifts(scores, *second), seed)
        runs = per_run(scores, self.measure)
        return estimate(np.mean([runs[a] - runs[b] for a, b in zip(first, second)], axis=0), seed)


def comparisons(study: Study, scores: pd.DataFrame, missing: dict[str, str]) -> pd.DataFrame:
    """What each claim is judged by: claim, what is compared, and under each reading of batch norm at test time the
    difference with its 95% interval and the verdict; or why there is none.
    """
    parts, rows = by_statistics(study, scores), []
    for claim, section in WORDS["claims"].items():
        for comparison in (Comparison(*row) for row in section.get("compared", ())):
            if comparison.second.startswith("warm start") and not any(run.warm_start for run in study.runs.values()):
                continue  # this profile begins from scratch
            row = {"claim": claim, "compared": str(comparison)}
            absent = _why_absent(scores, missing, chain(*comparison.methods))
            for reading, part in parts.items():
                found = None if absent else comparison.difference(part, study.seed)
                row[f"{reading} statistics"] = f"{found:+.{2 if abs(found.value) >= 0.1 else 4}f}" if found else ""
                said = verdict(found, comparison.sign) if found else f"{NOT_JUDGED}: {absent}"
                row[f"verdict, {reading} statistics"] = said
            rows.append(row)
    return pd.DataFrame(rows)


def _why_absent(scores: pd.DataFrame, missing: dict[str, str], methods: Iterable[str]) -> str:
    names = [name for name in methods if name not in set(scores.method)]
    return "; ".join(missing.get(name.removeprefix("warm start "), f"{name} has no scores") for name in names)


def verdicts(study: Study, scores: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """A row per claim: what it says, the verdict, and why. `compared`: what `comparisons` gave.

    A claim is supported or contradicted when all of its comparisons are, under the study's choice of statistics; it is
    mixed when some support and some contradict it.
    """
    rows = []
    for claim, section in WORDS["claims"].items():
        own, other = (f"verdict, {name} statistics" for name in (study.evaluation.statistics, study.evaluation.other))
        said = compared[compared.claim == claim]
        judged, absent = said[own][said[own].isin(LIGHTS)], said[own][~said[own].isin(LIGHTS)]
        word = NOT_JUDGED if judged.empty else judged.iloc[0] if judged.nunique() == 1 else UNDECIDED
        word = MIXED if {SUPPORTED, CONTRADICTED} <= set(judged) else UNDECIDED if len(absent) and len(judged) else word
        why = [section["not judged"]] if "not judged" in section else list(absent.unique())
        if len(judged):
            counts = f"{_counts(said[own])}; with {study.evaluation.other} statistics {_counts(said[other])}"
            why = [f"of {len(said)} comparisons {counts}", *why]
        if claim == "C1" and len(judged):
            why.append(direction(study, scores))
        rows.append((claim, section["says"], f"{LIGHTS[word]} {word}", "; ".join(why)))
    return pd.DataFrame(rows, columns=["claim", "what it says", "verdict", "why"])


def _counts(said: pd.Series) -> str:
    counts = {"undecided" if word == UNDECIDED else word: int((said == word).sum()) for word in LIGHTS}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def direction(study: Study, scores: pd.DataFrame) -> str:
    """Where the colours of the biased run go, beside its data, and which run has the largest colour bias."""
    selection = study.profile.selections[study.sets[study.variants[BIASED].set].selection]
    data = "the yellowest photographs" if selection.highest == "mean_b" else _described(selection)
    found = [f"{BIASED} was trained on {data}"]
    for reading, part in by_statistics(study, scores).items():
        means = {name: shifts(part, name)[:, 0].mean(axis=0) for name in study.variants if name in set(part.method)}
        most, (a, b) = max(means, key=lambda name: np.hypot(*means[name])), means[BIASED]
        towards = f"{'magenta' if a > 0 else 'green'} and {'yellow' if b > 0 else 'blue'} (a* {a:+.2f}, b* {b:+.2f})"
        rest = "has the largest colour bias" if most == BIASED else f"{most} has a larger colour bias"
        found.append(f"with {reading} statistics it shifts towards {towards} and {rest}")
    return "; ".join(found)


def answer(study: Study, scores: pd.DataFrame, missing: dict[str, str]) -> list[str]:
    """The study in five sentences: by which measures one generator is better than another, worse, or neither."""
    sentences = []
    for first, second in WORDS["answer"]:
        found, absent = {word: [] for word in BETTER}, _why_absent(scores, missing, (first, second))
        for measure in () if absent else ("psnr_y", "perceptual", "delta_e"):
            sign = MEASURES[measure][1]
            difference = Comparison(measure, first, second, sign).difference(scores, study.seed)
            found[verdict(difference, sign)].append(f"{name_of(measure)} ({difference.value:+.{digits(measure)}f})")
        parts = [f"{BETTER[word]} {', '.join(figures)}" for word, figures in found.items() if figures]
        sentences.append(f"{first} beside {second}: {'; '.join(parts) or f'{NOT_JUDGED}, {absent}'}.")
    return sentences


def readings(study: Study) -> pd.DataFrame:
    """What the paper leaves open, what was taken under this profile, and where to change it."""
    name, recipe = next((pair for pair in study.recipes.items() if pair[1].generator.kind == "srgan"), ("", None))
    values = {
        "name": name, "recipe": recipe, "limits": study.data.augmentation, "statistics": study.evaluation.statistics,
        "start": f"warm start '{recipe.warm_start}'" if recipe and recipe.warm_start else "from scratch",
        "precision": (recipe and recipe.precision) or study.training.precision,
        "selections": "; ".join(f"{key}: {_described(one)}" for key, one in study.profile.selections.items()),
        "crop": f"centre {study.profile.test_crop} px" if study.profile.test_crop else "whole",
    }  # fmt: skip
    rows = [row for row in WORDS["readings"] if recipe or not re.search("{(recipe|name|start)", "".join(row))]
    rows = [[text.format(**values) for text in row] for row in rows]
    return pd.DataFrame(rows, columns=["left open by the paper", "taken here", "where"])


def _described(selection: Selection) -> str:
    given = selection.model_dump(exclude_defaults=True)
    return ", ".join(f"{key} {value}" for key, value in given.items()) or "all training photographs"
