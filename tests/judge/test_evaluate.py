"""What is judged, by which methods, and when it is judged again."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale, upscale
from srstudy.files import write_json
from srstudy.judge import evaluate as evaluate_module
from srstudy.judge.evaluate import KEYS, evaluate, judge_runs, methods_of, read_scores, reports_folder, sample_images
from srstudy.judge.evaluate import test_images as images_of  # pytest would take its own name for a test
from srstudy.judge.metrics import MEASURES, lr_psnr
from srstudy.networks.architectures import load_model, residual_generator, save_model, srgan_generator
from srstudy.networks.enhance import Enhancer
from srstudy.photos.images import read_rgb
from srstudy.study import load_study

RUN, RELEASED = "srgan-5k-32-plain", "recommended-psnr"


@pytest.fixture
def images(photo) -> dict[str, np.ndarray]:
    return {"left": photo[:64, :64], "right": photo[:72, 100:164]}


@pytest.fixture
def trained(tiny_study):
    """A study with a tiny generator of the paper's kind, its snapshot, and a released model without batch norm."""
    study = tiny_study.load()
    generator = srgan_generator(4, 1)
    save_model(generator, study.run(RUN).folder / "generator.keras")
    generator.set_weights([weight + 0.01 for weight in generator.get_weights()])
    save_model(generator, study.run(RUN).folder / "snapshot.keras")
    save_model(residual_generator(4, 1), study.run(RELEASED).folder / "generator.keras")
    return study


def test_every_test_set_has_a_folder_of_its_own_apart_from_the_study_s(tiny_study):
    study = tiny_study.load()
    reports = study.root / "reports"
    (reports / "test_sets" / "set5-hr").mkdir(parents=True)  # as it is committed
    names = (None, "../sets/set5/hr", "../other/set5/hr", "../sets/set14/hr", "..", ".", 2024)
    folders = [reports_folder(study, name) for name in names]
    assert folders[:2] == [reports, reports / "test_sets" / "set5-hr"]
    assert len(set(folders)) == 7
    assert all(folder.parent == reports / "test_sets" for folder in folders[1:])
    assert [reports_folder(study, name) for name in names[::-1]] == folders[::-1]


def test_what_can_t_be_judged_in_a_test_set_is_named_and_the_rest_is_judged(study, photo, save_image):
    folder = save_image(photo[:67, :70], "set/a.png").parent
    save_image(photo[:63, :80], "set/small.png")
    (folder / "broken.jpg").write_text("no image")
    images = images_of(study, folder)
    assert {name: image.shape for name, image in images.items()} == {"a": (64, 68, 3)}  # multiples of 4
    broken, small = images.left_out
    assert "broken.jpg: not an image that Pillow can read" in broken
    assert "small.png: 80x63 are too few pixels; use at least 64 a side." in small


def test_test_images_are_read_when_they_are_asked_for(study, photo, save_image):
    images = images_of(study, save_image(photo, "set/a.png").parent)
    save_image(photo[:80], "set/a.png")
    assert images["a"].shape == (80, 512, 3)


def test_of_a_large_image_the_centre_is_judged(study, save_image, monkeypatch):
    rows = np.arange(200, dtype=np.uint8)[:, None, None] + np.zeros((200, 90, 3), np.uint8)
    monkeypatch.setattr(evaluate_module, "LARGEST", 100)
    [image] = images_of(study, save_image(rows, "large/a.png").parent).values()
    np.testing.assert_array_equal(image, rows[50:150, :88])


LARGE = """
import numpy as np
from srstudy import runtime
runtime.start(1)
from srstudy.judge.evaluate import Method, evaluate
from srstudy.networks.architectures import srgan_generator
from srstudy.networks.enhance import Enhancer
random = np.random.default_rng(0)
image = np.kron(random.integers(0, 256, (339, 510, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
evaluate({"large": image}, [Method("run", "", "image", Enhancer(srgan_generator(32, 1), "image"))])
# Not getrusage's ru_maxrss, which begins with that of the process that started this one.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(peak)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts a process's memory in KiB")
def test_an_image_of_2040x1356_is_judged_in_two_gigabytes(root):
    done = subprocess.run([sys.executable, "-c", LARGE], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 2e9 / 1024


def test_a_lost_snapshot_is_an_error_and_none_of_a_run_that_ended_before(trained):
    run = trained.run(RUN)
    (run.folder / "snapshot.keras").unlink()
    record, lost = trained.root / "reports" / "runs" / f"{RUN}.json", "its snapshot after 10 epochs is lost"
    for step in (None, run.snapshot_step):
        if step:
            write_json(record, {"step": step})
        with pytest.raises(StudyError, match=rf"{RUN}: {lost}; .* `dvc repro train@{RUN}`"):
            methods_of(trained, run)
    write_json(record, {"step": run.snapshot_step - 1})
    assert {method.snapshot for method in methods_of(trained, run)} == {""}


def test_a_folder_that_is_not_there_is_named_without_detours(study):
    with pytest.raises(StudyError, match=f"^{re.escape(str(study.root.resolve() / 'nowhere'))}: no such folder"):
        images_of(study, "data/../nowhere")


def test_photographs_of_the_sample_are_its_splits_own_under_every_profile(root, sources):
    test = sample_images(load_study("paper", root), "test")
    assert set(test) == {Path(row["file"]).stem for row in sources if row["split"] == "test"}
    assert all(hr.shape[0] % 4 == hr.shape[1] % 4 == 0 and max(hr.shape) <= 256 for hr in test.values())
    validation = sample_images(load_study("smoke", root), "validation", 4)
    assert list(validation) == list(sample_images(load_study("paper", root), "validation"))[:4]


def test_a_run_is_judged_beside_its_snapshot_under_both_readings_of_batch_norm(trained):
    found = [(method.snapshot, method.statistics) for method in methods_of(trained, trained.run(RUN))]
    assert found == [("", "image"), ("", "moving"), ("10", "image"), ("10", "moving")]
    [method] = methods_of(trained, trained.run(RELEASED))
    assert (method.run, method.snapshot, method.statistics) == (RELEASED, "", "")


def test_generators_that_share_a_network_enlarge_as_each_does_alone(trained, images):
    methods, lr = methods_of(trained, trained.run(RUN)), downscale(images["left"])
    paths = [trained.run(RUN).folder / f"{name}.keras" for name in ("generator", "snapshot")]
    alone = [Enhancer(load_model(path), kind)(lr) for path in paths for kind in ("image", "moving")]
    for _ in range(2):  # whatever the network did before
        for method, expected in zip(methods, alone):
            np.testing.assert_array_equal(method.enhance(lr), expected)
    assert len({sr.tobytes() for sr in alone}) > 1


def test_bicubic_and_every_method_have_a_row_for_each_image(trained, images, tmp_path):
    methods = methods_of(trained, trained.run(RUN))
    scores = evaluate(images, methods, keep=tmp_path)
    assert list(scores) == [*KEYS, *MEASURES]
    assert list(scores.photo) == ["left"] * 5 + ["right"] * 5
    assert list(scores.run[:5]) == ["bicubic", *[RUN] * 4]
    assert scores[list(MEASURES)].notna().all(axis=None)
    expected = lr_psnr(downscale(images["left"]), upscale(downscale(images["left"])))
    assert scores.lr_psnr[0] == expected < 100
    for name, hr in images.items():
        np.testing.assert_array_equal(read_rgb(tmp_path / RUN / f"{name}.png"), methods[0].enhance(downscale(hr)))
    assert not (tmp_path / "bicubic").exists()


def test_a_run_is_judged_again_only_if_something_has_changed(trained, images, monkeypatch):
    reports, runs = trained.root / "reports", [trained.run(RUN), trained.run(RELEASED)]

    def judged(**options) -> set[str]:
        """The runs that were judged anew, and not read."""
        before = {run.name: stamp(run) for run in runs}
        judge_runs(trained, runs, images, reports, **options)
        return {run.name for run in runs if stamp(run) != before[run.name]}

    def stamp(run):
        mark = reports / "sr" / run.name / "judged.txt"
        return mark.stat().st_mtime_ns if mark.is_file() else None

    assert judged() == {RUN, RELEASED}
    assert judged() == set()
    assert judged(again=True) == {RUN, RELEASED}
    save_model(residual_generator(4, 1), trained.run(RELEASED).folder / "generator.keras")  # other random weights
    assert judged() == {RELEASED}
    (reports / "sr" / RUN / "left.png").unlink()
    assert judged() == {RUN}
    (reports / "scores" / f"{RELEASED}.csv").write_text("photo,run\n")
    assert judged() == {RELEASED}
    images["right"] = images["right"][:, ::-1]
    assert judged() == {RUN, RELEASED}
    monkeypatch.setattr(evaluate_module, "code_fingerprint", lambda *names: "of another code")
    assert judged() == {RUN, RELEASED}


def test_large_images_have_the_figures_of_small_ones(trained, images, monkeypatch):
    """Measured one after the other, with one SR image in memory; only roundings of convolutions may differ."""
    methods = methods_of(trained, trained.run(RUN))
    small = evaluate(images, methods)
    monkeypatch.setattr(evaluate_module, "LARGE", 0)
    monkeypatch.setattr(evaluate_module, "SRS", 0)
    pd.testing.assert_frame_equal(evaluate(images, methods), small, rtol=1e-4, atol=1e-6)


def test_what_is_judged_leaves_scores_means_and_sr_images(trained, images):
    reports = trained.root / "reports"
    scores = judge_runs(trained, [trained.run(RUN)], images, reports)
    assert scores.equals(read_scores(*(reports / "scores" / f"{name}.csv" for name in ("bicubic", RUN))))
    assert set(scores.statistics[scores.run == RUN]) == {"image", "moving"}
    assert {path.name for path in (reports / "sr" / RUN).iterdir()} == {"left.png", "right.png", "judged.txt"}
    judge_runs(trained, [trained.run(RELEASED)], images, reports)
    means = json.loads((reports / "metrics.json").read_text(encoding="utf-8"))
    assert set(means) == {"bicubic", RUN, RELEASED}
    own = scores[(scores.run == RUN) & (scores.snapshot == "") & (scores.statistics == "image")]
    assert means[RUN]["psnr_y"] == pytest.approx(own.psnr_y.mean(), abs=1e-6)
