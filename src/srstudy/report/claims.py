"""The paper's claims as differences with a verdict, and where the paper is silent; `words.yaml` lists both."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import GRID, WORDS, by_statistics, digits, name_of, per_run, shifts
from srstudy.settings import Selection
from srstudy.statistics import Estimate, bias_difference, estimate, verdict
from srstudy.study import Study

KINDS = dict(zip(("plain", "augmented"), GRID.reshape(4, 2).T.tolist()))  # names of runs
BIASED = WORDS["claims"]["C1"]["compared"][0][1]
BIAS, ITS_START = "colour bias", "its warm start"  # in words.yaml
VERDICTS = ("supported", "contradicted", "cannot tell at this scale", "not judged here", "mixed")
SUPPORTED, CONTRADICTED, UNDECIDED, NOT_JUDGED, MIXED = VERDICTS
LIGHTS = dict(zip(VERDICTS, "🟢🔴🟡⚪🟠"))
BETTER = {SUPPORTED: "better by", CONTRADICTED: "worse by", UNDECIDED: "undecided by"}


class Comparison(NamedTuple):
    """A difference of methods, or kinds of runs, its sign by a claim, and up to where one against it is none."""

    measure: str
    first: str
    second: str
    sign: int
    margin: float = 0.0

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
    """What each claim is judged by: claim, what is compared, its margin, and under each reading of batch norm at test
    time the difference with its 95% interval and the verdict; or why there is none.
    """
    parts, rows = by_statistics(study, scores), []
    for claim, section in WORDS["claims"].items():
        for comparison in _resolved(study, section.get("compared", ()), "equal epochs" in section):
            absent = why_absent(study, scores, missing, chain(*comparison.methods))
            if comparison.measure == "shift_b" and not absent and _selection(study).highest != "mean_b":
                absent = f"{BIASED} was not trained on the yellowest photographs"
            row = {"claim": claim, "compared": str(comparison), "margin": str(comparison.margin or "")}
            for reading, part in parts.items():
                found = None if absent else comparison.difference(part, study.seed)
                row[f"{reading} statistics"] = f"{found:+.{2 if abs(found.value) >= 0.1 else 4}f}" if found else ""
                said = verdict(found, comparison.sign, comparison.margin) if found else f"{NOT_JUDGED}: {absent}"
                row[f"verdict, {reading} statistics"] = said
            rows.append(row)
    return pd.DataFrame(rows)


def _resolved(study: Study, rows: Iterable[Sequence], equal_epochs: bool = False) -> Iterator[Comparison]:
    """Rows of `words.yaml` with the labels that scores have; none of a run from scratch with its warm start."""
    for measure, first, second, *rest in rows:
        run, variants = study.runs.get(first), study.variants
        if second == ITS_START and run:
            if run.warm_start is None:
                continue
            second = run.warm_start.label
        if equal_epochs and {first, second} <= set(variants) and variants[first].epochs != variants[second].epochs:
            second += f" after {variants[first].epochs:g} epochs"
        yield Comparison(measure, first.replace("(other ", f"({study.evaluation.other} "), second, *rest)


def why_absent(study: Study, scores: pd.DataFrame, missing: dict[str, str], labels: Iterable[str]) -> str:
    """Why some of these methods have no scores; nothing if all have. `missing`: what `load_scores` gave."""
    reasons = []
    for label in (one for one in labels if one not in {*scores.method, ITS_START}):
        pattern = r"(?:warm start )?(.+?)(?: after (\S+) epochs)?(?: \(.+\))?"
        name, epochs = re.fullmatch(pattern, label).groups()
        reason = f"the snapshot of {name} after {epochs} epochs is missing (`variants.{name}.snapshot`)"
        reason = reason if epochs else f"{label} has no scores"
        reason = reason if name in study.runs else f"{label} is not among the runs of params.yaml"
        reasons.append(missing.get(name, reason))
    return "; ".join(dict.fromkeys(reasons))


def verdicts(study: Study, scores: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """A row per claim: what it says, the verdict, the one under the other reading of batch norm, and why.

    `compared`: what `comparisons` gave. A claim is supported or contradicted when all of its comparisons are; it is
    mixed when some support and some contradict it.
    """
    rows, readings = [], (study.evaluation.statistics, study.evaluation.other)
    for claim, section in WORDS["claims"].items():
        own, other = (compared[compared.claim == claim][f"verdict, {reading} statistics"] for reading in readings)
        why = [section["not judged"]] if "not judged" in section else list(own[~own.isin(LIGHTS)].unique())
        if own.isin(LIGHTS).any():
            why = [f"of {len(own)} comparisons {_counts(own)}; with {readings[1]} statistics {_counts(other)}", *why]
            why += [direction(study, scores)] if claim == "C1" else []
        words = (f"{LIGHTS[word]} {word}" for word in map(_verdict, (own, other)))
        rows.append((claim, section["says"], *words, "; ".join(why)))
    return pd.DataFrame(rows, columns=["claim", "what it says", "verdict", f"with {readings[1]} statistics", "why"])


def _verdict(said: pd.Series) -> str:
    """On a claim, by those on its comparisons, which may also say why there is none."""
    found = set(said)
    if {SUPPORTED, CONTRADICTED} <= found:
        return MIXED
    return NOT_JUDGED if found.isdisjoint(LIGHTS) else UNDECIDED if len(found) > 1 else found.pop()


def _counts(said: pd.Series) -> str:
    counts = {"undecided" if word == UNDECIDED else word: int((said == word).sum()) for word in LIGHTS}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def direction(study: Study, scores: pd.DataFrame) -> str:
    """Where the colours of the biased run go, beside those of its data, and which run's go furthest."""
    selection, beginnings = _selection(study), ("Its images", f"With {study.evaluation.other} statistics they")
    yellow = selection.highest == "mean_b"
    sentences = [f"{BIASED} was trained on {'the yellowest photographs' if yellow else _described(selection)}"]
    for beginning, part in zip(beginnings, by_statistics(study, scores).values()):
        means = {name: shifts(part, name)[:, 0].mean(axis=0) for name in study.variants if name in set(part.method)}
        most, (a, b) = max(means, key=lambda name: np.hypot(*means[name])), means[BIASED]
        towards = f"{'magenta' if a > 0 else 'green'} and {'yellow' if b > 0 else 'blue'} (a* {a:+.2f}, b* {b:+.2f})"
        if yellow:
            doubt = verdict(estimate(per_run(part, "shift_b")[BIASED], study.seed), 1) == UNDECIDED
            towards += f": {'towards' if b > 0 else 'away from'} its data's colour{', though not surely' * doubt}"
        sentences.append(f"{beginning} shift towards {towards}{'' if most == BIASED else f'; {most} shifts further'}")
    return ". ".join(sentences)


def answer(study: Study, scores: pd.DataFrame, missing: dict[str, str]) -> list[str]:
    """The study in a few sentences: by which measures one generator is better than another, worse, or neither."""
    sentences = []
    for _, first, second, *_ in _resolved(study, [("", *pair, 1) for pair in WORDS["answer"]]):
        found, absent = {word: [] for word in BETTER}, why_absent(study, scores, missing, (first, second))
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
    gone = "|".join(rf"recipe\.{key}\b" for key, part in recipe if part is None) if recipe else "recipe|name|start"
    rows = [row for row in WORDS["readings"] if not re.search(f"{{({gone or '(?!)'})", "".join(row))]
    rows = [[text.format(**values) for text in row] for row in rows]
    return pd.DataFrame(rows, columns=["left open by the paper", "taken here", "where"])


def _selection(study: Study) -> Selection:
    return study.profile.selections[study.sets[study.variants[BIASED].set].selection]


def _described(selection: Selection) -> str:
    given = selection.model_dump(exclude_defaults=True)
    return ", ".join(f"{key} {value}" for key, value in given.items()) or "all training photographs"
