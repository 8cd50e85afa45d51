"""A released model's card: every figure is that of a record, and a record that is missing is named."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import yaml

from srstudy.data.images import read_rgb
from srstudy.errors import StudyError
from srstudy.files import write_csv, write_json
from srstudy.networks.architectures import residual_generator, save_model
from srstudy.report.cards import card, write_card
from srstudy.train.records import _given

NAME, GAN = "recommended-psnr", "recommended-gan"
SCORES = {"psnr_y": (26.0, 29.004), "ssim_y": (0.7, 0.81236), "perceptual": (0.5, 0.31415), "delta_e": (4.0, 3.256)}


@pytest.fixture
def released(tiny_study, root):
    """A study with a tiny released model and its records."""
    for name in tiny_study.params["released"]:
        tiny_study.set(f"released.{name}.generator", {"kind": "residual", "filters": 4, "blocks": 1})
    study = tiny_study.load()
    (study.root / "data" / "sample").mkdir(parents=True)
    shutil.copy(root / "data" / "sample" / "SOURCES.csv", study.root / "data" / "sample")
    reports = study.root / "reports"
    judged = {"step": [500, 1000, 1500], "psnr_y": [28.875, None, 28.125], "perceptual": [0.35, None, 0.2468]}
    history = pd.DataFrame(judged)
    for name in (NAME, GAN):
        save_model(residual_generator(4, 1), study.model_folder(name) / "generator.keras")
        recipe = _given(asdict(study.recipe(name)))
        write_json(reports / "runs" / f"{name}.json", {"complete": True, "step": 1500, "steps": 1500, "recipe": recipe})
        write_csv(reports / "history" / f"{name}.csv", history)
        rates = pd.DataFrame({"step": [500, 1500], "images_per_second": [100.0, 20.0]})
        write_csv(reports / "rates" / f"{name}.csv", rates)
        write_scores(reports / "scores" / f"{name}.csv", name)
    return study


def write_scores(path, name: str) -> None:
    """Two photographs, 0.5 above and below the means in SCORES."""
    rows = [
        {"photo": photo, "method": method, **{key: values[at] + off for key, values in SCORES.items()}}
        for photo, off in (("a", 0.5), ("b", -0.5))
        for at, method in enumerate(("bicubic", name))
    ]
    write_csv(path, pd.DataFrame(rows))


def test_the_card_has_the_figures_of_the_records(released, root):
    text = write_card(released, NAME).read_text(encoding="utf-8")
    model = released.model_folder(NAME) / "generator.keras"
    weights = 9 * (3 * 4 + 2 * 4 * 4 + 4 * 4 + 4 * 48) + 4 * 4 + 48  # 3x3 kernels, and a bias for each filter
    assert f"{model.stat().st_size / 1e6:.2f} MB, {weights:,} parameters" in text
    assert "1,500 of 1,500 steps in 15 minutes; " in text  # 500 steps of 16 at 100 images/s, 1000 at 20
    assert "24,000 in all. On validation photographs it ended at 28.12 dB (PSNR-Y) and a VGG16-HED distance" in text
    assert "distance of 0.2468; its highest PSNR there was 28.88 dB, at step 500." in text
    assert "| test photographs (sample profile) | 2 | bicubic | 26.00 | 0.7000 | 0.5000 | 4.00 |" in text
    assert f"| test photographs (sample profile) | 2 | {NAME} | 29.00 | 0.8124 | 0.3142 | 3.26 |" in text
    assert "invents detail" in text


def test_the_card_counts_the_training_photographs_by_licence(released, root):
    with (root / "data" / "sample" / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
        licences = [row["licence"] for row in csv.DictReader(file) if row["split"] == "train"]
    text = write_card(released, NAME).read_text(encoding="utf-8")
    assert f"The {len(licences)} training photographs" in text
    for licence in set(licences):
        assert f"{licences.count(licence)} under {licence}" in text


def test_the_card_gives_the_recipe_that_was_trained(released):
    now = replace(released.released[GAN], learning_rate=1.0, degradation="cctv")
    edited = replace(released, released={**released.released, GAN: now})
    text = write_card(edited, GAN).read_text(encoding="utf-8")
    [block] = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    recipe = yaml.safe_load(block)
    assert recipe["generator"] == {
        "kind": "residual", "filters": 4, "blocks": 1, "momentum": 0.5, "upscaling": "pixel_shuffle"
    }  # fmt: skip
    then = released.released[GAN]
    assert (recipe["relativistic"], recipe["steps"], recipe["learning_rate"]) == (True, then.steps, then.learning_rate)
    assert f"from the weights of `{NAME}`" in text
    assert "clean photographs reduced by bicubic interpolation" in text


def test_the_card_gives_the_camera_and_the_network_that_took_part(released):
    path = released.root / "reports" / "runs" / f"{GAN}.json"
    run = json.loads(path.read_text(encoding="utf-8"))
    for text, content in ((card(released, GAN), True), (card(released, NAME), False)):  # the latter by pixels alone
        assert ("`hed-vgg16`, a VGG16 that others trained on ImageNet, then to find edges." in text) == content
        assert ("content loss that it was trained by, so it favours it" in text) == content
        assert ("content loss that others were trained by, so it favours those" in text) != content
        assert "a simulated camera" not in text
    run["recipe"] |= {"degradation": "cctv", "content": {"network": "vgg19", "weights": "mine.npz"}}
    write_json(path, {**run, "camera": {"jpeg": {"quality": [1, 2]}}})
    text = card(released, GAN)
    [block] = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    assert yaml.safe_load(block)["camera"] == {"jpeg": {"quality": [1, 2]}}
    assert "a simulated camera whose ranges were chosen to look like the clip there, cctv.avi." in text
    assert "`vgg19`, with the weights in mine.npz." in text
    assert "LR images as a simulated street camera makes them" in text


def test_the_card_says_where_the_machine_stood_still(released):
    assert "minutes; " in card(released, NAME)
    rates = pd.DataFrame({"step": [500, 1000, 1500], "images_per_second": [100.0, 1.0, 100.0]})
    write_csv(released.root / "reports" / "rates" / f"{NAME}.csv", rates)
    assert "steps in 4 minutes (a standstill of the machine counted at the median rate); " in card(released, NAME)


def test_a_run_without_a_validation_gets_no_card(released):
    write_csv(released.root / "reports" / "history" / f"{NAME}.csv", pd.DataFrame({"step": [9], "psnr_y": [None]}))
    with pytest.raises(StudyError, match=rf"reports/history/{NAME}\.csv: no validation in it; a card needs"):
        card(released, NAME)


def test_other_test_sets_are_on_the_card_where_it_was_judged_on_them(released):
    assert "set5" not in write_card(released, NAME).read_text(encoding="utf-8")
    write_scores(released.root / "reports" / "test_sets" / "set5-hr" / "scores" / f"{NAME}.csv", NAME)
    assert f"| set5-hr | 2 | {NAME} | 29.00 | 0.8124 |" in write_card(released, NAME).read_text(encoding="utf-8")


def test_figures_on_the_cameras_lr_are_on_the_card_of_those_that_were_judged_on_it(released):
    write_scores(released.root / "reports" / "footage" / "cctv.csv", NAME)
    assert f"| test photographs of data/sample, LR by `cctv` | 2 | {NAME} | 29.00 | 0.8124 |" in card(released, NAME)
    assert "LR by `cctv`" not in card(released, GAN)


def test_the_lines_under_use_enlarge_a_picture(released, save_image, monkeypatch):
    [lines] = re.findall(r"^```python\n(.*?)^```", card(released, NAME), re.DOTALL | re.MULTILINE)
    save_image(np.full((9, 7), 100, np.uint8), "small.jpg")
    monkeypatch.chdir(released.root)
    exec(lines, {})
    assert read_rgb("large.png").shape == (36, 28, 3)


def test_every_link_of_a_card_leads_into_the_project(released, root):
    for target in re.findall(r"\]\(([^)]+)\)", write_card(released, NAME).read_text(encoding="utf-8")):
        assert (root / "models" / "released" / NAME / target).resolve().exists(), target


@pytest.mark.parametrize("record", ["runs/{}.json", "rates/{}.csv", "history/{}.csv", "scores/{}.csv"])
def test_a_record_that_is_missing_is_named_with_the_way_out(released, record):
    path = released.root / "reports" / record.format(NAME)
    path.unlink()
    train = f"run.py 03_train --name released-{NAME} -p variant {NAME}"
    command = f"dvc repro evaluate-given@{NAME}" if record.startswith("scores") else train
    with pytest.raises(StudyError, match=f"{path.name}: missing.*{command}"):
        write_card(released, NAME)


def test_the_card_is_the_same_when_it_is_written_again(released):
    path = write_card(released, NAME)
    first = path.read_bytes()
    assert write_card(released, NAME).read_bytes() == first
    assert json.loads((released.root / "reports" / "runs" / f"{NAME}.json").read_text())["complete"]
