"""The whole pipeline in the smoke profile, in a clone of the project: the real thing, shrunk by its parameters."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

VARIANTS = 11
STAGES = 2 + 2 * VARIANTS + 1  # data, prepare, train and evaluate each variant, report
OUTPUTS = ("data/manifest.csv", "data/prepared/**/*", "models/**/*", "reports/**/*")  # of all stages
FOLDERS = {  # the folder among a stage's outputs
    "prepare": "data/prepared",
    "train@5k-32-plain": "models/5k-32-plain",
    "evaluate@5k-32-plain": "reports/sr/5k-32-plain",
    "report": "reports/figures",
}
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL, and no inodes to see a folder replaced by")


def environment(clone: Path) -> dict[str, str]:
    """The variables under which the clone's own code runs."""
    return os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(clone / "src"),
        "DVC_NO_ANALYTICS": "1",
    }


def run(clone: Path, *command: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(command, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def repro(clone: Path, *options: str) -> list[str]:
    """Run `dvc repro`; return the stages that ran."""
    out = run(clone, "dvc", "repro", *options).stdout
    return [line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")]


def set_parameter(clone: Path, *keys: str, value: object) -> None:
    params = yaml.safe_load((clone / "params.yaml").read_text(encoding="utf-8"))
    place = params
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def results(clone: Path) -> dict[str, bytes]:
    """Everything that must be equal in equal runs, by name: all that stages leave but the wall times."""
    files = (path.relative_to(clone) for pattern in OUTPUTS for path in clone.glob(pattern) if path.is_file())
    # Hidden are DVC's own files, and what a killed stage leaves of a write; checkpoints, too, are left by killed ones.
    shown = (path for path in files if not any(part.startswith((".", "checkpoints")) for part in path.parts))
    return {path.as_posix(): (clone / path).read_bytes() for path in shown if not path.name.startswith("timings")}


def kill(clone: Path, stage: str, when: Callable[[], bool]) -> None:
    """Run a stage, and kill -9 it with all that it has started as soon as `when` holds."""
    assert not when(), "what an earlier kill left would set this one off at once"
    command = ["dvc", "repro", "--force", "--single-item", stage]
    with subprocess.Popen(
        command, cwd=clone, env=environment(clone), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as victim:
        seen = False
        while not seen:
            assert victim.poll() is None, f"{stage} ended before it could be killed"
            time.sleep(0.001)
            with suppress(FileNotFoundError):  # a folder went while it was looked at
                seen = when()
        dvc = psutil.Process(victim.pid)
        family = [dvc, *dvc.children(recursive=True)]  # not one process group: Jupyter gives kernels their own
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory) -> Path:
    """A copy of what git tracks, as a repository of its own, with the smoke profile and no results."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    # The committed reports stay behind: DVC removes no output before its stage runs, so they would pass for new ones.
    for name in (name for name in listed.split("\0") if name and not name.startswith("reports/")):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    assert set(results(folder)) == {f"models/pretrained/{name}/generator.keras" for name in ("srgan", "residual")}
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    set_parameter(folder, "profile", value="smoke")
    return folder


@pytest.fixture(scope="module")
def finished(clone) -> Path:
    """The clone after `dvc repro`."""
    due = run(clone, "dvc", "status", "pretrain").stdout
    assert "up to date" in due, f"hours of training would follow:\n{due}"
    assert len(repro(clone)) == STAGES
    return clone


def test_every_stage_leaves_its_report(finished):
    reports = finished / "reports"
    names = {path.relative_to(reports).with_suffix("").as_posix() for path in reports.rglob("*.html")}
    variants = yaml.safe_load((finished / "params.yaml").read_text(encoding="utf-8"))["variants"]
    each = {f"{stage}/{name}" for stage in ("03_train", "04_evaluate") for name in variants}
    assert names == {"01_data", "02_prepare", "05_report"} | each
    assert "smoke profile" in (finished / "reports" / "05_report.ipynb").read_text(encoding="utf-8")


def test_every_variant_has_its_measures(finished):
    files = list((finished / "reports" / "metrics").glob("*.json"))
    assert len(files) == VARIANTS
    for path in files:
        measures = json.loads(path.read_text(encoding="utf-8"))
        assert {"psnr_y", "ssim_rgb", "perceptual", "shift_a", "delta_e"} <= set(measures)


def test_nothing_runs_twice(finished):
    assert repro(finished) == []


def test_the_warm_starts_are_not_trained_anew(finished, root):
    committed = sorted((root / "models" / "pretrained").glob("*/generator.keras"))
    assert len(committed) == 2
    for path in committed:
        assert (finished / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_one_variants_epochs_touch_that_variant_and_the_report_alone(finished):
    set_parameter(finished, "variants", "5k-32-biased", "epochs", value=40)
    assert repro(finished) == ["train@5k-32-biased", "evaluate@5k-32-biased", "report"]


@UNIX
@pytest.mark.parametrize("stage", ["prepare", "train@5k-32-plain", "evaluate@5k-32-plain"])
def test_a_stage_killed_while_it_writes_leaves_the_older_outputs_whole(finished, stage):
    before, output = results(finished), finished / FOLDERS[stage]
    kill(finished, stage, when=lambda: any(output.parent.glob(f".{output.name}.part/*")))
    assert results(finished) == before
    assert repro(finished) == []


@UNIX
@pytest.mark.parametrize(
    ("stage", "parameter", "value"),
    [
        ("train@5k-32-plain", ("variants", "5k-32-plain", "epochs"), 60),
        ("evaluate@5k-32-plain", ("evaluation", "statistics"), "moving"),
    ],
)
def test_a_stage_killed_between_two_outputs_runs_again_and_equal_runs_give_equal_bytes(
    finished, stage, parameter, value
):
    """Of the killed run's outputs, made with another parameter, the first is new; the reports are still the older."""
    before, output = results(finished), finished / FOLDERS[stage]
    params, inode = (finished / "params.yaml").read_text(encoding="utf-8"), output.stat().st_ino
    set_parameter(finished, *parameter, value=value)
    kill(finished, stage, when=lambda: output.is_dir() and output.stat().st_ino != inode)
    (finished / "params.yaml").write_text(params, encoding="utf-8")
    assert results(finished) != before
    assert repro(finished) == [stage]
    after = results(finished)
    assert sorted(before) == sorted(after)
    assert [name for name in before if before[name] != after[name]] == []


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
        (["01_data", "-p", "profile", "paper"], "not downloaded yet"),
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
    set_parameter(finished, "data", "flat_sdt", value=3)
    done = run(finished, "dvc", "repro", check=False)
    (finished / "params.yaml").write_text(params, encoding="utf-8")
    assert done.returncode != 0
    assert "unknown key 'flat_sdt', did you mean 'flat_std'?" in done.stderr
