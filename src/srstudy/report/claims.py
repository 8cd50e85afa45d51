"""The paper's claims as differences with a verdict, and where the paper is silent; `words.yaml` lists both.

Every rule stands here and every margin there before the figures they judge; docs/glossary.md says them in plain words.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from math import copysign
from typing import NamedTuple

import numpy as np
import pandas as pd

from srstudy.judge.evaluate import LARGEST
from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import BIAS, KINDS, SHIFTS, WORDS, by_statistics, digits, families, name_of, outcomes, pooled
from srstudy.settings import Selection
from srstudy.statistics import LEVEL, Outcome, adjusted
from srstudy.study import Study

BIASED = WORDS["claims"]["C1"]["compared"][0][1]
ITS_START = "its warm start"  # in words.yaml
VERDICTS = (
    "supported", "contradicted", "no measurable difference beyond the margin", "cannot tell", "not judged here", "mixed"
)  # fmt: skip
SUPPORTED, CONTRADICTED, EQUAL, UNDECIDED, NOT_JUDGED, MIXED = VERDICTS
LIGHTS = dict(zip(VERDICTS, "🟢🔴🔵🟡⚪🟠"))
BETTER = {
    SUPPORTED: "better by", CONTRADICTED: "worse by", EQUAL: "alike within the margin by", UNDECIDED: "undecided by"
}  # fmt: skip
ANSWERED = ("psnr_y", "perceptual", "delta_e")
UNKNOWN = "what another seed would give is not known"


class Comparison(NamedTuple):
    """A difference of methods, or kinds of runs, and what a claim expects of the first, as `words.yaml` says it."""

    measure: str
    first: str
    second: str
    expected: str

    def __str__(self) -> str:
        return f"{name_of(self.measure)}: {self.first} − {self.second}"

    @property
    def methods(self) -> tuple[list[str], list[str]]:
        """Those that are compared."""
        return KINDS.get(self.first, [self.first]), KINDS.get(self.second, [self.second])

    @property
    def margin(self) -> float:
        """Up to which a difference of this measure does not matter."""
        return WORDS["margins"][self.measure][0]

    @property
    def side(self) -> int:
        """The sign that the claim expects; 0: none."""
        better = -1 if self.measure == BIAS else MEASURES[self.measure][1]
        return {"better": better, "worse": -better, "no better": -better, "more": 1, "less": -1, "alike": 0}[
            self.expected
        ]

    def turn(self, value: float) -> float:
        """The difference at which the verdict turns: "no better" is wrong of what is better by more than the margin."""
        return {"no better": -self.side * self.margin, "alike": copysign(self.margin, value)}.get(self.expected, 0.0)

    def verdict(self, value: float, differs: float, exceeds: float) -> str:
        """By a difference and its p values: of the truth being at the turn, and of its being beyond the margin."""
        if exceeds <= LEVEL and self.expected != "no better":
            return SUPPORTED if self.expected == "alike" else EQUAL
        if differs > LEVEL or (self.expected == "alike" and abs(value) < self.margin):
            return UNDECIDED
        return SUPPORTED if (value - self.turn(value)) * self.side > 0 else CONTRADICTED


class Judged(NamedTuple):
    """A comparison's figures, its p value adjusted for all that were made with it, and the verdict."""

    outcome: Outcome
    differs: float
    verdict: str

    @property
    def difference(self) -> str:
        """With its interval."""
        return f"{self.outcome.interval:+.{2 if abs(self.outcome.value) >= 0.1 else 4}f}"


def judge(scores: pd.DataFrame, compared: Iterable[Comparison], seed: int) -> dict[Comparison, Judged]:
    """Verdicts on comparisons made together, a family of tests to Benjamini and Hochberg; all have scores, `pooled`."""
    compared, found = list(dict.fromkeys(compared)), {}
    for measure in dict.fromkeys(one.measure for one in compared):
        some = [one for one in compared if one.measure == measure]
        found |= zip(some, outcomes(scores, measure, [one.methods for one in some], seed))
    differs = adjusted([found[one].differs(one.turn(found[one].value)) for one in compared])
    exceeds = adjusted([found[one].exceeds(one.margin) for one in compared])
    return {
        one: Judged(found[one], differ, one.verdict(found[one].value, differ, exceed))
        for one, differ, exceed in zip(compared, differs, exceeds)
    }


def comparisons(study: Study, scores: pd.DataFrame, missing: dict[str, str]) -> pd.DataFrame:
    """What each claim is judged by, or why it is not.

    Columns: claim, what is compared, what the claim expects of the first, the margin, how many trainings are on either
    side; under each reading of batch norm the difference with its 95% interval and the verdict; and under the study's
    choice the standardised difference, the smallest one that could have been seen, and the adjusted p value.
    """
    parts = {reading: pooled(part) for reading, part in by_statistics(study, scores).items()}
    listed = [(claim, one) for claim, section in WORDS["claims"].items() for one in _resolved(study, section)]
    absent = {one: _absent(study, scores, missing, one) for _, one in listed}
    judged = {
        reading: judge(part, [one for one in absent if not absent[one]], study.seed) for reading, part in parts.items()
    }
    trainings = pooled(scores[families(scores.run).isin(study.variants)]).groupby("method").run.nunique()
    rows = []
    for claim, one in listed:
        row = {"claim": claim, "compared": str(one), "expected": one.expected, "margin": f"{one.margin:g}"}
        row["trainings"] = " − ".join(f"{trainings.reindex(names).fillna(0).min():.0f}" for names in one.methods)
        for reading, found in ((reading, judged[reading].get(one)) for reading in parts):
            row[f"{reading} statistics"] = found.difference if found else ""
            row[f"verdict, {reading} statistics"] = found.verdict if found else f"{NOT_JUDGED}: {absent[one]}"
        found = judged[study.evaluation.statistics].get(one)
        row["standardised"] = f"{found.outcome.effect:+.2f}" if found else ""
        row["could be seen"] = f"{found.outcome.detectable:.2g}" if found else ""
        row["adjusted p"] = f"{found.differs:.2g}" if found else ""
        rows.append(row)
    return pd.DataFrame(rows)


def _resolved(study: Study, section: dict) -> Iterator[Comparison]:
    """A claim's rows of `words.yaml` with the labels that scores have; none of a run from scratch with its warm start.

    With `equal epochs`, every run as it was after the epochs of the shortest one.
    """
    rows, variants = section.get("compared", ()), study.variants
    epochs = min((variants[name].epochs for row in rows for name in row[1:3] if name in variants), default=0)
    for measures, first, second, expected in rows:
        run, labels = study.runs.get(first), (first, second)
        if second == ITS_START and run:
            if run.warm_start is None:
                continue
            labels = (first, run.warm_start.label)
        if section.get("equal epochs"):
            longer = (name in variants and variants[name].epochs > epochs for name in labels)
            labels = (f"{name} after {epochs:g} epochs" if more else name for name, more in zip(labels, longer))
        labels = [name.replace("(other ", f"({study.evaluation.other} ") for name in labels]
        yield from (Comparison(measure, *labels, expected) for measure in measures)


def _absent(study: Study, scores: pd.DataFrame, missing: dict[str, str], compared: Comparison) -> str:
    """Why a comparison can't be made; nothing if it can."""
    why = why_absent(study, scores, missing, chain(*compared.methods))
    if compared.measure == "shift_b" and not why and _selection(study).highest != "mean_b":
        return f"{BIASED} was not trained on the yellowest photographs"
    return why


def why_absent(study: Study, scores: pd.DataFrame, missing: dict[str, str], labels: Iterable[str]) -> str:
    """Why some of these methods have no scores; nothing if all have. `missing`: what `load_scores` gave."""
    reasons = []
    for label in (one for one in labels if one not in {*scores.method, ITS_START}):
        pattern = r"(?:warm start )?(.+?)(?: after (\S+) epochs)?(?: \(.+\))?"
        name, epochs = re.fullmatch(pattern, label).groups()
        reason = f"the snapshot of {name} after {epochs} epochs is missing (`variants.{name}.snapshot`)"
        reason = reason if epochs else f"{label} has no scores"
        reason = reason if name in study.runs else f"{label} is not among the runs of profile {study.profile_name}"
        reasons.append(missing.get(name, reason))
    return "; ".join(dict.fromkeys(reasons))


def verdicts(study: Study, scores: pd.DataFrame, compared: pd.DataFrame) -> pd.DataFrame:
    """A row per claim: what it says, the verdict, the one under the other reading of batch norm, why, and what would
    settle it.

    `compared`: what `comparisons` gave. A claim has the verdict of its comparisons where all have the same; it is mixed
    where some are decided one way and some another.
    """
    rows, readings = [], (study.evaluation.statistics, study.evaluation.other)
    for claim, section in WORDS["claims"].items():
        part = compared[compared.claim == claim]
        own, other = (part[f"verdict, {reading} statistics"] for reading in readings)
        reasons = own[~own.isin(LIGHTS)].str.removeprefix(f"{NOT_JUDGED}: ").str.split("; ").explode()
        why = [section["not judged"]] if "not judged" in section else list(reasons.unique())
        if own.isin(LIGHTS).any():
            why = [f"of {len(own)} comparisons {_counts(own)}; with {readings[1]} statistics {_counts(other)}", *why]
            why += [direction(study, scores)] if claim == "C1" else []
            counts = set(" − ".join(part.trainings[own.isin(LIGHTS)]).split(" − "))
            why += [f"{'sometimes ' if counts - {'0', '1'} else ''}one training each: {UNKNOWN}"] * ("1" in counts)
        words = (f"{LIGHTS[word]} {word}" for word in map(_verdict, (own, other)))
        rows.append((claim, section["says"], *words, "; ".join(why), section["settled by"]))
    columns = ["claim", "what it says", "verdict", f"with {readings[1]} statistics", "why", "what would settle it"]
    return pd.DataFrame(rows, columns=columns)


def _verdict(said: pd.Series) -> str:
    """On a claim, by those on its comparisons, which may also say why there is none."""
    found = set(said)
    if len(found & {SUPPORTED, CONTRADICTED, EQUAL}) > 1:
        return MIXED
    return NOT_JUDGED if found.isdisjoint(LIGHTS) else UNDECIDED if len(found) > 1 else found.pop()


def _counts(said: pd.Series) -> str:
    short = {UNDECIDED: "undecided", EQUAL: "alike within the margin"}
    counts = {short.get(word, word): int((said == word).sum()) for word in LIGHTS}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def direction(study: Study, scores: pd.DataFrame) -> str:
    """Where the colours of the biased run go, beside those of its data, and which run's go furthest."""
    selection, beginnings = _selection(study), ("Its images", f"With {study.evaluation.other} statistics they")
    yellow = selection.highest == "mean_b"
    sentences = [f"{BIASED} was trained on {'the yellowest photographs' if yellow else _described(selection)}"]
    for beginning, part in zip(beginnings, map(pooled, by_statistics(study, scores).values())):
        means = part[part.method.isin(study.variants)].groupby("method", sort=False)[SHIFTS].mean()
        most, (a, b) = np.hypot(means.shift_a, means.shift_b).idxmax(), means.loc[BIASED]
        towards = f"{'magenta' if a > 0 else 'green'} and {'yellow' if b > 0 else 'blue'} (a* {a:+.2f}, b* {b:+.2f})"
        if yellow:
            (found,) = outcomes(part, "shift_b", [([BIASED], [])], study.seed)
            doubt = found.interval.low <= 0 <= found.interval.high
            towards += f": {'towards' if b > 0 else 'away from'} its data's colour{', though not surely' * doubt}"
        sentences.append(f"{beginning} shift towards {towards}{'' if most == BIASED else f'; {most} shifts further'}")
    return ". ".join(sentences)


def answer(study: Study, scores: pd.DataFrame, missing: dict[str, str]) -> list[str]:
    """The study in a few sentences: by which measures one generator is better than another, worse, alike, or neither.

    By the rules of `judge`, all of them together.
    """
    asked = [list(_resolved(study, {"compared": [(ANSWERED, *pair, "better")]})) for pair in WORDS["answer"]]
    absent = {pair[0]: why_absent(study, scores, missing, pair[0][1:3]) for pair in asked if pair}
    judged = judge(pooled(scores), [one for pair in asked if pair and not absent[pair[0]] for one in pair], study.seed)
    sentences = []
    for first, why in absent.items():
        found = {word: [] for word in BETTER}
        for one in () if why else (first._replace(measure=measure) for measure in ANSWERED):
            figure = f"{name_of(one.measure)} ({judged[one].outcome.value:+.{digits(one.measure)}f})"
            found[judged[one].verdict].append(figure)
        parts = [f"{BETTER[word]} {', '.join(figures)}" for word, figures in found.items() if figures]
        sentences.append(f"{first.first} beside {first.second}: {'; '.join(parts) or f'{NOT_JUDGED}, {why}'}.")
    return sentences


def readings(study: Study) -> pd.DataFrame:
    """What the paper leaves open, what was taken under this profile, and where to change it."""
    name, recipe = next((pair for pair in study.recipes.items() if pair[1].generator.kind == "srgan"), ("", None))
    values = {
        "name": name, "recipe": recipe, "limits": study.data.augmentation, "statistics": study.evaluation.statistics,
        "start": f"warm start '{recipe.warm_start}'" if recipe and recipe.warm_start else "from scratch",
        "precision": (recipe and recipe.precision) or study.training.precision,
        "content_precision": f", in {own}" if recipe and recipe.content and (own := recipe.content.precision) else "",
        "selections": "; ".join(f"{key}: {_described(one)}" for key, one in study.profile.selections.items()),
        "crop": f"centre of at most {study.profile.test_crop or LARGEST} px",
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
