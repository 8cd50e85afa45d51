"""Scores of all runs and their tables: whole, on the same photographs, each mean with its interval."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.report.scores import HALF, PHOTOS, rows_of, score_table, write_scores

from srstudy import StudyError, statistics
from srstudy.figures.base import show
from srstudy.files import write_csv, write_json
from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import FACTORS, KINDS, bias_table, by_statistics, effects, load_scores, main, runs_table
from srstudy.report.tables import caution, differences, headline, readable, readme_block, results, write_readme


@pytest.fixture
def evaluated(tiny_study):
    """A study with all evaluated; of the grid, 10k adds 4 to every measure, 64 px adds 2, augmentation 1."""
    study = tiny_study.load()
    steps = {"10k": 4, "64": 2, "augmented": 1}
    changes = {name: sum(steps.get(part, 0) for part in name.split("-")) for name in study.variants}
    changes = {name: dict.fromkeys(MEASURES, change) for name, change in changes.items()}
    write_scores(study.root / "reports", score_table(study, changes))
    return study


def test_bicubic_and_warm_starts_come_first_and_released_models_last(evaluated):
    scores, missing = load_scores(evaluated)
    final = scores[(scores.snapshot == "") & (scores.statistics != "moving")]
    starts = ["bicubic", "warm start srgan", "warm start residual"]
    assert list(final.method.unique()) == [*starts, *evaluated.variants, *evaluated.released]
    assert not scores.duplicated(["photo", "method"]).any()
    assert missing == {}
    assert {HALF, f"{HALF} (moving statistics)", "warm start srgan (moving statistics)"} <= set(scores.method)


def test_a_run_without_scores_is_told_and_the_rest_is_there(evaluated):
    (evaluated.root / "reports" / "scores" / "srgan-5k-64-plain.csv").unlink()
    scores, missing = load_scores(evaluated)
    assert missing == {"srgan-5k-64-plain": "reports/scores/srgan-5k-64-plain.csv is missing; run `dvc repro evaluate`"}
    assert "srgan-5k-64-plain" not in set(scores.run)
    assert "srgan-10k-64-plain" in set(scores.run)
    assert "nothing" in show(readable(effects(scores, 1))).data  # the grid is not whole
    (evaluated.root / "reports" / "scores" / "bicubic.csv").unlink()
    with pytest.raises(StudyError, match=r"bicubic\.csv: missing; run `dvc repro evaluate`"):
        load_scores(evaluated)


@pytest.mark.parametrize("photos", [PHOTOS[:3], (*PHOTOS[:3], "cat"), (*PHOTOS, "cat")])
def test_scores_on_other_photographs_are_refused(evaluated, photos):
    scores = score_table(evaluated, photos=photos)
    write_scores(evaluated.root / "reports", scores[scores.run == "srgan-10k-32-plain"])
    with pytest.raises(StudyError, match=r"srgan-10k-32-plain\.csv: other test photographs than bicubic's; run"):
        load_scores(evaluated)


def test_both_readings_of_batch_norm_have_their_rows_in_one_order(study):
    scores = score_table(study, {"srgan-5k-32-plain (moving statistics)": {"psnr_y": 50}})
    parts = by_statistics(study, scores)
    assert list(parts) == ["image", "moving"]
    assert list(parts["image"].method.unique()) == list(parts["moving"].method.unique())
    assert set(parts["moving"].method[parts["moving"].psnr_y > 40]) == {"srgan-5k-32-plain"}


def test_results_give_the_mean_of_every_run_and_measure_inside_its_interval(evaluated):
    scores, _ = load_scores(evaluated)
    table = results(scores, 1)
    assert len(table) == scores.method.nunique() * len(MEASURES)
    row = table[(table.run == "recommended") & (table.measure == "delta_e")].iloc[0]
    assert row.value == pytest.approx(scores.delta_e[scores.method == "recommended"].mean())
    assert row.low < row.value < row.high
    cells = readable(table)
    assert list(cells.index) == list(scores.method.unique())
    assert list(cells.columns) == [label for label, _ in MEASURES.values()]
    assert cells.loc["recommended", "ΔE2000"] == f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
    assert re.fullmatch(r"\d+\.\d{3} \[.*\]", cells.loc["bicubic", "SSIM-Y"])


def test_a_difference_is_taken_photo_by_photo(evaluated):
    """Photographs differ by several dB, both methods on each by the same, so that the interval is narrow."""
    scores, _ = load_scores(evaluated)
    shuffled = scores.sample(frac=1, random_state=1, ignore_index=True)
    pairs = [("srgan-5k-32-augmented", "srgan-5k-32-plain"), ("srgan-10k-64-plain", "srgan-5k-32-plain")]
    found = readable(differences(shuffled, pairs, 1))
    assert list(found.index) == ["srgan-5k-32-augmented − srgan-5k-32-plain", "srgan-10k-64-plain − srgan-5k-32-plain"]
    value, low, high = map(float, re.findall(r"[+-]\d+\.\d+", found["PSNR-Y (dB)"].iloc[1]))
    assert value == pytest.approx(6, abs=0.02)
    assert high - low < 0.05


def test_effects_are_the_differences_that_were_put_in(evaluated):
    scores, _ = load_scores(evaluated)
    table = effects(scores, 1)
    for measure in MEASURES:
        found = table[table.measure == measure].set_index("factor")
        assert found.loc[list(FACTORS), "value"].tolist() == pytest.approx([4, 2, 1], abs=0.02)
    assert readable(table).shape == (3, len(MEASURES))


def test_the_colour_bias_is_the_length_of_the_mean_shift(study):
    changes = {
        "srgan-10k-64-plain": {"shift_a": 3, "shift_b": 4},
        "srgan-10k-64-plain (moving statistics)": {"shift_a": 10},
    }
    row = bias_table(study, score_table(study, changes)).set_index("run").loc["srgan-10k-64-plain"]
    found = [float(row[column].split()[0]) for column in ("image statistics", "moving statistics", "moving − image")]
    assert found == pytest.approx([5, 10, 5], abs=0.03)
    assert row["largest shift"].startswith("photo-")


def test_the_table_of_runs_tells_what_is_unfinished_or_not_trained(tiny_study):
    study = tiny_study.load()
    reports = study.root / "reports"
    history = {"step": [5, 9], "psnr_y": [20.0, 21.0], "diversity": [1.0, 0.1]}
    write_csv(reports / "history" / "srgan-5k-32-plain.csv", pd.DataFrame(history))
    write_json(reports / "runs" / "srgan-5k-32-plain.json", {"complete": False, "step": 9, "steps": 48})
    table = runs_table(study).set_index("run")
    row = table.loc["srgan-5k-32-plain"]
    assert row.steps == "9 of 48"
    assert row.complete.startswith("NO: its figures")
    assert row["what the guards saw"] == "output collapsed (step 9, 0.10)"
    assert "not trained yet; run `dvc repro train@srgan-10k-64-plain`" in table.complete["srgan-10k-64-plain"]
    assert "gan" not in table.index
    (reports / "history" / "srgan-5k-32-plain.csv").unlink()
    assert "not trained yet" in runs_table(study).set_index("run").complete["srgan-5k-32-plain"]


def test_set5_figures_of_another_profiles_runs_stay_out(evaluated):
    known = {"gan": {"psnr_y": 31.08}, "srgan-5k-32-plain": {"psnr_y": 29.0}}
    write_json(evaluated.root / "reports" / "test_sets" / "set5-hr" / "metrics.json", known)
    scores, _ = load_scores(evaluated)
    other = replace(evaluated, profile=evaluated.profile.model_copy(update={"folder": True}))
    for study, wanted in ((evaluated, "29.00"), (other, "")):
        assert headline(study, scores).set_index("method").loc["srgan-5k-32-plain"].iloc[-1] == wanted


def test_readme_gets_the_figures_between_its_marks_and_keeps_the_rest(evaluated):
    path = evaluated.root / "README.md"
    marks = "# Title\n\n<!-- figures -->\nold\n<!-- /figures -->\n\nText\n\n<!-- claims -->\n<!-- /claims -->\nEnd\n"
    path.write_text(marks, encoding="utf-8")
    write_json(evaluated.root / "reports" / "test_sets" / "set5-hr" / "metrics.json", {"bicubic": {"psnr_y": 28.43}})
    write_readme(evaluated)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Title\n\n<!-- figures -->\nMeans over 14 test photographs (sample profile: ")
    assert re.search(r"\| PSNR-Y on Set5 ↑ \|\n.*\n\| bicubic \|.* \| 28.43 \|\n", text)
    assert "- srgan-10k-64-plain beside bicubic: " in text
    assert (
        "| C5 | batch size 1 gives the best images | ⚪ not judged here |  | srgan-5k-32-plain-batch16 is not" in text
    )
    assert re.search(r"\| ours \| .* \| 🔵 no measurable difference \|  \| .* alike .*\|\n<!-- /claims -->", text)
    assert "old" not in text
    assert text.endswith("<!-- /claims -->\nEnd\n")
    write_readme(evaluated)
    assert path.read_text(encoding="utf-8") == text
    (evaluated.root / "reports" / "scores" / "srgan-10k-32-mirflickr.csv").unlink()
    missing = r"⚪ not judged here \|  \| reports/scores/srgan-10k-32-mirflickr.csv is missing \|"
    assert re.search(rf"\| C4 \| .* \| {missing}\n", readme_block(evaluated, "claims"))


def test_a_verdict_under_the_other_statistics_stands_where_it_differs(evaluated):
    changes = {"recommended": {"psnr_y": 9, "perceptual": -9}}
    changes |= {name: {"psnr_y": 9, "perceptual": -9} for name in KINDS["64 px"] + KINDS["10k images"]}
    changes["srgan-10k-64-plain (moving statistics)"] = {"psnr_y": -9}
    write_scores(evaluated.root / "reports", score_table(evaluated, changes))
    rows = {line.split(" | ")[0][2:]: line.split(" | ")[2:4] for line in readme_block(evaluated, "claims").splitlines()}
    assert rows["claim"] == ["verdict", "with moving statistics"]
    assert rows["C3"][0] == "🟢 supported"
    assert rows["C3"][1] == "🟠 mixed"
    assert rows["ours"] == ["🟢 supported", ""]


def test_the_summary_prints_means_what_is_missing_and_where_the_report_is(evaluated, monkeypatch, capsys):
    (evaluated.root / "reports" / "scores" / "gan.csv").unlink()
    monkeypatch.chdir(evaluated.root)
    main()
    printed = capsys.readouterr().out
    assert re.search(r"^warm start srgan +\d+\.\d+", printed, re.MULTILINE)
    assert "gan: reports/scores/gan.csv is missing" in printed
    assert printed.endswith("05_report.ipynb\n")


@pytest.mark.parametrize(("count", "percent"), [(3, 88), (10, 91)])
def test_the_caution_says_how_short_intervals_are(monkeypatch, count, percent):
    monkeypatch.setattr(statistics, "RESAMPLES", 2000)
    values = np.random.default_rng(0).exponential(size=(1000, count)) - 1
    found = [one.interval for one in statistics.resample(values, rows_of(*[1] * 1000), np.eye(1000), 1)]
    held = np.mean([interval.low <= 0 <= interval.high for interval in found])
    assert held == pytest.approx(percent / 100, abs=0.03)
    assert f"{percent}%" in caution(3)
    assert caution(10) == ""
