"""A released model's card: every figure is that of a record, and a record that is missing is named."""

import hashlib
import json
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from srstudy import StudyError
from srstudy.enhance.command import main
from srstudy.files import write_csv, write_json
from srstudy.judge.evaluate import read_scores
from srstudy.networks.architectures import residual_generator, save_model
from srstudy.photos.images import read_rgb
from srstudy.report import cards

NAME, GAN = "recommended-psnr", "gan"
SCORES = {"psnr_y": (26.0, 29.004), "ssim_y": (0.7, 0.81236), "perceptual": (0.5, 0.31415), "delta_e": (4.0, 3.256)}


@pytest.fixture
def released(tiny_study, root):
    """A study with tiny released models and their records."""
    study = tiny_study.load()
    for listed in ("sample/SOURCES.csv", "five/PHOTOGRAPHS.csv"):
        (study.root / "data" / listed).parent.mkdir(parents=True)
        shutil.copy(root / "data" / listed, study.root / "data" / listed)
    reports = study.root / "reports"
    history = pd.DataFrame({
        "step": [500, 1000, 1500], "psnr_y": [28.875, None, 28.125], "perceptual": [0.35, None, 0.2468]
    })  # fmt: skip
    for name in (NAME, GAN):
        save_model(residual_generator(4, 1), study.run(name).folder / "generator.keras")
        recipe = study.run(name).recipe.model_dump(mode="json", exclude_none=True)
        record = {"complete": True, "step": 1500, "steps": 1500, "minutes": 15.3, "recipe": recipe}
        write_json(reports / "runs" / f"{name}.json", record)
        write_csv(reports / "history" / f"{name}.csv", history)
        write_scores(reports, name)
        rows = [("MATLAB, bicubic", 26.0, 0.5, 29.0, 0.3), ("bicubic, JPEG 30", 24.0, 0.7, 23.5, 0.8)]
        columns = ["way", "psnr_y", "perceptual"]
        parts = [pd.DataFrame(rows)[[0, at, at + 1]].set_axis(columns, axis=1) for at in (1, 3)]
        both = [part.assign(run=run) for part, run in zip(parts, ("bicubic", name))]
        digest = hashlib.sha256(study.run(name).generator.read_bytes()).hexdigest()
        write_csv(reports / "ways" / f"{name}.csv", pd.concat(both).assign(model=digest))
    return study


def write_scores(reports, name: str) -> None:
    """Two photographs, 0.5 above and below the means in SCORES."""
    for at, run in enumerate(("bicubic", name)):
        rows = pd.DataFrame({key: [values[at] + 0.5, values[at] - 0.5] for key, values in SCORES.items()})
        keys = pd.DataFrame({"photo": ["a", "b"], "run": run, "snapshot": "", "statistics": ""})
        write_csv(reports / "scores" / f"{run}.csv", keys.join(rows))


def card(study, name: str) -> str:
    """The card of a released model."""
    return cards.card(study, study.run(name))


def test_the_card_has_the_figures_of_the_records(released, sources):
    text, model = card(released, NAME), released.run(NAME).generator
    weights = 9 * (3 * 4 + 2 * 4 * 4 + 4 * 4 + 4 * 48) + 4 * 4 + 48  # 3x3 kernels, and a bias for each filter
    assert f"{model.stat().st_size / 1e6:.2f} MB, {weights:,} parameters" in text
    said = " ".join(text.split())
    assert "1,500 of 1,500 steps in 15 minutes; 24,000 images in all." in said
    assert (
        "it ended at 28.12 dB (PSNR-Y) and a VGG16-HED distance of 0.2468; its highest PSNR there was 28.88 dB" in said
    )
    assert "at step 500." in said
    assert "| test photographs (sample profile) | 2 | bicubic | 26.00 | 0.7000 | 0.5000 | 4.00 |" in text
    assert f"| test photographs (sample profile) | 2 | {NAME} | 29.00 | 0.8124 | 0.3142 | 3.26 |" in text
    assert "| MATLAB, bicubic | 26.00 | 29.00 | 0.5000 | 0.3000 | better |" in text
    assert "| bicubic, JPEG 30 | 24.00 | 23.50 | 0.7000 | 0.8000 | worse by PSNR and distance |" in text
    assert "invents detail" in text
    licences = [row["licence"] for row in sources if row["split"] == "train"]
    assert f"The {len(licences)} training photographs" in text
    assert all(f"{licences.count(licence)} under {licence}" in text for licence in licences)


def test_the_card_names_the_photographs_of_each_source_with_their_terms(released):
    path = released.root / "reports" / "runs" / f"{NAME}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["recipe"] |= {"photographs": ["sample", "street"], "degradation": "general"}
    write_json(path, record)
    text = " ".join(card(released, NAME).split())
    assert "120 training photographs of `street`" in text
    assert "(../../../data/five/PHOTOGRAPHS.csv), none of them published here. None stated by their" in text
    assert "half of it stored as JPEG or WebP" in text


def test_a_table_of_ways_of_another_model_is_refused(released):
    save_model(residual_generator(4, 2), released.run(NAME).folder / "generator.keras")
    with pytest.raises(StudyError, match=rf"ways/{NAME}\.csv: of another model; run `python -m .*ways {NAME}`"):
        card(released, NAME)


def test_the_card_gives_the_recipe_camera_and_network_that_took_part(released):
    text = card(released, GAN)
    assert "on top of `psnr`" in text
    assert "`hed-vgg16`, a VGG16 that others trained on ImageNet, then to find edges." in text
    assert "that this model was trained by" in text
    assert "simulated street camera whose" not in text
    pixels_alone = card(released, NAME)
    assert "hed-vgg16`" not in pixels_alone.partition("```yaml")[0]
    assert "that `gan` was trained by" in pixels_alone

    path = released.root / "reports" / "runs" / f"{GAN}.json"
    run = json.loads(path.read_text(encoding="utf-8"))
    run["recipe"] |= {
        "learning_rate": 0.5,
        "degradation": "cctv",
        "content": {"network": "vgg19", "weights": "mine.npz"},
    }
    write_json(path, {**run, "camera": {"jpeg": {"quality": [1, 2]}}})  # whatever params.yaml says by now
    text = card(released, GAN)
    [block] = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    recipe = yaml.safe_load(block)
    assert (recipe["learning_rate"], recipe["camera"]) == (0.5, {"jpeg": {"quality": [1, 2]}})
    assert "simulated street camera whose ranges were chosen to look like the clip" in text
    assert "`vgg19`, with the weights in mine.npz." in text


def test_a_run_without_a_validation_gets_no_card(released):
    write_csv(released.root / "reports" / "history" / f"{NAME}.csv", pd.DataFrame({"step": [9], "psnr_y": [None]}))
    with pytest.raises(StudyError, match=rf"reports/history/{NAME}\.csv: no validation in it; a card needs"):
        card(released, NAME)


def test_other_test_sets_and_the_cameras_lr_are_on_the_card_of_those_that_were_judged_on_them(released):
    assert "set5" not in card(released, NAME)
    reports = released.root / "reports"
    write_scores(reports / "test_sets" / "set5-hr", NAME)
    both = [read_scores(reports / "scores" / f"{run}.csv") for run in ("bicubic", NAME)]
    write_csv(reports / "footage" / "cctv.csv", pd.concat(both))
    for label in ("set5-hr", "test photographs of data/sample, LR by `cctv`"):
        assert f"| {label} | 2 | {NAME} | 29.00 | 0.8124 |" in card(released, NAME)
        assert label not in card(released, GAN)


def test_the_lines_under_use_enlarge_a_picture(released, save_image, monkeypatch):
    [line] = re.findall(r"^```bash\nsrstudy (.*?)^```", card(released, GAN), re.DOTALL | re.MULTILINE)
    save_image(np.full((9, 7), 100, np.uint8), "small.jpg")
    monkeypatch.chdir(released.root)
    assert main(shlex.split(line, comments=True)) == 0
    assert read_rgb("large.png").shape == (36, 28, 3)


def test_every_link_of_a_card_leads_into_the_project(released, root):
    for target in re.findall(r"\]\(([^)]+)\)", card(released, NAME)):
        assert (root / "models" / "released" / NAME / target).resolve().exists(), target


@pytest.mark.parametrize("record", ["runs/{}.json", "history/{}.csv", "scores/{}.csv", "ways/{}.csv"])
def test_a_record_that_is_missing_is_named_with_the_way_out(released, record):
    path = released.root / "reports" / record.format(NAME)
    path.unlink()
    commands = {"scores": "dvc repro evaluate", "ways": f"python -m srstudy.judge.ways {NAME}"}
    command = commands.get(record.partition("/")[0], released.run(NAME).how_to_train)
    with pytest.raises(StudyError, match=f"{path.name}: missing.*{re.escape(command)}"):
        card(released, NAME)
