"""The paper's claims, judged on constructed scores whose truth is known."""

import re

import numpy as np
import pytest
import yaml
from tests.report.scores import HALF, PHOTOS, score_table

from srstudy.report.claims import KINDS, WORDS, answer, comparisons, readings, verdicts

PLAIN, AUGMENTED = KINDS["plain"], KINDS["augmented"]
UNDECIDED = "cannot tell at this scale"
BETTER, WORSE = {"perceptual": -1, "psnr_y": 1}, {"perceptual": 1, "psnr_y": -1}


def judged(study, changes, claim: str) -> list[str]:
    """The verdicts on the comparisons of one claim, under each image's own statistics."""
    table = comparisons(study, score_table(study, changes), {})
    return list(table["verdict, image statistics"][table.claim == claim])


HARM = {"perceptual": 1, "shift_a": 5, "sharpness": -0.3}
GAIN = {"perceptual": -1, "sharpness": 0.3}
HALVES = np.resize([1, -1], len(PHOTOS))


@pytest.mark.parametrize(
    ("claim", "changes", "expected"),
    [
        ("C1", {"5k-32-biased": {"shift_b": 6, "delta_e": 3}}, ["supported"] * 3),
        ("C1", {"5k-32-biased": {"shift_b": -6, "delta_e": 3}}, ["supported", "supported", "contradicted"]),
        ("C1", {HALF: {"shift_b": 6, "delta_e": 3}}, ["contradicted"] * 3),  # whatever 5k-32-plain did later
        ("C2", dict.fromkeys(AUGMENTED, HARM), ["supported"] * 3),
        ("C2", {name: {"shift_a": 5} for name in PLAIN} | dict.fromkeys(AUGMENTED, GAIN), ["contradicted"] * 3),
        ("C3", {"10k-64-plain": BETTER}, ["supported"] * 2),
        ("C3", {"10k-64-plain": WORSE}, ["contradicted"] * 2),
        ("C4", {"10k-32-mirflickr": {"perceptual": 1, "shift_a": 4}}, ["supported"] * 2),
        ("C4", {"10k-32-plain": {"perceptual": 1, "shift_a": 4}}, ["contradicted"] * 2),
        ("C6", {"5k-32-plain": BETTER, "10k-64-plain": BETTER}, ["supported"] * 8),
        ("C6", {"5k-32-plain": WORSE, "10k-64-plain": WORSE}, ["contradicted"] * 8),
        ("ours", {"recommended": BETTER}, ["supported"] * 4),
    ],
)
def test_a_claim_is_judged_by_the_difference_that_was_put_in(study, claim, changes, expected):
    assert judged(study, changes, claim) == expected


def test_what_differs_from_photo_to_photo_alone_cannot_be_told(study):
    harm_half = {"perceptual": HALVES, "sharpness": -HALVES, "shift_a": 8 * HALVES}
    found = judged(study, {name: harm_half for name in AUGMENTED}, "C2")
    assert (found[0], found[2]) == (UNDECIDED, UNDECIDED)
    assert found[1] != "supported"


def test_what_a_run_owes_to_its_warm_start_is_no_merit_of_its_own(study):
    better = dict.fromkeys(("warm start srgan", "5k-32-plain", "10k-64-plain"), BETTER)
    found = judged(study, better, "C6")
    assert found[:2] == found[4:6] == ["supported"] * 2
    assert "supported" not in found[2:4] + found[6:]


def test_each_comparison_gives_the_difference_with_its_interval(study):
    changes = {"10k-64-plain": {"psnr_y": 1.5}, "5k-32-biased": {"shift_a": 3, "shift_b": -4}}
    table = comparisons(study, score_table(study, changes), {}).set_index("compared")["image statistics"]
    number = r"([+-]\d+\.\d{2})"
    cell = table["PSNR-Y: 10k-64-plain − 5k-32-plain"]
    value, low, high = map(float, re.fullmatch(rf"{number} \[{number}, {number}\]", cell).groups())
    assert low <= value <= high
    assert value == pytest.approx(1.5, abs=0.02)
    bias = table[f"colour bias: 5k-32-biased − {HALF}"]  # its length in the a*, b* plane
    assert float(bias.split()[0]) == pytest.approx(5, abs=0.05)


def verdict_of(study, changes, claim: str, missing=()) -> tuple[str, str]:
    """A claim's verdict and the reasons, without the scores of some methods."""
    scores = score_table(study, changes)
    scores = scores[~scores.method.isin(missing)]
    table = comparisons(study, scores, {name: f"{name} is missing" for name in missing})
    row = verdicts(study, scores, table).set_index("claim").loc[claim]
    return row.verdict, row.why


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"10k-64-plain": BETTER}, "🟢 supported"),
        ({"10k-64-plain": WORSE}, "🔴 contradicted"),
        ({"10k-64-plain": {"perceptual": -1}}, "🟡 cannot tell at this scale"),
        ({"10k-64-plain": {"perceptual": -1, "psnr_y": -1}}, "🟠 mixed"),
    ],
)
def test_a_claim_is_what_all_of_its_comparisons_are(study, changes, expected):
    assert verdict_of(study, changes, "C3")[0] == expected


def test_the_verdict_on_c1_says_where_the_colours_go(study):
    changes = {"5k-32-biased": {"shift_a": 3, "shift_b": -4}}
    changes |= {"10k-32-plain (moving statistics)": {"shift_b": 9}}
    verdict, why = verdict_of(study, changes, "C1")
    assert verdict == "🟠 mixed"  # a larger bias, but not of the data's colour
    assert "trained on the yellowest photographs" in why
    assert re.search(r"image statistics it shifts towards magenta and blue \(a\* \+3.\d+, b\* -4.\d+\) and has", why)
    assert "10k-32-plain has a larger colour bias" in why


def test_a_claim_whose_runs_are_missing_is_listed_with_the_reason(study):
    verdict, why = verdict_of(study, {}, "C4", missing=["10k-32-mirflickr"])
    assert (verdict, why) == ("⚪ not judged here", "not judged here: 10k-32-mirflickr is missing")
    assert "5k-32-augmented is missing" in verdict_of(study, {}, "C2", missing=["5k-32-augmented"])[1]
    verdict, why = verdict_of(study, {"10k-64-plain": BETTER}, "C6", missing=["5k-32-plain"])  # half of it is there
    assert verdict == f"🟡 {UNDECIDED}"
    assert "5k-32-plain is missing" in why


@pytest.mark.parametrize("run", ["5k-32-biased", "5k-32-plain", "10k-64-plain", "recommended"])
def test_a_run_that_params_yaml_does_not_have_leaves_claims_out_and_no_more(tiny_study, run):
    tiny_study.drop(f"variants.{run}")
    tiny_study.set("ablation.variant", "10k-32-plain")
    tiny_study.set("ablation.changes", {})
    study = tiny_study.load()
    table = comparisons(study, score_table(study), {})
    assert list(verdicts(study, score_table(study), table).claim) == list(WORDS["claims"])
    assert table["verdict, image statistics"].str.contains(f"{run}.* has no scores").any()
    assert len(answer(study, score_table(study), {})) == 5
    for claim in ("C5", "C7", "C8"):
        assert verdict_of(study, {}, claim) == ("⚪ not judged here", WORDS["claims"][claim]["not judged"])


def test_the_answer_says_by_what_one_generator_is_better_or_worse(study):
    changes = {"10k-64-plain": {"psnr_y": -2, "perceptual": -1}}
    sentences = answer(study, score_table(study, changes), {})
    assert sentences[0].startswith("10k-64-plain beside bicubic: better by VGG16-HED distance (-1.0")
    assert "; worse by PSNR-Y (-2.0" in sentences[0]
    assert "; no measurable difference by ΔE2000 (" in sentences[0]


def test_every_reading_points_to_a_file_or_a_key_that_exists(root, study):
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for where in readings(study)["where"]:
        if where.endswith(".py"):
            assert (root / "src" / "srstudy" / where).is_file()
            continue
        sections = [params]
        for key in where.split("."):
            found = (list(section.values()) if key == "*" else [section.get(key)] for section in sections)
            sections = [value for values in found for value in values if value is not None or key == "warm_start"]
        assert sections, f"params.yaml has no {where}"


def test_readings_survive_renamed_recipes_and_selections(tiny_study):
    text = yaml.safe_dump(tiny_study.params)
    tiny_study.params = yaml.safe_load(re.sub(r"\bbiased\b(?=:|$)", "yellow", text, flags=re.MULTILINE))
    tiny_study.params["recipes"]["theirs"] = tiny_study.params["recipes"].pop("srgan")
    for profile in tiny_study.params["profiles"].values():
        profile["recipes"]["theirs"] = profile["recipes"].pop("srgan")
    for variant in tiny_study.params["variants"].values():
        variant["recipe"] = variant["recipe"].replace("srgan", "theirs")
    study = tiny_study.load()
    table = readings(study).set_index("left open by the paper")
    assert list(table.loc["start of the generator"]) == ["warm start 'srgan'", "recipes.theirs.warm_start"]
    assert table["taken here"].str.contains("yellow: highest mean_b").any()
    assert len(comparisons(study, score_table(study), {})) == 22
