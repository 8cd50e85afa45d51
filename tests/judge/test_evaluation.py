"""What is judged, and where the figures go."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from srstudy.config import load_study
from srstudy.errors import StudyError
from srstudy.judge.evaluation import methods_of, reports_folder, sample_images, validation_images
from srstudy.judge.evaluation import test_images as images_of  # pytest would take its own name for a test
from srstudy.networks.architectures import save_model
from srstudy.train.players import build_generator


def test_every_test_set_has_a_folder_of_its_own_apart_from_the_study_s(study):
    reports = study.root / "reports"
    folders = [reports_folder(study, name) for name in (None, "../sets/set5/hr", "../sets/set14/hr", "..", ".")]
    assert folders[0] == reports
    assert len(set(folders)) == 5
    assert all(folder.parent == reports / "test_sets" for folder in folders[1:])


def test_images_of_one_name_are_refused_rather_than_dropped(study, photo, save_image):
    save_image(photo, "set/a.png")
    folder = Path(save_image(photo, "set/a.bmp")).parent
    with pytest.raises(StudyError, match="another image called 'a'"):
        images_of(study, folder)


@pytest.mark.parametrize(("count", "named"), [(2, "01.jpg can't"), (12, "08.jpg, 09.jpg and 2 more can't")])
def test_all_images_of_a_test_set_that_can_t_be_read_are_named(study, photo, save_image, tmp_path, count, named):
    folder = save_image(photo, "set/good.png").parent
    for number in range(count):
        (folder / f"{number:02}.jpg").write_text("no image")
    place = re.escape(str(folder.resolve()))
    with pytest.raises(StudyError, match=f"^{place}: 00.jpg, .*{named} be read as images; remove"):
        images_of(study, tmp_path / "other" / ".." / "set")


def test_one_image_of_a_test_set_that_can_t_be_read_is_named_with_what_is_wrong(study, photo, save_image):
    folder = save_image(photo, "set/good.png").parent
    (folder / "a.jpg").write_text("no image")
    with pytest.raises(StudyError, match=r"a\.jpg: not an image that Pillow can read"):
        images_of(study, folder)


def test_all_images_of_a_test_set_that_are_too_small_are_named(study, photo, save_image):
    save_image(photo[:63, :80], "set/a.png")
    folder = save_image(photo[:80, :60], "set/b.png").parent
    with pytest.raises(StudyError, match=r"^a \(80x63\), b \(60x80\): too few pixels to judge; use at least 64 a side"):
        images_of(study, folder)


def test_of_one_image_as_a_test_set_the_folder_is_asked_for(study, photo, save_image):
    path = save_image(photo, "set/a.png")
    with pytest.raises(StudyError, match=r"a\.png: is a file; give the folder that holds the HR images, such as"):
        images_of(study, path)


def test_a_folder_that_is_not_there_is_named_without_detours(study):
    with pytest.raises(StudyError, match=f"^{re.escape(str(study.root.resolve() / 'nowhere'))}: no such folder"):
        images_of(study, "data/../nowhere")


def test_a_run_is_judged_beside_its_snapshot_and_a_warm_start_by_itself_under_both_readings(tiny_study):
    study = tiny_study.load()
    run = "5k-32-plain"
    generator = build_generator(study.recipe(run).generator)
    for path in (study.model_folder(run) / "generator.keras", study.model_folder(run) / "snapshot.keras"):
        save_model(generator, path)
    save_model(generator, study.model_folder("srgan") / "generator.keras")
    names = [run, f"{run} after 10 epochs"]
    assert list(methods_of(study, run)) == [x for name in names for x in (name, f"{name} (moving statistics)")]
    assert list(methods_of(study, "srgan")) == ["warm start srgan", "warm start srgan (moving statistics)"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("5k-32-plain", "dvc repro train@5k-32-plain"),
        ("srgan", "dvc repro pretrain@srgan"),
        ("recommended-gan", "python notebooks/run.py 03_train --name released-recommended-gan -p variant recom"),
    ],
)
def test_what_is_not_trained_yet_is_named_with_the_command_that_trains_it(tiny_study, name, command):
    with pytest.raises(StudyError, match=f"^{name}: not trained yet; run `{command}"):
        methods_of(tiny_study.load(), name)


def test_photographs_of_the_sample_are_its_splits_own_under_every_profile(root, sources):
    paper, smoke = (load_study(profile, root) for profile in ("paper", "smoke"))
    test = sample_images(paper, "test")
    assert set(test) == {Path(row["file"]).stem for row in sources if row["split"] == "test"}
    assert all(hr.shape[0] % 4 == hr.shape[1] % 4 == 0 and max(hr.shape) <= 256 for hr in test.values())
    assert list(validation_images(smoke)) == list(sample_images(paper, "validation"))[:4]
