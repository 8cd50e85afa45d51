"""The plan: longest first, balanced over two cards, cut at a session's end, both cards only from batch 32 on."""

import re

import pytest

from srstudy.kaggle import plan
from srstudy.kaggle.command import main
from srstudy.kaggle.plan import Job
from srstudy.study import load_study


def job(name: str, hours: float, mirrored: bool = False) -> Job:
    return Job(name, round(3600 * hours), 1.0, True, mirrored)


def test_the_longest_come_first_and_the_cards_are_balanced():
    (one,) = plan.sessions([job("a", 2), job("b", 5), job("c", 3), job("d", 1)])
    assert {card: [each.name for each, _ in pieces] for card, pieces in one.items()} == {
        "0,1": [], "0": ["b", "d"], "1": ["c", "a"],
    }  # fmt: skip
    assert plan.wall(one) == pytest.approx(6)


def test_what_a_session_cuts_off_leads_the_next_and_nothing_is_lost():
    made = plan.sessions([job("a", 20), job("b", 9), job("c", 9)], 11.5)
    assert [[each.name for each, _ in one["0"]] for one in made] == [["a"], ["a"]]
    assert [[each.name for each, _ in one["1"]] for one in made] == [["b", "c"], ["c"]]
    assert sum(part for one in made for pieces in one.values() for _, part in pieces) == pytest.approx(38)
    assert all(plan.wall(one) <= 11.5 for one in made)


def test_a_run_on_both_cards_goes_before_those_on_one():
    (one,) = plan.sessions([job("a", 2), job("both", 3, True), job("b", 1)])
    assert [each.name for each, _ in one["0,1"]] == ["both"] and plan.wall(one) == pytest.approx(5)


def test_the_paper_s_whole_study_is_planned_from_what_is_assumed_or_measured(root):
    study = load_study("paper", root)
    jobs = plan.jobs(study, study.variants, {}, {})
    assert not any(one.mirrored for one in jobs)  # no batch of the study's is so large
    said = plan.table(plan.sessions(jobs), 30.0)
    assert all(name in said for name in study.variants) and "assumed: " in said
    assert re.search(r"\d session\(s\), \d\d\.\d h of GPU quota", said)
    kind = plan.kind_of(study, study.run("srgan-5k-32-plain"))
    (one,) = plan.jobs(study, ["srgan-10k-32-plain"], {"srgan-10k-32-plain": 50_000}, {kind: 25.0})
    assert (one.left, one.rate, one.measured) == (150_000, 25.0, True)
    assert "assumed: " not in plan.table(plan.sessions([one]))


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "12"])
def test_hours_that_no_session_can_last_are_refused(hours, capsys):
    assert main(["plan", f"--hours={hours}"]) == 1
    assert f"--hours {hours}: give more than 0, and at most 11.5; saving takes the rest." in capsys.readouterr().err
