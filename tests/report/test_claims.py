"""The paper's claims, judged on constructed scores whose truth is known."""

import re

import numpy as np
import pytest
import yaml
from tests.report.scores import HALF, PHOTOS, score_table

from srstudy.report.claims import VERDICTS, Comparison, answer, comparisons, direction, judge, readings, verdicts
from srstudy.report.scores import KINDS, WORDS, pooled
from srstudy.study import load_study

PLAIN, AUGMENTED = KINDS["plain"], KINDS["augmented"]
SUPPORTED, CONTRADICTED, EQUAL, UNDECIDED = VERDICTS[:4]
BETTER = {"perceptual": -1, "psnr_y": 1, "ssim_y": 1, "delta_e": -1}
WORSE = {measure: -change for measure, change in BETTER.items()}
LARGE = {*KINDS["64 px"], *KINDS["10k images"]}


def judged(study, changes, claim: str) -> list[str]:
    """The verdicts on the comparisons of one claim, under each image's own statistics."""
    table = comparisons(study, score_table(study, changes), {})
    return list(table["verdict, image statistics"][table.claim == claim])


HARM = {"perceptual": 1, "psnr_y": -1, "shift_a": 5, "sharpness": -0.3}
GAIN = {"perceptual": -1, "psnr_y": 1, "sharpness": 0.3}
HALVES = np.resize([1, -1], len(PHOTOS))


@pytest.mark.parametrize(
    ("claim", "changes", "expected"),
    [
        ("C1", {"srgan-5k-32-biased": {"shift_b": 6, "delta_e": 3}}, ["supported"] * 3),
        ("C1", {"srgan-5k-32-biased": {"shift_b": -6, "delta_e": 3}}, ["supported", "supported", "contradicted"]),
        ("C1", {HALF: {"shift_b": 6, "delta_e": 3}}, ["contradicted"] * 3),  # whatever srgan-5k-32-plain did later
        ("C2", dict.fromkeys(AUGMENTED, HARM), ["supported"] * 4),
        ("C2", {name: {"shift_a": 5} for name in PLAIN} | dict.fromkeys(AUGMENTED, GAIN), ["contradicted"] * 4),
        ("C3", dict.fromkeys(LARGE, BETTER), ["supported"] * 6),
        ("C3", dict.fromkeys(LARGE, WORSE), ["contradicted"] * 6),
        ("C4", {"srgan-10k-32-mirflickr": {"perceptual": 1, "shift_a": 4}}, ["supported"] * 2),
        ("C4", {"srgan-10k-32-plain": {"perceptual": 1, "shift_a": 4}}, ["contradicted"] * 2),
        ("C6", {"srgan-5k-32-plain": BETTER, "srgan-10k-64-plain": BETTER}, ["supported"] * 12),
        ("C6", {"srgan-5k-32-plain": WORSE, "srgan-10k-64-plain": WORSE}, ["contradicted"] * 12),
        ("ours", {"recommended": BETTER}, ["supported"] * 4),
    ],
)
def test_a_claim_is_judged_by_the_difference_that_was_put_in(study, claim, changes, expected):
    assert judged(study, changes, claim) == expected


def test_what_differs_from_photo_to_photo_alone_cannot_be_told(study):
    harm_half = {"perceptual": HALVES, "sharpness": -HALVES, "shift_a": 8 * HALVES}
    found = judged(study, {name: harm_half for name in AUGMENTED}, "C2")
    assert (found[0], found[3]) == (UNDECIDED, UNDECIDED)
    assert found[2] != "supported"


@pytest.mark.parametrize(
    ("gain", "expected"), [(0, "supported"), (0.5, "supported"), (1, UNDECIDED), (1.5, "contradicted")]
)
def test_augmentation_does_not_help_where_it_gains_less_than_the_margin(study, gain, expected):
    """By half of it no more than by nothing."""
    changes = {name: {"perceptual": -0.01 * gain, "psnr_y": 0.1 * gain} for name in AUGMENTED}
    assert judged(study, changes, "C2")[:2] == [expected] * 2


def test_what_a_run_owes_to_its_warm_start_is_no_merit_of_its_own(study):
    better = dict.fromkeys(("warm start srgan", "srgan-5k-32-plain", "srgan-10k-64-plain"), BETTER)
    found = judged(study, better, "C6")
    assert found[:4] == found[6:10] == ["supported"] * 4
    assert found[4:6] == found[10:] == [EQUAL] * 2


def test_each_comparison_gives_the_difference_with_its_interval(study):
    changes = {"srgan-10k-64-plain": {"psnr_y": 1.5}, "srgan-5k-32-biased": {"shift_a": 3, "shift_b": -4}}
    table = comparisons(study, score_table(study, changes), {}).set_index("compared")["image statistics"]
    number = r"([+-]\d+\.\d{2})"
    cell = table["PSNR-Y: srgan-10k-64-plain − srgan-5k-32-plain"]
    value, low, high = map(float, re.fullmatch(rf"{number} \[{number}, {number}\]", cell).groups())
    assert low <= value <= high
    assert value == pytest.approx(1.5, abs=0.02)
    bias = table[f"colour bias: srgan-5k-32-biased − {HALF}"]  # its length in the a*, b* plane
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
        (BETTER, "🟢 supported"),
        (WORSE, "🔴 contradicted"),
        ({}, f"🔵 {EQUAL}"),
        ({"perceptual": -1, "psnr_y": HALVES}, "🟡 cannot tell"),
        ({"perceptual": -1, "psnr_y": -1}, "🟠 mixed"),
        ({"perceptual": -1}, "🟠 mixed"),
    ],
)
def test_a_claim_is_what_all_of_its_comparisons_are(study, changes, expected):
    assert verdict_of(study, dict.fromkeys(LARGE, changes), "C3")[0] == expected


def test_the_verdict_on_c1_says_where_the_colours_go(study):
    changes = {
        name: {"shift_a": 3, "shift_b": -4} for name in ("srgan-5k-32-biased", "srgan-5k-32-biased (moving statistics)")
    }
    changes["srgan-10k-32-plain (moving statistics)"] = {"shift_b": 9}
    verdict, why = verdict_of(study, changes, "C1")
    assert verdict == "🟠 mixed"  # a larger bias, but not of the data's colour
    where = r"shift towards magenta and blue \(a\* \+\d.\d+, b\* -\d.\d+\): away from its data's colour"
    data = r"srgan-5k-32-biased was trained on the yellowest photographs\. "
    assert re.search(
        rf"{data}Its images {where}\. With moving statistics they {where}; srgan-10k-32-plain shifts furth", why
    )
    changes["srgan-5k-32-biased"] = {"shift_a": 3, "shift_b": -4 + 16 * HALVES}  # not on every photograph
    assert re.search(rf"{where}, though not surely\. With", direction(study, score_table(study, changes)))


def test_a_claim_whose_runs_are_missing_is_listed_with_the_reason(study):
    verdict, why = verdict_of(study, {}, "C4", missing=["srgan-10k-32-mirflickr"])
    assert (verdict, why) == ("⚪ not judged here", "srgan-10k-32-mirflickr is missing")
    assert "srgan-5k-32-augmented is missing" in verdict_of(study, {}, "C2", missing=["srgan-5k-32-augmented"])[1]
    verdict, why = verdict_of(
        study, {"srgan-10k-64-plain": BETTER}, "C6", missing=["srgan-5k-32-plain"]
    )  # half of it is there
    assert verdict == f"🟡 {UNDECIDED}"
    assert "srgan-5k-32-plain is missing" in why


@pytest.mark.parametrize("run", ["srgan-5k-32-biased", "srgan-5k-32-plain", "srgan-10k-64-plain", "recommended"])
def test_a_run_that_params_yaml_does_not_have_leaves_claims_out_and_no_more(tiny_study, run):
    tiny_study.drop(f"variants.{run}")
    tiny_study.set("ablation.variant", "srgan-10k-32-plain")
    tiny_study.set("ablation.changes", {})
    study = tiny_study.load()
    table = comparisons(study, score_table(study), {})
    assert list(verdicts(study, score_table(study), table).claim) == list(WORDS["claims"])
    assert table["verdict, image statistics"].str.contains(f"{run} is not among the runs of profile sample").any()
    assert len(answer(study, score_table(study), {})) == 5
    assert verdict_of(study, {}, "C7") == ("⚪ not judged here", WORDS["claims"]["C7"]["not judged"])
    verdict, why = verdict_of(study, {}, "C8")
    assert (verdict, "esrgan-5k-32 is not among the runs" in why) == ("⚪ not judged here", True)


def test_the_answer_says_by_what_one_generator_is_better_or_worse(study):
    changes = {"srgan-10k-64-plain": {"psnr_y": -2, "perceptual": -1, "delta_e": HALVES}}
    sentences = answer(study, score_table(study, changes), {})
    assert sentences[0].startswith("srgan-10k-64-plain beside bicubic: better by VGG16-HED distance (-1.0")
    assert "; worse by PSNR-Y (-2.0" in sentences[0]
    assert "; undecided by ΔE2000 (" in sentences[0]
    assert sentences[3].startswith("recommended beside warm start residual: alike within the margin by PSNR-Y (")


def test_the_other_statistics_are_those_that_were_not_chosen(tiny_study):
    tiny_study.set("evaluation.statistics", "moving")
    study = tiny_study.load()
    sentence = answer(study, score_table(study), {})[2]
    assert re.match(
        r"srgan-10k-64-plain \(image statistics\) beside srgan-10k-64-plain: alike within the margin by", sentence
    )


def test_runs_from_scratch_are_not_compared_with_a_warm_start(tiny_study):
    study = tiny_study.load("paper")
    scores = score_table(study)
    said = [*comparisons(study, scores, {}).compared, *answer(study, scores, {})]
    assert not [text for text in said if "warm start" in text]


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


def test_the_content_network_s_own_precision_is_among_the_readings(root):
    def taken(profile):
        return readings(load_study(profile, root)).set_index("left open by the paper")["taken here"]["content features"]

    assert taken("tenth").endswith(", in mixed_bfloat16")
    assert taken("paper").endswith("× 0.0784")


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
    assert len(comparisons(study, score_table(study), {})) == 48


def c1(study, scores):
    """The comparisons of C1: what, and the verdict."""
    table = comparisons(study, scores, {})
    return list(
        table[table.claim == "C1"][["compared", "verdict, image statistics"]].itertuples(index=False, name=None)
    )


@pytest.mark.parametrize(
    ("snapshot", "epochs", "second"),
    [(10, 10, HALF), (5, 5, "srgan-5k-32-plain after 5 epochs"), (10, 20, "srgan-5k-32-plain")],
)
def test_c1_compares_after_equally_many_epochs(tiny_study, snapshot, epochs, second):
    tiny_study.set("variants.srgan-5k-32-plain.snapshot", snapshot)
    tiny_study.set("variants.srgan-5k-32-biased.epochs", epochs)
    study = tiny_study.load()
    compared, verdict = c1(study, score_table(study, {"srgan-5k-32-biased": {"delta_e": 3}}))[1]
    assert (compared, verdict) == (f"ΔE2000: srgan-5k-32-biased − {second}", "supported")


@pytest.mark.parametrize("snapshot", [10, 5, None])
def test_c1_is_not_judged_where_the_snapshot_is_lost_or_after_other_epochs(tiny_study, snapshot):
    tiny_study.set("variants.srgan-5k-32-plain.snapshot", snapshot)
    study = tiny_study.load()
    scores = score_table(study)
    found = {verdict for _, verdict in c1(study, scores[scores.snapshot != "10"])}
    lost = "the snapshot of srgan-5k-32-plain after 10 epochs is missing (`variants.srgan-5k-32-plain.snapshot`)"
    assert found == {f"not judged here: {lost}"}


def test_c1_speaks_of_yellow_where_the_biased_run_was_trained_on_it(tiny_study):
    tiny_study.set("profiles.sample.selections.biased.highest", "contrast")
    study = tiny_study.load()
    scores = score_table(study)
    assert c1(study, scores)[2][1] == "not judged here: srgan-5k-32-biased was not trained on the yellowest photographs"
    sentence = direction(study, scores)
    assert sentence.startswith(
        "srgan-5k-32-biased was trained on highest contrast, share 0.2. Its images shift towards"
    )
    assert "its data's colour" not in sentence


def test_a_recipe_without_a_discriminator_or_a_content_loss_has_its_other_readings(tiny_study):
    for place in (tiny_study.params, *tiny_study.params["profiles"].values()):
        place["recipes"]["srgan"].update(discriminator=None, content=None)
    tiny_study.set("recipes.srgan.loss_weights", {"content": 0.0, "adversarial": 0.0, "pixel": 1.0})
    table = readings(tiny_study.load()).set_index("left open by the paper")["taken here"]
    assert table["filters of the generator"] == "32"
    assert not {"discriminator", "content features"} & set(table.index)


SEEDS = "srgan-5k-32-biased", "srgan-5k-32-plain"
CHANGED = [f"{name}-{how}" for name in SEEDS for how in ("nonorm", "batch16", "l1")]


@pytest.fixture
def seeded(tiny_study):
    """A study with the runs of C1 and C1′, each under three seeds."""
    variants = tiny_study.params["variants"]
    for name in CHANGED:
        variants[name] = dict(variants["srgan-5k-32-biased"])
    variants["srgan-5k-32-plain-batch16"] = dict(variants["srgan-5k-32-plain"])
    for name in (*SEEDS, *CHANGED):
        variants[name]["seeds"] = 3
    return tiny_study.load()


def under_seeds(changes, *steps: float):
    """The same changes in all trainings of some methods, and a step in each of one more."""
    names = {name: [name, *(re.sub(r"(?= after|$)", f"-seed{n}", name, count=1) for n in (2, 3))] for name in changes}
    return {
        one: {measure: value + step for measure, value in changes[name].items()}
        for name, all_of in names.items()
        for one, step in zip(all_of, steps or (0, 0, 0))
    }


TINT = {"shift_a": 4.0, "shift_b": 3.0}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [SUPPORTED] * 9),  # the tint goes
        (dict.fromkeys(CHANGED, TINT), [EQUAL] * 6 + [SUPPORTED] * 3),  # it stays, whatever the data
        ({name: TINT for name in CHANGED if "biased" in name}, [EQUAL] * 3 + [SUPPORTED] * 3 + [CONTRADICTED] * 3),
    ],
)  # fmt: skip
def test_the_tint_is_the_recipes_where_it_goes_while_the_data_stay(seeded, changed, expected):
    """Of the plain batch-16 run, what it was after 10 epochs counts."""
    half = "srgan-5k-32-plain-batch16"
    after = {f"{name} after 10 epochs" if name == half else name: change for name, change in changed.items()}
    changes = under_seeds({"srgan-5k-32-biased": TINT, HALF: TINT, **after})
    assert judged(seeded, changes, "C1′") == expected


def test_one_lucky_seed_proves_nothing_and_three_that_agree_do(seeded):
    bias = Comparison("shift_b", *SEEDS, "more")
    for steps, expected in {(9.0, 0.0, 0.0): UNDECIDED, (3.0, 3.1, 2.9): SUPPORTED}.items():
        scores = score_table(seeded, under_seeds({SEEDS[0]: {"shift_b": 0}}, *steps))
        own = pooled(scores[(scores.snapshot == "") & (scores.statistics != "moving")])
        found = judge(own, [bias], 1)[bias]
        assert found.outcome.value == pytest.approx(3, abs=0.01)
        assert found.verdict == expected
    alone = scores[scores.run.isin(SEEDS) & (scores.snapshot == "") & (scores.statistics != "moving")]
    once = judge(alone, [bias], 1)[bias].outcome.interval  # of seeds it knows nothing
    assert once.high - once.low < 0.01


def test_how_often_each_run_was_trained_is_said(seeded, study):
    scores = score_table(seeded)
    scores = scores[scores.run != f"{SEEDS[0]}-seed3"]
    table = comparisons(seeded, scores, {})
    assert list(table.trainings[table.claim == "C1"]) == ["2 − 3"] * 3
    assert "1 − 3" in set(table.trainings[table.claim == "C3"])
    why = verdicts(seeded, scores, table).set_index("claim").why
    assert why["C3"].endswith("; sometimes one training each: what another seed would give is not known")
    assert "another seed" not in why["C1"]
    assert verdict_of(study, {}, "C4")[1].endswith("; one training each: what another seed would give is not known")


@pytest.mark.parametrize(
    ("measure", "expected", "value", "differs", "exceeds", "verdict"),
    [
        ("psnr_y", "better", 1.0, 0.01, 1.0, SUPPORTED), ("psnr_y", "worse", 1.0, 0.01, 1.0, CONTRADICTED),
        ("perceptual", "better", 1.0, 0.01, 1.0, CONTRADICTED), ("colour bias", "better", -2.0, 0.01, 1.0, SUPPORTED),
        ("psnr_y", "better", 1.0, 0.06, 1.0, UNDECIDED), ("psnr_y", "better", 0.02, 0.01, 0.01, EQUAL),
        ("psnr_y", "no better", 0.02, 0.01, 0.01, SUPPORTED), ("psnr_y", "no better", 0.2, 0.01, 1.0, CONTRADICTED),
        ("perceptual", "no better", -0.02, 0.01, 1.0, CONTRADICTED), ("psnr_y", "alike", 0.02, 0.5, 0.01, SUPPORTED),
        ("psnr_y", "alike", 0.2, 0.01, 1.0, CONTRADICTED), ("psnr_y", "alike", 0.05, 0.01, 0.06, UNDECIDED),
        ("shift_b", "more", 2.0, 0.01, 1.0, SUPPORTED), ("sharpness", "less", 2.0, 0.01, 1.0, CONTRADICTED),
    ],
)  # fmt: skip
def test_the_rules(measure, expected, value, differs, exceeds, verdict):
    assert Comparison(measure, "a", "b", expected).verdict(value, differs, exceeds) == verdict


def test_every_claim_says_what_was_fixed_beforehand():
    for section in WORDS["claims"].values():
        assert {"says", "paper", "test", "settled by"} <= set(section)
        for measures, *_ in section.get("compared", ()):
            assert all(WORDS["margins"][measure][0] > 0 for measure in measures)
