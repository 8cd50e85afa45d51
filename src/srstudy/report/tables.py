"""Figures as tables for a notebook or a page; `python -m srstudy.report.tables` puts the main ones into README.md."""

import json
import re
import sys
from collections.abc import Sequence

import pandas as pd

from srstudy import StudyError
from srstudy.files import write_text
from srstudy.judge.metrics import MAIN_MEASURES, MEASURES
from srstudy.report.claims import answer, comparisons, verdicts
from srstudy.report.scores import WORDS, by_statistics, digits, load_scores, outcomes, pooled
from srstudy.statistics import Estimate
from srstudy.study import Study, load_study

FEW = 10  # photographs, below which intervals come with a caution


def caution(count: int) -> str:
    """What to say beside bootstrap intervals over `count` photographs: nothing where there are enough."""
    return "" if count >= FEW else (
        f"Caution: intervals over so few photographs ({count}) are right where values scatter normally. Where they are "
        "as lopsided as times between calls, those called 95% hold the true mean in 88% of cases with 3, 91% with 10."
    )  # fmt: skip


def results(scores: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean and 95% interval over photos for every method and measure: columns run, measure, value, low, high."""
    methods = scores.method.unique()
    rows = [
        (method, measure, *outcome.interval)
        for measure in MEASURES
        for method, outcome in zip(methods, outcomes(scores, measure, [([name], []) for name in methods], seed))
    ]
    return pd.DataFrame(rows, columns=["run", "measure", "value", "low", "high"])


def differences(scores: pd.DataFrame, pairs: Sequence[tuple[str, str]], seed: int) -> pd.DataFrame:
    """First minus second method, photo by photo: columns difference, measure, value, low, high.

    Raises KeyError for a method that has no scores.
    """
    rows = []
    for measure in MAIN_MEASURES if pairs else ():
        found = outcomes(scores, measure, [([first], [second]) for first, second in pairs], seed)
        rows += [(f"{a} − {b}", measure, *outcome.interval) for (a, b), outcome in zip(pairs, found)]
    return pd.DataFrame(rows, columns=["difference", "measure", "value", "low", "high"])


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`results`, `differences` or `effects` for reading: a column per measure, "value [low, high]" in each cell."""
    name, sign = table.columns[0], "" if table.columns[0] == "run" else "+"
    figures = zip(table.measure, table.value, table.low, table.high)
    cells = [f"{Estimate(*values):{sign}.{digits(measure)}f}" for measure, *values in figures]
    table = table.assign(cell=cells, measure=[MEASURES[measure][0] for measure in table.measure])
    wide = table.pivot(index=name, columns="measure", values="cell").rename_axis(columns=None)
    return wide.loc[table[name].unique(), table.measure.unique()]


def captions(scores: pd.DataFrame, photo: str) -> dict[str, str]:
    """Two figures for the caption of each method's picture of a photo."""
    rows = scores[scores.photo == photo].itertuples()
    return {row.method: f"PSNR-Y {row.psnr_y:.2f} dB\nVGG16-HED {row.perceptual:.3f}" for row in rows}


def headline(study: Study, scores: pd.DataFrame) -> pd.DataFrame:
    """The first table of report and README: at most six methods, their means, and PSNR-Y on Set5 where it is known."""
    chosen = pooled(by_statistics(study, scores)[study.evaluation.statistics])
    means = chosen.groupby("method")[list(MAIN_MEASURES)].mean()
    means = means.loc[[name for name in WORDS["headline"] if name in means.index]]
    set5 = study.root / "reports" / "test_sets" / "set5-hr" / "metrics.json"
    known = json.loads(set5.read_text(encoding="utf-8")) if set5.is_file() else {}
    if study.profile.folder:  # its runs have the names of others
        known = {name: row for name, row in known.items() if name not in study.variants}
    arrows = {name: f"{MEASURES[name][0]} {'↑' if MEASURES[name][1] > 0 else '↓'}" for name in MAIN_MEASURES}
    table = means.map("{:#.4g}".format).rename(columns=arrows).reset_index()
    return table.assign(
        **{"PSNR-Y on Set5 ↑": [f"{known[n]['psnr_y']:#.4g}" if n in known else "" for n in means.index]}
    )


def markdown(table: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    rows = [table.columns, ["---"] * table.shape[1], *table.to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def readme_block(study: Study, name: str) -> str:
    """What README.md holds between `<!-- NAME -->` and `<!-- /NAME -->`: "figures" or "claims"."""
    scores, missing = load_scores(study)
    if name == "claims":
        table = verdicts(study, scores, comparisons(study, scores, missing)).drop(columns="what would settle it")
        other = table.columns[3]
        table[other] = table[other].where(table[other] != table.verdict, "")
        table = table.replace(regex={r"^of \d+ comparisons |;.*| beyond the margin": ""})
        return markdown(table)
    sentences = "\n".join(f"- {sentence}" for sentence in answer(study, scores, missing))
    heading = f"Means over {scores.photo.nunique()} test photographs ({study.note}):"
    return f"{heading}\n\n{markdown(headline(study, scores))}\n\n{sentences}"


def write_readme(study: Study) -> None:
    """Fill the blocks that README.md has with today's figures."""
    path = study.root / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    blocks = re.compile(r"(<!-- (figures|claims) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
    if blocks.search(text):
        write_text(path, blocks.sub(lambda found: f"{found[1]}{readme_block(study, found[2])}\n{found[3]}", text))


if __name__ == "__main__":
    try:
        write_readme(load_study())
    except StudyError as error:
        sys.exit(f"error: {error}")
