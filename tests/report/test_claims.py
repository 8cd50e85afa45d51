"""The paper's claims, judged on constructed scores whose truth is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from srstudy.config import load_study
from srstudy.judge.metrics import MEASURES
from srstudy.report.claims import FINAL, GRID, judge, readings

PHOTOS = [f"photo-{number}" for number in range(14)]
HALF = "5k-32-plain after 10 epochs"
AUGMENTED = [name for name in GRID if name.endswith("augmented")]


@pytest.fixture
def score_table(study):
    """A function ({method: {measure: change}}) -> scores: alike for all methods but for the changes.

    A change is a number, or one for each photograph.
    """

    def make(changes: dict[str, dict[str, object]]) -> pd.DataFrame:
        random = np.random.default_rng(0)
        level = {measure: random.normal(10, 2, len(PHOTOS)) for measure in MEASURES}  # photographs differ
        # Every photograph has its own tint, but all together have none.
        for measure in ("shift_a", "shift_b"):
            level[measure] -= level[measure].mean()
        rows = []
        normed = [*(name for name in study.variants if name != "recommended"), HALF, "warm start srgan"]
        other = [study.evaluation.other_name(name) for name in normed]
        for method in [*normed, *other, "recommended", "warm start residual", "bicubic"]:
            change = changes.get(method, {})
            noise = {measure: random.normal(0, 0.01, len(PHOTOS)) for measure in MEASURES}
            table = {measure: level[measure] + noise[measure] + change.get(measure, 0) for measure in MEASURES}
            rows.append(pd.DataFrame({"photo": PHOTOS, "method": method, **table}))
        return pd.concat(rows, ignore_index=True)

    return make


def verdicts(study, scores: pd.DataFrame, claim: str, reading: str = "image") -> list[str]:
    """The verdicts on the rows of one claim."""
    table = judge(study, scores)
    return list(table[f"verdict, {reading} statistics"][table.claim.str.startswith(claim)])


def test_biased_data_that_tint_all_photographs_support_c1(study, score_table):
    scores = score_table({"5k-32-biased": {"shift_b": 6, "delta_e": 3}})
    assert verdicts(study, scores, "C1") == ["supported"] * 3


def test_a_tint_away_from_the_data_s_own_colour_is_no_support_for_its_cause(study, score_table):
    scores = score_table({"5k-32-biased": {"shift_b": -6, "delta_e": 3}})
    assert verdicts(study, scores, "C1") == ["supported", "supported", "not supported"]


def test_a_tint_of_the_curated_run_instead_contradicts_c1(study, score_table):
    scores = score_table({HALF: {"shift_b": -6, "delta_e": 3}})
    assert verdicts(study, scores, "C1")[:2] == ["not supported", "not supported"]


def test_c1_compares_runs_of_equally_many_epochs(study, score_table):
    scores = score_table({"5k-32-biased": {"shift_b": -6, "delta_e": 3}, HALF: {"shift_b": -9, "delta_e": 4}})
    assert verdicts(study, scores, "C1")[:2] == ["not supported", "not supported"]  # whatever 5k-32-plain did later


def test_every_claim_is_judged_under_both_readings_of_batch_norm(study, score_table):
    scores = score_table({study.evaluation.other_name("5k-32-biased"): {"shift_a": 5}})
    assert verdicts(study, scores, "C1", "moving")[0] == "supported"
    assert verdicts(study, scores, "C1", "image")[0] != "supported"


def test_the_rows_name_the_epochs_that_were_compared(tiny_study, score_table):
    tiny_study.set("variants.5k-32-biased.epochs", 40)
    compared = judge(tiny_study.load(), score_table({})).compared
    assert "colour bias: 5k-32-biased (40 epochs) − 5k-32-plain (20 epochs)" in set(compared)


def test_a_claim_without_its_runs_is_left_out(tiny_study, score_table):
    tiny_study.drop("variants.10k-32-mirflickr")
    claims = judge(tiny_study.load(), score_table({})).claim
    assert not claims.str.startswith("C4").any()
    assert claims.str.startswith("C3").any()


def test_shifts_that_differ_from_photo_to_photo_are_no_bias(study, score_table):
    alternating = np.resize([8, -8], len(PHOTOS))
    scores = score_table({"5k-32-biased": {"shift_b": alternating, "delta_e": 3}})
    assert verdicts(study, scores, "C1")[:2] != ["supported", "supported"]


def test_augmentation_that_harms_in_every_way_supports_c2(study, score_table):
    harm = {"perceptual": 1, "shift_a": 5, "sharpness": -0.3}
    assert verdicts(study, score_table({name: harm for name in AUGMENTED}), "C2") == ["supported"] * 3


def test_augmentation_that_helps_in_every_way_contradicts_c2(study, score_table):
    plain = [name for name in GRID if name not in AUGMENTED]
    changes = {name: {"shift_a": 5} for name in plain}
    changes |= {name: {"perceptual": -1, "sharpness": 0.3} for name in AUGMENTED}
    assert verdicts(study, score_table(changes), "C2") == ["not supported"] * 3


def test_augmentation_that_helps_half_of_the_photographs_cannot_be_told(study, score_table):
    halves = np.resize([1, -1], len(PHOTOS))
    scores = score_table({name: {"perceptual": halves, "sharpness": -halves} for name in AUGMENTED})
    found = verdicts(study, scores, "C2")
    assert (found[0], found[2]) == ("cannot tell at this scale",) * 2


@pytest.mark.parametrize(("sign", "words"), [(1, "supported"), (-1, "not supported")])
def test_c3_asks_whether_the_larger_run_is_better(study, score_table, sign, words):
    scores = score_table({"10k-64-plain": {"perceptual": -sign, "psnr_y": sign}})
    assert verdicts(study, scores, "C3") == [words, words]


@pytest.mark.parametrize(
    ("run", "words"), [("10k-32-mirflickr", "supported"), ("10k-32-plain", "not supported")], ids=["worse", "better"]
)
def test_c4_asks_whether_mirflickr_is_worse_than_the_curated_run(study, score_table, run, words):
    scores = score_table({run: {"perceptual": 1, "shift_a": 4, "shift_b": 4}})
    assert verdicts(study, scores, "C4") == [words, words]


@pytest.mark.parametrize(("sign", "words"), [(1, "supported"), (-1, "not supported")])
def test_c6_asks_whether_each_final_model_beats_bicubic(study, score_table, sign, words):
    first, second = FINAL
    scores = score_table({first: {"perceptual": -sign, "psnr_y": sign}, second: {"perceptual": -1, "psnr_y": 1}})
    assert verdicts(study, scores, f"C6: {first} improves on bicubic") == [words, words]
    assert verdicts(study, scores, f"C6: {second} improves on bicubic") == ["supported", "supported"]


def test_what_a_run_owes_to_its_warm_start_is_no_merit_of_its_own(study, score_table):
    start = {"perceptual": -1, "psnr_y": 1}
    scores = score_table({name: start for name in ("warm start srgan", *FINAL)})
    assert verdicts(study, scores, f"C6: {FINAL[0]} improves on bicubic") == ["supported", "supported"]
    assert "supported" not in verdicts(study, scores, f"C6: {FINAL[0]} improves on warm start")


@pytest.mark.parametrize(("rival", "words"), [("bicubic", "supported"), ("warm start residual", "not supported")])
def test_our_own_recipe_is_judged_like_the_paper_s(study, score_table, rival, words):
    scores = score_table(
        {"recommended": {"perceptual": -1, "psnr_y": 1}, "warm start residual": {"perceptual": -2, "psnr_y": 2}}
    )
    assert verdicts(study, scores, f"ours: recommended improves on {rival}") == [words, words]


def test_each_row_gives_what_was_compared_and_the_difference_with_its_interval(study, score_table):
    table = judge(study, score_table({"10k-64-plain": {"psnr_y": 1.5}}))
    readings = ("image statistics", "moving statistics")
    assert list(table.columns) == ["claim", "compared", *(c for name in readings for c in (name, f"verdict, {name}"))]
    (cell,) = table["image statistics"][table.compared == "PSNR-Y: 10k-64-plain − 5k-32-plain"]
    number = r"([+-]\d+\.\d{2})"
    value, low, high = map(float, re.fullmatch(rf"{number} \[{number}, {number}\]", cell).groups())
    assert low <= value <= high
    assert value == pytest.approx(1.5, abs=0.02)


def test_a_difference_of_colour_bias_is_its_length_in_the_a_b_plane(study, score_table):
    table = judge(study, score_table({"5k-32-biased": {"shift_a": 3, "shift_b": -4}}))
    compared = "colour bias: 5k-32-biased (10 epochs) − 5k-32-plain (10 epochs)"
    found = table["image statistics"][table.compared == compared].item()
    assert float(found.split()[0]) == pytest.approx(5, abs=0.05)


def test_equal_scores_give_equal_judgements(study, score_table):
    scores = score_table({})
    pd.testing.assert_frame_equal(judge(study, scores), judge(study, scores.sample(frac=1, random_state=1)))


def test_every_reading_points_to_a_file_or_a_key_that_exists(root, study):
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for where in readings(study)["where"]:
        if where.endswith(".py"):
            assert (root / "src" / "srstudy" / where).is_file()
            continue
        sections = [params]
        for key in where.split("."):
            inner = [
                list(section.values()) if key == "*" else [section[key]]
                for section in sections
                if key in section or key == "*"
            ]
            sections = [value for values in inner for value in values]
        assert sections, f"params.yaml has no {where}"


def test_readings_say_what_this_profile_took(root, tiny_study):
    def taken(study) -> dict[str, str]:
        return readings(study).set_index("left open by the paper")["taken here"].to_dict()

    paper, sample = (taken(load_study(name, root)) for name in ("paper", "sample"))
    assert (paper["start of the generator"], sample["start of the generator"]) == ("from scratch", "warm start 'srgan'")
    assert (paper["filters of the generator"], sample["filters of the generator"]) == ("64", "32")
    blocks = "(not open: 16 residual blocks)"
    assert (paper[blocks], sample[blocks]) == ("16", "4; a reduction of this profile")
    assert paper["content features"].startswith("vgg19 block3_conv4")
    assert (paper["test photographs"], sample["test photographs"]) == ("held out, centre 256 px",) * 2
    assert sample["biased set"] == "the 20% of photographs with the highest mean_b"
    assert (paper["MirFlickr set"], sample["MirFlickr set"]) == ("source mirflickr", "source gcompris")
    tiny_study.set("data.augmentation.rotation", 40)
    assert "rotation ±40°" in taken(tiny_study.load())["augmentation"]


def test_every_key_marked_as_a_reading_is_in_the_table(root, study):
    """`(reading)` in params.yaml marks what the paper leaves open."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    marked = {line.split(":")[0].strip() for line in text.splitlines() if re.search(r"\{.*#.*\(reading", line)}
    assert marked >= {"generator", "discriminator", "content"}
    listed = {Path(where).suffix.lstrip(".") for where in readings(study)["where"]}
    assert marked <= listed
