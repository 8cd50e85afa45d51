"""The whole pipeline in the smoke profile, in a clone of the project: the real thing, shrunk by its parameters.

One run serves all: what it leaves, what bad input does to that, and what a kill -9 in the middle of a stage.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from clones import environment, repro, results, run, set_parameter, write_bytes
from PIL import Image
from tests.report.test_renamed import remove, renamed

pytestmark = pytest.mark.slow
posix = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL, and no inodes to see a folder replaced by")
PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
VARIANTS, SETS = [*PARAMS["variants"]], [*PARAMS["sets"]]
GIVEN = ["srgan", "residual", "recommended-psnr", "general", "psnr", "gan", "cctv", "fast"]
FOLDERS = {  # the folder among a stage's outputs
    "cut@curated-10k-64": "data/prepared/curated-10k-64",
    "train@srgan-5k-32-plain": "models/srgan-5k-32-plain",
    "evaluate": "reports/sr/srgan-5k-32-plain",
}


@pytest.fixture(scope="module")
def finished(clone) -> Path:
    """The clone after `dvc repro`: inputs, scans, data, sets, prepare, trainings, and the last four."""
    assert len(repro(clone)) == 1 + len(PARAMS["data"]["sources"]) + 1 + len(SETS) + 1 + len(VARIANTS) + 4
    return clone


def test_every_stage_leaves_its_notebook_and_a_page_of_it(finished):
    titles = {path.stem for path in (finished / "reports").glob("*.ipynb")}
    assert titles == {"01_data", "02_prepare", "03_train", "04_evaluate", "05_report", "07_cctv", "08_enhance"}
    assert all((finished / "models" / name / "03_train.ipynb").is_file() for name in VARIANTS)
    pages = {path.stem for path in (finished / "build" / "pages").iterdir()}
    assert pages >= titles | {f"03_train-{name}" for name in VARIANTS}
    assert "smoke profile" in (finished / "reports" / "05_report.ipynb").read_text(encoding="utf-8")


def test_every_run_has_its_measures_and_the_summary_names_them(finished):
    means = json.loads((finished / "reports" / "metrics.json").read_text(encoding="utf-8"))
    assert set(means) >= {*VARIANTS, *GIVEN}
    assert all({"psnr_y", "ssim_rgb", "perceptual", "shift_a", "delta_e"} <= set(row) for row in means.values())
    printed = run(finished, sys.executable, "-m", "srstudy.report.scores").stdout
    assert all(name in printed for name in ("bicubic", *VARIANTS))


def test_nothing_runs_twice_and_what_is_given_is_not_trained_anew(finished, root):
    assert repro(finished) == []
    committed = sorted(path for kind in ("pretrained", "released") for path in root.glob(f"models/{kind}/*/*.keras"))
    assert len(committed) == len(GIVEN)
    assert all((finished / path.relative_to(root)).read_bytes() == path.read_bytes() for path in committed)


def test_any_folder_of_images_can_be_the_test_set(finished, tmp_path):
    with Image.open(finished / "data" / "sample" / "photos" / "flower.jpg") as photo:
        photo.crop((0, 0, 101, 90)).save(tmp_path / "odd size.png")
        photo.crop((0, 0, 96, 96)).convert("L").save(tmp_path / "gray.png")
    before = {name: content for name, content in results(finished).items() if "test_sets" not in name}
    run(finished, sys.executable, "notebooks/run.py", "04_evaluate", "--name", "mine",
        "-p", "runs", "[recommended]", "-p", "test_set", str(tmp_path))  # fmt: skip
    (scores,) = (finished / "reports" / "test_sets").glob("*/scores/recommended.csv")
    assert {"odd size", "gray"} <= {line.split(",")[0] for line in scores.read_text(encoding="utf-8").splitlines()}
    others = {name: content for name, content in results(finished).items() if "test_sets" not in name}
    assert others.pop("reports/04_evaluate-mine.ipynb")
    assert others == before


def test_the_report_says_what_is_missing_and_gives_the_rest(finished):
    """Of runs and a selection that params.yaml lacks, names that it has changed, and a model that is not judged."""
    before, params = results(finished), (finished / "params.yaml").read_bytes()
    changed = renamed(renamed(yaml.safe_load(params), "mirflickr", "flickr"), "srgan", "theirs")
    remove(changed, "variants", "srgan-5k-64-plain")
    remove(changed, "selections", "biased")
    (finished / "params.yaml").write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    (finished / "reports" / "scores" / "gan.csv").unlink()
    run(finished, sys.executable, "notebooks/run.py", "05_report")
    report = (finished / "reports" / "05_report.ipynb").read_text(encoding="utf-8")
    (finished / "params.yaml").write_bytes(params)
    for name, content in before.items():
        write_bytes(finished / name, content)
    for run_name in ("srgan-5k-64-plain", "srgan-5k-32-biased"):
        assert f"{run_name} is not among the runs of profile smoke" in report
    assert "reports/scores/gan.csv is missing" in report
    assert "srgan-10k-64-plain beside bicubic" in report


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["03_train", "-p", "variant", "srgan-5k-32-plan"], "did you mean 'srgan-5k-32-plain'"),
        (["04_evaluate", "-p", "test_set", "nowhere"], "nowhere: no such folder"),
        (["01_data", "-p", "profile", "paper"], "not scanned yet"),
    ],
)
def test_bad_input_ends_in_one_line_and_changes_nothing(finished, arguments, named):
    before = results(finished)
    done = run(finished, sys.executable, "notebooks/run.py", *arguments, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert (done.returncode, len(errors)) == (1, 1)
    assert named in errors[0]
    assert "Traceback" not in done.stderr
    assert results(finished) == before


def test_a_misspelt_parameter_stops_the_pipeline_with_its_name(finished):
    params = (finished / "params.yaml").read_text(encoding="utf-8")
    (finished / "params.yaml").write_text(params.replace("flat_std:", "flat_sdt:"), encoding="utf-8")
    done = run(finished, "dvc", "repro", check=False)
    (finished / "params.yaml").write_text(params, encoding="utf-8")
    assert done.returncode != 0
    assert "error: data: the key 'flat_std' is missing. data: unknown key 'flat_sdt'" in " ".join(done.stderr.split())


def kill(clone: Path, stage: str, when: Callable[[], bool]) -> None:
    """Run a stage, and kill -9 it with all that it has started as soon as `when` holds."""
    assert not when(), "what an earlier kill left would set this one off at once"
    command = ["dvc", "repro", "--force", "--single-item", stage]
    with subprocess.Popen(
        command, cwd=clone, env=environment(clone), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as victim:
        holds = False
        while not holds:
            assert victim.poll() is None, f"{stage} ended before it could be killed"
            time.sleep(0.001)
            with suppress(FileNotFoundError):  # a folder went while it was looked at
                holds = when()
        dvc = psutil.Process(victim.pid)
        family = [dvc, *dvc.children(recursive=True)]  # not one process group: Jupyter gives kernels their own
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)


@posix
@pytest.mark.parametrize("stage", ["cut@curated-10k-64", "train@srgan-5k-32-plain"])
def test_a_stage_killed_while_it_writes_leaves_the_older_outputs_whole(finished, stage):
    before, output = results(finished), finished / FOLDERS[stage]
    kill(finished, stage, when=lambda: any(output.parent.glob(f".{output.name}.part/*")))
    assert results(finished) == before
    assert repro(finished) == []


@posix
@pytest.mark.parametrize(
    ("stage", "parameter", "value"),
    [
        ("train@srgan-5k-32-plain", ("variants", "srgan-5k-32-plain", "epochs"), 60),
        ("evaluate", ("evaluation", "statistics"), "moving"),
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


def test_a_profile_that_extends_another_one_trains_its_own_run_and_leaves_all_other_figures(finished, tmp_path):
    before, own = results(finished), tmp_path / "own"
    own.mkdir()
    with Image.open(finished / "data" / "sample" / "photos" / "coffee.jpg") as photo:
        for number in range(8):
            photo.rotate(90 * (number % 4), expand=True).crop((0, 0, 300, 300 + number)).save(own / f"{number}.png")
    source = {"title": "Own", "path": str(own), "images": "*.png", "native": "any", "licence": "mine"}
    set_parameter(finished, "data", "sources", "own", value=source)
    extended = {"extends": "smoke", "sources": ["sample", "own"]}
    extended["selections"] = {"mine": {"where": "data_source == 'own'"}}
    set_parameter(finished, "profiles", "mine", value=extended)
    set_parameter(finished, "data", "held_out", value=4)  # draws all splits
    set_parameter(finished, "profile", value="mine")
    tiles = {"selection": "mine", "images": "paper-5k", "lr_size": 32, "augment": False}
    set_parameter(finished, "sets", "own", value=tiles)
    set_parameter(finished, "variants", "own", value={"set": "own", "recipe": "recommended", "epochs": 20})
    assert [stage for stage in repro(finished) if stage.startswith("train@")] == ["train@own"]
    after = results(finished)
    assert "models/own/generator.keras" in after
    folders = "models/", "data/prepared/", "reports/sr/", "reports/scores/", "reports/history/"
    assert [name for name in before if name.startswith(folders) and after[name] != before[name]] == []
    ids = {line.split(",")[1] for line in (finished / "data/prepared/own.csv").read_text("utf-8").splitlines()[1:]}
    assert ids <= {f"own--{number}.png" for number in range(8)}
    run(finished, sys.executable, "notebooks/run.py", "04_evaluate", "--name", "own",
        "-p", "runs", "own", "-p", "shown", "own", "-p", "test_set", "own")  # fmt: skip
    (scores,) = (finished / "reports" / "test_sets").glob("own/scores/own.csv")
    judged = {line.split(",")[0] for line in scores.read_text("utf-8").splitlines()[1:]}
    assert judged
    assert judged.isdisjoint(ids)
    assert judged <= {f"own--{number}.png" for number in range(8)}
