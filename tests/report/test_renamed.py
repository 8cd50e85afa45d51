"""The report without a name of `params.yaml`, or under another one: it says what is missing, and gives the rest."""

from pathlib import Path

import pytest
import yaml
from tests.report.scores import score_table, write_scores

from srstudy import statistics
from srstudy.judge.metrics import MEASURES
from srstudy.report.claims import VERDICTS, answer, comparisons, readings, verdicts, why_absent
from srstudy.report.scores import GRID, WORDS, bias_table, by_statistics, effects, load_scores, runs_table
from srstudy.report.tables import differences, headline, readable, results

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
SECTIONS = {name: PARAMS[name] for name in ("variants", "recipes", "sets", "pretrain", "released")}
SECTIONS["selections"] = PARAMS["profiles"]["sample"]["selections"]
NAMES = [(section, name, "removed") for section, names in SECTIONS.items() for name in names]
NAMES += [(section, name, "renamed") for section in ("selections", "recipes", "pretrain") for name in SECTIONS[section]]
REFER = {  # by section: what refers to its names, and by which key
    "selections": ("sets", "selection"), "sets": ("variants", "set"), "recipes": ("variants", "recipe"),
    "released": ("released", "warm_start"),
}  # fmt: skip


def remove(params: dict, section: str, name: str) -> None:
    """Take a name out of params.yaml, and with it what can't be without."""
    for place in (params, *params["profiles"].values()):
        if section in place:
            place[section].pop(name, None)
    for recipe in (recipe for profile in params["profiles"].values() for recipe in profile["recipes"].values()):
        if section == "pretrain" and recipe.get("warm_start") == name:
            recipe["warm_start"] = None
    later, key = REFER.get(section, (section, ""))
    for other in [other for other, one in params[later].items() if key and one.get(key) == name]:
        remove(params, later, other)


def renamed(value, old: str, new: str):
    """params.yaml with another name wherever it stands, but for kinds of networks."""
    if isinstance(value, dict):
        return {
            new if key == old else key: one if key == "kind" else renamed(one, old, new) for key, one in value.items()
        }
    return [renamed(one, old, new) for one in value] if isinstance(value, list) else new if value == old else value


@pytest.mark.parametrize(("section", "name", "how"), NAMES)
def test_the_report_is_whole_but_for_what_is_missing(tiny_study, monkeypatch, section, name, how):
    monkeypatch.setattr(statistics, "RESAMPLES", 20)
    if how == "removed":
        remove(tiny_study.params, section, name)
    else:
        tiny_study.params = renamed(tiny_study.params, name, "another")
    tiny_study.set("ablation.variant", next(iter(tiny_study.params["variants"])))
    tiny_study.set("ablation.changes", {})
    study = tiny_study.load()
    write_scores(study.root / "reports", score_table(study))
    scores, missing = load_scores(study)
    chosen = by_statistics(study, scores)[study.evaluation.statistics]
    table = comparisons(study, scores, missing)
    said = set(table["verdict, image statistics"])
    sentences = answer(study, scores, missing)
    assert list(verdicts(study, scores, table).claim) == list(WORDS["claims"])
    assert all(text in VERDICTS or text.startswith("not judged here: ") for text in said)
    for run in {*GRID.flat, *WORDS["headline"]} - {"bicubic", "warm start srgan", "fast"}:
        if run not in set(scores.method):
            assert run in " ".join([*said, *sentences, why_absent(study, scores, missing, GRID.flat)])
    assert set(readable(results(chosen, 1)).index) == set(chosen.method)
    assert len(effects(scores, 1)) == (0 if why_absent(study, scores, missing, GRID.flat) else 3 * len(MEASURES))
    assert len(bias_table(study, scores)) == chosen.method.nunique()
    assert len(readings(study)) >= 8
    assert len(runs_table(study)) == len(study.variants)
    assert len(headline(study, scores)) >= 1
    assert readable(differences(chosen, [], 1)).empty
