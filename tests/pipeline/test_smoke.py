"""The whole pipeline in the smoke profile, in a clone of the project: the real thing, shrunk by its parameters."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from clones import repro, results, run, set_parameter

SOURCES, VARIANTS, GIVEN = 6, 11, 5  # scans, runs, and generators that are there without training
# scans, data, prepare, train and evaluate each variant, evaluate what is given, footage, report
STAGES = SOURCES + 2 + 2 * VARIANTS + GIVEN + 2


@pytest.fixture(scope="module")
def finished(clone) -> Path:
    """The clone after `dvc repro`."""
    assert len(repro(clone)) == STAGES
    return clone


def test_every_stage_leaves_its_report(finished):
    reports = finished / "reports"
    names = {path.relative_to(reports).with_suffix("").as_posix() for path in reports.rglob("*.html")}
    params = yaml.safe_load((finished / "params.yaml").read_text(encoding="utf-8"))
    each = {f"{stage}/{name}" for stage in ("03_train", "04_evaluate") for name in params["variants"]}
    each |= {f"04_evaluate/{name}" for name in (*params["pretrain"], *params["released"])}
    assert names == {"01_data", "02_prepare", "05_report", "07_cctv"} | each
    assert "smoke profile" in (finished / "reports" / "05_report.ipynb").read_text(encoding="utf-8")


def test_every_variant_has_its_measures(finished):
    files = list((finished / "reports" / "metrics").glob("*.json"))
    assert len(files) == VARIANTS + GIVEN
    for path in files:
        measures = json.loads(path.read_text(encoding="utf-8"))
        assert {"psnr_y", "ssim_rgb", "perceptual", "shift_a", "delta_e"} <= set(measures)


def test_nothing_runs_twice(finished):
    assert repro(finished) == []


def test_the_summary_has_every_run_and_draws_the_times_as_they_are(finished):
    times = finished / "reports" / "timings.csv"
    times.write_text("profile,stage,seconds\nsmoke,01_data,7200.0\n", encoding="utf-8")
    printed = run(finished, sys.executable, "-m", "srstudy.report.summary").stdout
    params = yaml.safe_load((finished / "params.yaml").read_text(encoding="utf-8"))
    assert all(f"\n{name} " in printed for name in ("bicubic", *params["variants"]))
    assert "120.0 minutes in all" in (finished / "reports" / "timings.svg").read_text(encoding="utf-8")


def test_what_is_given_is_not_trained_anew(finished, root):
    committed = sorted(path for kind in ("pretrained", "released") for path in root.glob(f"models/{kind}/*/*.keras"))
    assert len(committed) == GIVEN
    for path in committed:
        assert (finished / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_one_variants_epochs_touch_that_variant_and_the_report_alone(finished):
    set_parameter(finished, "variants", "5k-32-biased", "epochs", value=40)
    assert repro(finished) == ["train@5k-32-biased", "evaluate@5k-32-biased", "report"]


def test_any_folder_of_images_can_be_the_test_set(finished, tmp_path):
    from PIL import Image

    photo = Image.open(finished / "data" / "sample" / "photos" / "flower.jpg")
    photo.crop((0, 0, 101, 90)).save(tmp_path / "odd size.png")
    photo.crop((0, 0, 96, 96)).convert("L").save(tmp_path / "gray.png")
    before = results(finished)
    run(finished, "papermill", "notebooks/04_evaluate.ipynb", str(tmp_path / "out.ipynb"), "--cwd", "notebooks",
        "-p", "variant", "recommended", "-p", "test_set", str(tmp_path))  # fmt: skip
    (scores,) = (finished / "reports" / "test_sets").glob("*/scores/recommended.csv")
    assert {"odd size", "gray"} <= {line.split(",")[0] for line in scores.read_text(encoding="utf-8").splitlines()}
    assert {name: content for name, content in results(finished).items() if "test_sets" not in name} == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["03_train", "-p", "variant", "5k-32-plan"], "did you mean '5k-32-plain'"),
        (["03_train", "-p", "profile", "sampel"], "did you mean 'sample'"),
        (["04_evaluate", "-p", "test_set", "nowhere"], "nowhere: no such folder"),
        (["01_data", "-p", "profile", "paper"], "not scanned yet"),
    ],
)
def test_bad_input_ends_in_one_line_and_changes_nothing(finished, arguments, named):
    before = results(finished)
    done = run(finished, sys.executable, "notebooks/run.py", *arguments, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1
    assert len(errors) == 1
    assert named in errors[0]
    assert "Traceback" not in done.stderr
    assert results(finished) == before


def test_a_misspelt_parameter_stops_the_pipeline_with_its_name(finished):
    params = (finished / "params.yaml").read_text(encoding="utf-8")
    (finished / "params.yaml").write_text(params.replace("flat_std:", "flat_sdt:"), encoding="utf-8")
    done = run(finished, "dvc", "repro", check=False)
    (finished / "params.yaml").write_text(params, encoding="utf-8")
    assert done.returncode != 0
    assert "'data.flat_std' are missing from 'params.yaml'" in done.stderr
