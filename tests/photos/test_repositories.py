"""Photographs come out of Git repositories, made here by git itself: whole, as listed, or not at all."""

import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from srstudy import StudyError
from srstudy.parsing import merge
from srstudy.photos.manifest import make_manifest, usable
from srstudy.photos.scan import scan_source
from srstudy.photos.sources import SPLITS, listed_files, locate

PHOTOS = sorted((Path(__file__).parents[2] / "data" / "sample" / "photos").glob("*.jpg"))
SERVE = {
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "user.name": "A",
    "user.email": "a@b",
}


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def repository(folder: Path, photos: dict[str, Path]) -> tuple[str, str]:
    """A repository of photographs, and one more file that is lost: whoever asks for that fails. Its URL and commit."""
    for name, photo in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, folder / name)
    (folder / "other.jpg").write_bytes(b"other")
    git(folder, "init", "--quiet")
    for key, value in SERVE.items():
        git(folder, "config", key, value)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=photographs")
    lost = git(folder, "rev-parse", "HEAD:other.jpg")
    (folder / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    return folder.as_uri(), git(folder, "rev-parse", "HEAD")


@pytest.fixture
def listing(tiny_study, tmp_path) -> pd.DataFrame:
    """A source `album` of six photographs from two repositories, listed with splits; the study's only source."""
    rows = []
    for number in (0, 3):
        photos = {f"a/b {one}.jpg": PHOTOS[one] for one in range(number, number + 3)}
        url, commit = repository(tmp_path / f"repository{number}", photos)
        for (path, photo), split in zip(photos.items(), SPLITS):
            digest = hashlib.sha256(photo.read_bytes()).hexdigest()
            rows.append(["album", photo.name, split, digest, url, commit, path])
    tiny_study.set("data.sources.album", {"title": "A", "licence": "CC0", "images": "*", "native": "any"})
    tiny_study.set("data.sources.album.listed", "list.csv")
    tiny_study.set("profiles.sample.sources", ["album"])
    return pd.DataFrame(rows, columns=["source", "file", "split", "sha256", "repository", "commit", "path"])


def fetched(tiny_study, listing: pd.DataFrame | None = None) -> Path:
    if listing is not None:
        listing.to_csv(tiny_study.root / "list.csv", index=False)
    return locate(tiny_study.load(), "album")


def left(root: Path) -> list[str]:
    """What a run that failed leaves, but for the lock."""
    return [path.name for path in (root / "data" / "raw").glob("git/*") if path.suffix != ".lock"]


def test_listed_photographs_of_two_repositories_are_fetched_once_and_nothing_else(tiny_study, listing):
    folder = fetched(tiny_study, listing)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {p.name: p.read_bytes() for p in PHOTOS[:6]}
    for number in (0, 3):
        shutil.rmtree(tiny_study.root / f"repository{number}")
    assert fetched(tiny_study) == folder
    study = tiny_study.load()
    (folder / "new.jpg").write_bytes(PHOTOS[7].read_bytes())
    scan_source("album", folder, "*", study.data.scan, study.root / "data/scans/album.parquet", study.root)
    manifest = make_manifest(study)
    assert {split: len(usable(manifest, split)) for split in SPLITS} == dict.fromkeys(SPLITS, 2)
    assert manifest.excluded[manifest.member == "new.jpg"].item() == "not listed: list.csv"


def test_a_pattern_at_a_commit_serves_and_a_name_on_github_too(tiny_study, root, tmp_path, monkeypatch):
    (text,) = re.findall(r"```yaml\n(.*?)```", (root / "docs" / "paper-data.md").read_text("utf-8"), re.DOTALL)
    lines = yaml.safe_load(text)
    ((name, source),) = lines["data"]["sources"].items()
    url, commit = repository(
        tmp_path / "repository", {"data/a.JPG": PHOTOS[0], "data/b/c.jpg": PHOTOS[1], "d": PHOTOS[2]}
    )
    (tmp_path / "config").write_text(f'[url "{url}"]\n insteadOf = https://github.com/{source["git"]}\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    tiny_study.params = merge(tiny_study.params, lines)
    tiny_study.set(f"data.sources.{name}.commit", commit)
    folder = locate(tiny_study.load(), name)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {"data/a.JPG", "data/b/c.jpg"}


@pytest.mark.parametrize("place", ["data/raw/album", "own"])
def test_a_folder_of_ones_own_goes_first_and_is_compared_with_the_list(tiny_study, listing, place):
    own = tiny_study.root / place
    own.mkdir(parents=True)
    for photo in PHOTOS[:6]:
        shutil.copy(photo, own)
    if place == "own":
        tiny_study.set("data.sources.album.path", place)
    assert fetched(tiny_study, listing) == own
    (own / PHOTOS[4].name).write_bytes(b"changed")
    with pytest.raises(StudyError, match=rf"album: '{PHOTOS[4].name}' in \S+ has other bytes than are listed"):
        fetched(tiny_study)
    (own / PHOTOS[4].name).unlink()
    with pytest.raises(StudyError, match=rf"album: '{PHOTOS[4].name}' in \S+ is missing"):
        fetched(tiny_study)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("PATH", "", r"there is no git to fetch it; install git, or set `path` to a copy"),
        ("repository", "file:///nowhere/repository", r"nowhere/repository at \w+: not fetched \(fatal: .*repository"),
        ("commit", "0" * 39 + "1", r"repository3 at 0+1: not fetched \(fatal: .*not our ref 0+1\); check repository"),
        ("commit", "main", r"^list\.csv: of source album, '\S+' is there twice, or its name, split or commit"),
        ("split", "tset", r"^list\.csv: of source album, '\S+' is there twice, or its name, split"),
        ("file", "../a.jpg", r"^list\.csv: of source album, '\.\./a\.jpg'"),
        ("path", "a/gone.jpg", r"repository3: 'a/gone\.jpg' is not in commit \w{40}; correct"),
        ("sha256", "0" * 64, rf"^data\.sources\.album: '{PHOTOS[5].name}' in \S+ has other bytes than are listed"),
    ],
)
def test_what_cannot_be_fetched_is_named_and_leaves_nothing(tiny_study, listing, monkeypatch, column, value, said):
    if column == "PATH":
        monkeypatch.setenv("PATH", value)
    else:
        listing.loc[5, column] = value
    with pytest.raises(StudyError, match=said):
        fetched(tiny_study, listing)
    assert left(tiny_study.root) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize("cut", ['"$@" | head -c 3000', "kill -9 $PPID", "kill -9 $(ps -o ppid= -p $PPID)"])
def test_a_fetch_that_is_cut_leaves_nothing_and_is_made_good_by_the_next(tiny_study, listing, monkeypatch, cut):
    """The answer ends in the middle; the serving git is killed, and the asking one."""
    hook, config = tiny_study.root / "hook", tiny_study.root / "config"
    hook.write_text(f"#!/bin/sh\n{cut}\n")
    hook.chmod(0o755)
    config.write_text(f"[uploadpack]\n packObjectsHook = {hook}\n")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(config))
        with pytest.raises(StudyError, match=r"not fetched \((fatal: |git ended with code -9).*, then run again"):
            fetched(tiny_study, listing)
    assert left(tiny_study.root) == []
    assert len(os.listdir(fetched(tiny_study))) == 6


def test_the_splits_of_the_five_sources_are_those_of_their_rules(root, study):
    rows = pd.read_csv(root / "data" / "five" / "PHOTOGRAPHS.csv", dtype=str)
    made = runpy.run_path(str(root / "data" / "split_five.py"))["with_splits"](rows.to_dict("records"))
    pd.testing.assert_frame_equal(pd.DataFrame(made), rows)
    five = {name for name, source in study.data.sources.items() if source.listed}
    counts = pd.concat([listed_files(root, name, study.data.sources[name]).assign(source=name) for name in five])
    counts = pd.crosstab(counts.source, counts.split)
    assert len(counts) == 5 and (counts > 0).all(axis=None) and counts.test.sum() >= 200


@pytest.mark.slow
def test_no_two_of_the_five_sources_photographs_in_different_splits_are_alike(shared, tiny_study, root):
    names = ["mirflickr_600", "imagenet_250", "portraits", "street", "intel_400"]
    shutil.copytree(root / "data" / "five", tiny_study.root / "data" / "five")
    tiny_study.set("profiles.sample.sources", names)
    for name in names:
        own = tiny_study.root / "data" / "raw" / name
        own.mkdir(parents=True)
        for photo in (shared / "five" / name.split("_")[0]).rglob("*.jpg"):
            shutil.copy(photo, own)
        study = tiny_study.load()
        scan_source(
            name, locate(study, name), "*", study.data.scan, study.root / f"data/scans/{name}.parquet", study.root
        )
    manifest = make_manifest(study)
    assert (manifest.groupby("group").split.nunique() == 1).all()
    assert len(usable(manifest, "test")) == 231
    assert set(manifest.excluded.str.partition(":")[0]) == {
        "",
        "smaller than the HR tile of 256x256",
        "wrong extension",
    }
