"""The session's notebook, in a folder laid out as Kaggle's: it stops on wrong cards, is cut at random, and goes on.

SRSTUDY_KAGGLE_PYTHON names another Python to run it by, such as one that has what Kaggle's image has.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image
from tests.kaggle.room import PLACES, Room
from tests.tiny import save_tiles

from srstudy.kaggle import pack
from srstudy.sets.tiles import Tiles
from srstudy.study import Study, load_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Kaggle's sessions are Linux"),
    pytest.mark.skipif(not os.environ.get("SRSTUDY_LONG"), reason="takes long: SRSTUDY_LONG=1 runs it"),
]
PYTHON = os.environ.get("SRSTUDY_KAGGLE_PYTHON") or sys.executable
RUNS = ["srgan-5k-32-plain", "recommended"]


class Sessions:
    """Rooms in which notebooks of one project run, and the data sets that these need."""

    def __init__(self, folder: Path, study: Study):
        self.folder, self.project = folder, study.root
        self.datasets = pack.write_datasets(study, RUNS, folder, "someone")

    def notebook(self, slug: str, hours: float) -> str:
        job = {"slug": slug, "commit": pack.commit_of(self.project), "inputs": {}, "earlier": [], "hours": hours}
        job |= {"cards": {"0,1": [], "0": RUNS[:1], "1": RUNS[1:]}, "datasets": self.datasets}
        return pack.write_notebook(self.project, self.folder / slug / "notebook", job, "someone").read_text("utf-8")

    def run(self, slug: str, hours: float, earlier: list[Room], places: list[str]) -> Room:
        room = Room(self.folder / slug / "kaggle")
        for name, place in zip(self.datasets, places):
            room.mount(place, name, self.folder / name)
        for number, one in enumerate(earlier):
            room.mount(places[number % 3], f"earlier-{number}", one.root / "working")
        done = room.run(self.notebook(slug, hours), PYTHON)
        assert done.returncode == 0, done.stderr[-3000:]
        return room


def copy(root: Path, folder: Path, *places: str) -> None:
    """Copy the code, and what git would track of some places."""
    command = ["git", "ls-files", "-z", "-c", "-o", "--exclude-standard", *pack.CODE, *places]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)


@pytest.fixture(scope="module")
def sessions(root, tmp_path_factory) -> Sessions:
    """A repository of what travels, under a smoke profile with longer runs on tiles of noise."""
    project = tmp_path_factory.mktemp("project")
    copy(root, project, "data/sample", "models/pretrained")
    (project / "src").rename(project / "code")
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["profile"], params["profiles"]["smoke"]["epoch_scale"] = "smoke", 0.5
    params["training"]["checkpoint_minutes"] = 0
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    study, noise = load_study("smoke", project), np.random.default_rng(1)
    for run in map(study.run, RUNS):
        count, side = study.images(run.tile_set), study.sets[run.tile_set].lr_size
        hr = noise.integers(0, 255, (count, 4 * side, 4 * side, 3), "uint8")
        save_tiles(project / "data" / "prepared" / run.tile_set, Tiles(hr, hr[:, ::4, ::4]))
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost"]
    (project / ".gitignore").write_text("data/prepared\nmodels\n")
    (project / "code").rename(project / "src")  # now: a study whose code is not what runs can't be loaded
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
        subprocess.run(["git", *author, *line], cwd=project, check=True)
    return Sessions(tmp_path_factory.mktemp("sessions"), study)


def results(rooms: list[Room]) -> dict[str, bytes]:
    """All that stages want of complete runs."""
    found = {}
    for room in rooms:
        done = [name for name, run in room.manifest["runs"].items() if run["complete"] and "earlier" not in run]
        for name in (name for name in room.manifest["files"] if any(f"/{run}" in name for run in done)):
            if "checkpoints" not in name:
                found[name] = (room.root / "working" / name).read_bytes()
    return found


def test_the_notebook_is_small_and_stops_on_what_was_not_asked_for(sessions, tmp_path):
    text = sessions.notebook("small", 1.0)
    assert len(text.encode()) < 1_000_000
    for number, cards in enumerate((["Tesla P100-PCIE-16GB"], ["Tesla T4"])):
        room = Room(tmp_path / str(number))
        room.cards(*cards)
        done = room.run(text, PYTHON)
        assert done.returncode != 0 and "This is not what was asked for" in done.stderr
        assert list((room.root / "working").iterdir()) == []
    room = Room(tmp_path / "old")
    done = room.run(text, PYTHON, tensorflow="2.1")
    assert done.returncode != 0 and "nothing was trained" in done.stderr


def test_data_that_are_not_mounted_are_named(sessions, tmp_path):
    done = (room := Room(tmp_path / "kaggle")).run(sessions.notebook("bare", 1.0), PYTHON)
    assert done.returncode != 0 and "base.pack: is not mounted; attach the data set srstudy-base-" in done.stderr
    printed = json.dumps(nbformat.read(room.root / "notebook.ipynb.out.ipynb", as_version=4))
    assert "cards: Tesla T4, Tesla T4 | driver: 550.1" in printed and "tensorflow 2." in printed


def test_cut_at_random_and_chained_it_ends_with_the_bytes_of_one_that_was_not(sessions):
    moment, places = random.Random(22), list(PLACES)
    whole, chain = sessions.run("whole", 1.0, [], places), []
    assert whole.manifest["state"] == "complete"
    while not chain or chain[-1].manifest["state"] == "budget":
        hours, places = moment.uniform(5, 40) / 3600 if len(chain) < 3 else 1.0, moment.sample(places, 3)
        chain.append(sessions.run(f"cut-{len(chain)}", hours, chain, places))
        print({name: run["step"] for name, run in chain[-1].manifest["runs"].items()})
    assert len(chain) > 2 and chain[-1].manifest["state"] == "complete"
    assert results(chain) == results([whole])
    assert {f"models/{name}/{file}" for name in RUNS for file in ("generator.keras", "03_train.ipynb")} <= {
        *results(chain)
    }
    with pytest.raises(AssertionError, match="is not as cut-0 left it"):
        for path in (chain[0].root / "working" / "models" / "checkpoints").rglob("*.data-*"):
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        sessions.run("spoilt", 1.0, chain[:1], places)


def test_try_it_uploaded_alone_says_what_to_attach_and_runs_once_it_is_there(root, tmp_path):
    """By a Python that has all packages but srstudy."""
    for name in ("image", "code", "pictures"):
        (tmp_path / name).mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "srstudy" not in path.name:
            (tmp_path / "image" / path.name).symlink_to(path)
    venv.create(tmp_path / "python", symlinks=True)
    (site,) = tmp_path.glob("python/lib/python3*/site-packages")
    (site / "image.pth").write_text(str(tmp_path / "image"))
    text, python = (root / "notebooks" / "00_try_it.ipynb").read_text("utf-8"), str(tmp_path / "python/bin/python")
    done = Room(tmp_path / "bare").run(text, python)
    assert done.returncode != 0 and "srstudy is missing: attach its wheel as a data set" in done.stderr
    copy(root, tmp_path / "code", "models/released", "web")
    options = "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path / "wheels"
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, tmp_path / "code"], check=True)
    Image.new("RGB", (40, 30)).save(tmp_path / "pictures" / "mine.png")
    room = Room(tmp_path / "kaggle")
    for place in ("wheels", "pictures"):
        room.mount("datasets", place, tmp_path / place)
    mine = str(room.root / "input" / "datasets" / "someone" / "pictures" / "mine.png")
    done = room.run(text, python, model="fast", mine=mine)
    assert done.returncode == 0, done.stderr[-3000:]
    with Image.open(room.root / "working" / "mine-x4.png") as picture:
        assert picture.size == (160, 120)
