"""The report's tables: whole, on the same photographs, each mean with its interval."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from srstudy.errors import StudyError
from srstudy.files import write_csv
from srstudy.judge.metrics import MEASURES
from srstudy.report.scores import FACTORS, by_reading, effects, environment, load_scores, per_run
from srstudy.report.tables import caution, differences_table, results, results_table, show
from srstudy.statistics import estimate

PHOTOS = ("bridge", "face", "leaf", "street")


def scores_of(method: str, level: float, photos=PHOTOS) -> pd.DataFrame:
    """Scores of a method: `level` on the first photo, one more on each further."""
    columns = {measure: level + np.arange(len(photos), dtype=float) for measure in MEASURES}
    return pd.DataFrame({"photo": photos, "method": method, **columns})


@pytest.fixture
def evaluated(tiny_study):
    """A study with all evaluated: variant number n with level n, warm starts from 50, released models from 60, bicubic
    with 100.
    """
    study = tiny_study.load()
    levels = {name: number for number, name in enumerate(study.variants)}
    levels |= {name: 50 + number for number, name in enumerate(study.warm_starts)}
    levels |= {name: 60 + number for number, name in enumerate(study.released)}
    for name, level in levels.items():
        table = pd.concat([scores_of("bicubic", 100), scores_of(study.method_name(name), level)])
        write_csv(study.root / "reports" / "scores" / f"{name}.csv", table)
    return study


def test_scores_of_all_runs_are_read_with_bicubic_once_what_they_begin_with_first_and_released_models_last(evaluated):
    scores = load_scores(evaluated)
    starts = ["bicubic", "warm start srgan", "warm start residual"]
    assert list(dict.fromkeys(scores.method)) == [*starts, *evaluated.variants, *evaluated.released]
    assert len(scores) == len(PHOTOS) * (len(evaluated.variants) + len(evaluated.released) + 3)
    assert not scores.duplicated(["photo", "method"]).any()
    assert scores.psnr_y[(scores.method == "recommended") & (scores.photo == "bridge")].item() == 10


def test_a_run_not_evaluated_yet_is_named_with_the_way_out(evaluated):
    (evaluated.root / "reports" / "scores" / "5k-64-plain.csv").unlink()
    with pytest.raises(StudyError, match=r"5k-64-plain\.csv: not evaluated yet; run `dvc repro evaluate@5k-64-plain`"):
        load_scores(evaluated)
    (evaluated.root / "reports" / "scores" / "srgan.csv").unlink()
    with pytest.raises(StudyError, match=r"srgan\.csv: not evaluated yet; run `dvc repro evaluate-given@srgan`\.$"):
        load_scores(evaluated)


def test_a_released_model_not_evaluated_yet_has_to_be_named_in_dvc_yaml(evaluated):
    (evaluated.root / "reports" / "scores" / "recommended-gan.csv").unlink()
    with pytest.raises(StudyError, match=r"evaluate-given@recommended-gan` \(`evaluate-given` in dvc\.yaml has to"):
        load_scores(evaluated)


@pytest.mark.parametrize("photos", [PHOTOS[:3], (*PHOTOS[:3], "cat"), (*PHOTOS, "cat")])
def test_scores_on_other_photographs_are_refused(evaluated, photos):
    write_csv(evaluated.root / "reports" / "scores" / "10k-32-plain.csv", scores_of("10k-32-plain", 1, photos))
    with pytest.raises(StudyError, match=r"10k-32-plain\.csv: other test photographs than the rest"):
        load_scores(evaluated)


def test_results_give_the_mean_of_every_run_and_measure_inside_its_interval(evaluated):
    table = results(load_scores(evaluated), 1)
    assert len(table) == (len(evaluated.variants) + len(evaluated.released) + 3) * len(MEASURES)
    recommended = table[(table.run == "recommended") & (table.measure == "delta_e")].iloc[0]
    assert recommended.value == pytest.approx(11.5)  # 10, 11, 12, 13
    assert 10 <= recommended.low < 11.5 < recommended.high <= 13


def test_the_table_has_a_row_per_run_in_their_order_and_a_cell_per_measure(evaluated):
    table = results_table(results(load_scores(evaluated), 1))
    assert list(table.columns) == [name for name, _ in MEASURES.values()]
    assert list(table.index[3:]) == [*evaluated.variants, *evaluated.released]
    assert table.index.name == "run"
    assert not table.isna().any(axis=None)


def test_a_difference_is_taken_photo_by_photo(evaluated):
    """Photographs differ by up to 3, both methods on each by the same, so that the interval has no width."""
    scores = load_scores(evaluated)
    shuffled = scores.sample(frac=1, random_state=1, ignore_index=True)
    table = differences_table(shuffled, [("5k-32-augmented", "5k-32-plain"), ("recommended", "bicubic")], 1)
    assert list(table.difference) == ["5k-32-augmented − 5k-32-plain", "recommended − bicubic"]
    assert list(table["PSNR-Y (dB)"]) == ["+1.00 [+1.00, +1.00]", "-90.00 [-90.00, -90.00]"]
    assert table["VGG16-HED distance"][0] == "+1.000 [+1.000, +1.000]"


def test_both_readings_of_batch_norm_have_their_rows_in_one_order(evaluated):
    scores = load_scores(evaluated)
    moved = scores[scores.method.isin(["5k-32-plain", "warm start srgan"])]
    moved = moved.assign(method=moved.method.map(evaluated.evaluation.other_name), psnr_y=-1.0)
    chosen, other = by_reading(evaluated, pd.concat([scores, moved], ignore_index=True))
    assert list(chosen.method.unique()) == list(other.method.unique())
    assert set(other.method[other.psnr_y == -1]) == {"5k-32-plain", "warm start srgan"}


def test_few_photographs_come_with_a_caution():
    assert "(3)" in caution(3)
    assert caution(10) == caution(14) == ""


@pytest.mark.parametrize(("count", "percent"), [(3, 75), (10, 90)])
def test_the_caution_says_how_short_intervals_are(count, percent):
    random = np.random.default_rng(0)
    found = [estimate(random.normal(size=count), seed) for seed in range(1000)]
    held = np.mean([interval.low <= 0 <= interval.high for interval in found])
    assert held == pytest.approx(percent / 100, abs=0.03)
    assert f"{percent}%" in caution(3)


def test_an_empty_table_says_so():
    assert "nothing" in show(pd.DataFrame(columns=["step", "guard"])).data


def test_cells_read_mean_low_high_with_the_digits_of_their_measure():
    rows = [
        {"run": run, "measure": measure, "value": 28.43456, "low": 27.5, "high": 29.25}
        for run in ("bicubic", "recommended")
        for measure in MEASURES
    ]
    table = results_table(pd.DataFrame(rows))
    assert table.loc["bicubic", "PSNR-Y (dB)"] == "28.43 [27.50, 29.25]"
    assert table.loc["recommended", "SSIM-Y"] == "28.435 [27.500, 29.250]"
    assert all(re.fullmatch(r"28\.4\d+ \[27\.50?0, 29\.250?\]", cell) for cell in table.to_numpy().ravel())


def test_effects_name_factor_measure_and_the_difference_that_was_put_in(evaluated):
    # In the order of params.yaml the runs of the grid have the levels 0 to 7: 10k adds 4, 64 px adds 2, augmentation 1.
    table = effects(load_scores(evaluated), 1)
    assert len(table) == len(FACTORS) * len(MEASURES)
    for measure in MEASURES:
        found = table[table.measure == measure].set_index("factor")
        assert found.loc[list(FACTORS), "value"].tolist() == pytest.approx([4, 2, 1])
        assert (found.high - found.low).max() == pytest.approx(0, abs=1e-9)


def test_runs_are_compared_photograph_by_photograph(evaluated):
    runs = per_run(load_scores(evaluated).sample(frac=1, random_state=1), "psnr_y")
    difference = runs["bicubic"] - runs["5k-32-plain"]
    assert difference.to_dict() == dict.fromkeys(PHOTOS, 100.0)


def test_the_report_says_how_it_was_made(tiny_study):
    table = environment(tiny_study.load("smoke"), ["CPU"]).set_index("what").value
    assert (table["profile"], table["seed"], table["device"]) == ("smoke", "2023", "CPU")
    assert re.match(r"2\.\d+", table["tensorflow"])
    assert table["last commit of code, parameters and photographs"] == "unknown (no git here)"
    assert not table.str.contains(r"[/\\]").any()  # no path of this machine
