"""The manifest joins the scans, splits by photograph and by duplicate group, and says why one is left out."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from srstudy.config import load_study
from srstudy.data.duplicates import duplicate_groups
from srstudy.data.facts import facts_of
from srstudy.data.images import read_photo
from srstudy.data.manifest import (
    by_licence,
    by_reason,
    by_source,
    colours,
    duplicate_pairs,
    open_manifest,
    save_manifest,
    table_1,
    usable,
)  # fmt: skip
from srstudy.data.scan import SCHEMA, photo_id, scan_source
from srstudy.data.sources import SPLITS, locate
from srstudy.data.splits import make_manifest, split_of
from srstudy.errors import StudyError

HELD_OUT = 4


class Album:
    """A study of one source or two, and a scan of each; the name given to a photograph decides its split."""

    def __init__(self, study):
        self.study, self.rows = study, {}
        study.set("data.held_out", HELD_OUT)
        study.set("profiles.sample.selections", {"curated": {}, "biased": {}, "mirflickr": {}})
        self.sources = ["camera"]

    def add(self, image: Image.Image, split: str, source: str = "camera", quality: int = 95) -> str:
        """Save a photograph of a source so that it falls into a split; return its id."""
        for number in itertools.count(len(self.rows)):
            member = f"im{number:04}.jpg"
            id = photo_id(source, member)
            if id not in self.rows and split_of(id, HELD_OUT, 2023) == split:
                break
        path = self.study.root / "albums" / source / member
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=quality)
        self.note(source, path)
        return id

    def list(self, image: Image.Image, name: str, split: str) -> str:
        """Save a photograph of the source `listed`, whose table gives its split; return its id."""
        path = self.study.root / "albums" / "listed" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95)
        self.note("listed", path)
        table = self.study.root / "albums" / "listed.csv"
        if not table.is_file():
            table.write_text("file,split,source,content,title,author,licence\n", encoding="utf-8")
        with table.open("a", encoding="utf-8") as file:
            file.write(f"listed/{name}.jpg,{split},listed,,,,CC0\n")
        return photo_id("listed", path.name)

    def note(self, source: str, path: Path, name: str | None = None) -> None:
        """Add the row that a scan makes of a file."""
        id = photo_id(source, name or path.name)
        archive = path.parent.relative_to(self.study.root).as_posix()
        known = {"id": id, "source": source, "archive": archive, "member": name or path.name}
        self.rows[id] = {**known, **asdict(facts_of(path.read_bytes(), path.name, 512))}

    def manifest(self) -> pd.DataFrame:
        """Write the scans, join them."""
        scans = pd.DataFrame(self.rows.values())
        names = sorted(scans.source.unique())
        self.study.params["data"]["sources"] = {
            name: {"title": name, "licence": "CC0", "images": "*.jpg", "native": "any", "path": f"albums/{name}"}
            for name in names
        }
        if "listed" in names:
            self.study.set("data.sources.listed.table", "albums/listed.csv")
        self.study.set("profiles.sample.sources", names)
        for name, rows in scans.groupby("source"):
            (self.study.root / "data" / "scans").mkdir(parents=True, exist_ok=True)
            rows.to_parquet(self.study.root / "data" / "scans" / f"{name}.parquet")
        for profile in ("smoke", "paper"):
            self.study.params["profiles"].pop(profile, None)
        return make_manifest(self.study.load())


@pytest.fixture
def album(tiny_study) -> Album:
    """An empty album."""
    return Album(tiny_study)


@pytest.fixture(scope="module")
def photos(root) -> list[Image.Image]:
    """Twelve photographs of 300 px a side."""
    paths = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))[::5][:12]
    return [Image.open(path).convert("RGB").resize((300, 300)) for path in paths]


def darker(image: Image.Image) -> Image.Image:
    """Nearly the same photograph."""
    return ImageEnhance.Brightness(image).enhance(0.8)


@pytest.fixture
def good(album, photos) -> dict[str, str]:
    """One good photograph in each split, by split."""
    return {split: album.add(photo, split) for split, photo in zip(SPLITS, photos)}


def test_what_cannot_serve_is_left_out_with_the_reason(album, good, photos, tmp_path):
    small = album.add(photos[3].crop((0, 0, 300, 255)), "train")
    (tmp_path / "albums" / "camera" / "text.jpg").write_text("no image")
    album.note("camera", tmp_path / "albums" / "camera" / "text.jpg")
    manifest = album.manifest().set_index("id")
    assert list(manifest.index) == sorted(manifest.index)
    assert (manifest.excluded[list(good.values())] == "").all()
    assert manifest.excluded[small] == "smaller than the HR tile of 256x256: 300x255"
    assert manifest.excluded["camera--text.jpg"] == "not an image that Pillow can read"
    assert set(usable(album.manifest(), "train").id) == {good["train"]}
    assert "thumbnail" not in manifest


def test_a_photograph_of_just_the_tile_s_size_is_kept(album, good, photos):
    id = album.add(photos[3].crop((0, 0, 256, 256)), "train")
    assert album.manifest().set_index("id").excluded[id] == ""


def test_a_scan_s_own_reason_is_kept(album, good, tmp_path):
    path = tmp_path / "albums" / "camera" / good["train"].removeprefix("camera--")
    album.note("camera", path, "zz.png")  # a JPEG
    album.rows["camera--zz.png"] |= {"excluded": "wrong extension: JPEG named '.png'"}
    assert album.manifest().set_index("id").excluded["camera--zz.png"] == "wrong extension: JPEG named '.png'"


@pytest.mark.parametrize(("kept", "given_up"), [("test", "train"), ("test", "validation"), ("validation", "train")])
def test_of_duplicates_in_two_splits_training_gives_way(album, good, photos, kept, given_up):
    larger = darker(photos[4]).resize((400, 400))
    ids = album.add(photos[4], kept), album.add(larger, given_up)
    manifest = album.manifest().set_index("id")
    assert manifest.group[ids[0]] == manifest.group[ids[1]]
    assert list(manifest.excluded[list(ids)]) == ["", f"duplicate in {kept}: {ids[0]}"]


def test_of_duplicates_in_one_split_the_largest_then_the_sharpest_is_kept(album, good, photos):
    soft = album.add(photos[4].reduce(2).resize((300, 300)), "train")
    sharp = album.add(photos[4], "train")
    large = album.add(photos[5].resize((420, 420)), "train")
    small = album.add(photos[5], "train")
    manifest = album.manifest().set_index("id")
    assert list(manifest.excluded[[sharp, soft, large, small]]) == [
        "", f"duplicate: {sharp}", "", f"duplicate: {large}"
    ]  # fmt: skip


def test_of_equal_files_the_first_is_kept_also_across_sources(album, good, photos):
    ids = [album.add(photos[4], "train", source) for source in ("phone", "camera")]
    manifest = album.manifest().set_index("id")
    assert list(manifest.excluded[sorted(ids)]) == ["", f"duplicate: {min(ids)}"]


def test_a_photograph_that_is_left_out_takes_no_other_with_it(album, good, photos):
    album.add(photos[4].resize((200, 200)), "test")
    train = album.add(photos[4], "train")
    assert album.manifest().set_index("id").excluded[train] == ""


@pytest.mark.parametrize("here", SPLITS)
@pytest.mark.parametrize("there", SPLITS)
def test_a_split_that_a_table_gives_outlasts_a_duplicate_wherever_that_falls(album, good, photos, here, there, capfd):
    kept = album.list(photos[4], "kept", here)
    larger = album.add(darker(photos[4]).resize((400, 400)), there)
    manifest = album.manifest().set_index("id")
    assert list(manifest.excluded[[kept, larger]]) == ["", f"duplicate of one whose split is given: {kept}"]
    assert manifest.split[kept] == here
    assert by_reason(manifest).loc["duplicate of one whose split is given", "camera"] == 1
    (told,) = capfd.readouterr().err.splitlines()
    assert told.startswith("camera: 1 left out as duplicates of photographs whose split is given")
    assert larger.removeprefix("camera--") in told


def test_a_photograph_that_links_two_of_given_splits_takes_neither_out(album, good, photos, monkeypatch):
    listed = [album.list(photos[4], "one", "train"), album.list(photos[5], "two", "test")]
    link = album.add(Image.blend(photos[4], photos[5], 0.5), "test")

    def linking(rows, settings):
        """All three are alike, but without the link two of them are not."""
        groups = duplicate_groups(rows, settings)
        three = rows.id.isin([*listed, link]).to_numpy()
        return np.where(three, 99, groups) if link in set(rows.id) else groups

    monkeypatch.setattr("srstudy.data.splits.duplicate_groups", linking)
    manifest = album.manifest().set_index("id")
    assert list(manifest.excluded[listed]) == ["", ""]
    assert manifest.excluded[link].startswith("duplicate of one whose split is given: listed--")


def test_a_copy_of_what_a_table_lists_is_left_out_even_if_that_is_itself(album, good, photos):
    small = album.list(photos[4].resize((200, 200)), "small", "train")  # a warm start may have seen it
    copy = album.add(photos[4], "test")
    manifest = album.manifest().set_index("id")
    assert manifest.excluded[small].startswith("smaller than")
    assert manifest.excluded[copy] == f"duplicate of one whose split is given: {small}"


def test_of_duplicates_that_one_table_lists_training_gives_way_and_a_copy_is_that_of_the_kept_one(album, good, photos):
    ids = album.list(photos[4], "a", "train"), album.list(darker(photos[4]), "b", "test")
    copy = album.add(photos[4].resize((400, 400)), "train")
    manifest = album.manifest().set_index("id")
    assert list(manifest.excluded[list(ids)]) == [f"duplicate in test: {ids[1]}", ""]
    assert manifest.excluded[copy] == f"duplicate of one whose split is given: {ids[1]}"


def alike(manifest: pd.DataFrame, root: Path, most: float) -> list[tuple[str, str]]:
    """Usable photographs of different splits whose luma, reduced by Pillow, correlates by more than `most`."""
    rows = manifest[manifest.excluded == ""]
    pictures = [Image.fromarray(read_photo(root, row)).convert("L").resize((24, 24)) for row in rows.itertuples()]
    likeness = np.corrcoef([np.asarray(picture).ravel() for picture in pictures])
    return [
        (one.id, other.id)
        for (i, one), (j, other) in itertools.combinations(enumerate(rows.itertuples()), 2)
        if one.split != other.split and likeness[i, j] > most
    ]


def test_no_photograph_has_a_near_duplicate_in_another_split(album, photos):
    for number, photo in enumerate(photos):
        copies = [photo, darker(photo), photo.resize((280, 280)), photo.crop((3, 3, 297, 297))]
        for place, copy in enumerate(copies):
            split = SPLITS[(number + place) % 3] if number < 8 else "train"
            album.add(copy, split, quality=60 + 10 * place)
    manifest = album.manifest()
    assert len(alike(manifest.assign(excluded=""), album.study.root, 0.95)) >= 8  # they were there
    assert alike(manifest, album.study.root, 0.95) == []
    assert {split: len(usable(manifest, split)) for split in SPLITS} == {"train": 4, "validation": 0, "test": 8}


@pytest.fixture(scope="module")
def committed(tmp_path_factory, root) -> tuple[Path, pd.DataFrame]:
    """A copy of the committed sample, scanned, and its manifest."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(root / "data" / "sample", folder / "data" / "sample")
    shutil.copy(root / "params.yaml", folder)
    study = load_study("sample", folder)
    source = study.data.sources["sample"]
    out = folder / "data" / "scans" / "sample.parquet"
    scan_source("sample", locate(study, "sample"), source.images, study.data.scan, out, folder)
    return folder, make_manifest(study)


def test_every_photograph_of_the_sample_is_used_in_the_split_of_its_table(committed, sources):
    _, manifest = committed
    listed = {Path(row["file"]).stem: row for row in sources if row["split"] in SPLITS}
    assert list(manifest.id) == sorted(listed)
    assert {split: len(usable(manifest, split)) for split in SPLITS} == {"train": 45, "validation": 5, "test": 14}
    for row in manifest.to_dict("records"):
        for name in ("split", "source", "content", "title", "author", "licence", "sha256"):
            assert row[name] == listed[row["id"]][name]
        assert (row["width"], row["height"]) == (int(listed[row["id"]]["width"]), int(listed[row["id"]]["height"]))


def test_no_test_photograph_of_the_sample_has_a_near_duplicate_in_training(committed):
    folder, manifest = committed
    assert alike(manifest, folder, 0.9) == []


def test_a_row_s_pixels_are_those_of_its_file(committed):
    folder, manifest = committed
    row = next(manifest[manifest.id == "astronaut"].itertuples())
    with Image.open(folder / "data" / "sample" / "photos" / "astronaut.jpg") as image:
        assert np.array_equal(read_photo(folder, row), np.asarray(image.convert("RGB")))


def test_a_photograph_that_the_table_does_not_list_is_left_out(committed, tmp_path):
    folder, _ = committed
    study = load_study("sample", folder)
    scan = pd.read_parquet(folder / "data" / "scans" / "sample.parquet")
    more = scan[:1].assign(id="new", member="new.jpg", sha256="0")
    with_another = dataclasses.replace(study, root=tmp_path)
    shutil.copytree(folder / "data" / "sample", tmp_path / "data" / "sample")
    (tmp_path / "data" / "scans").mkdir()
    pd.concat([scan, more]).to_parquet(tmp_path / "data" / "scans" / "sample.parquet")
    manifest = make_manifest(with_another).set_index("id")
    assert manifest.excluded["new"] == "not listed: data/sample/SOURCES.csv"
    scan[1:].to_parquet(tmp_path / "data" / "scans" / "sample.parquet")
    with pytest.raises(StudyError, match=r"SOURCES\.csv: lists 'a-posing-kitten', which source sample lacks"):
        make_manifest(with_another)


@pytest.mark.parametrize("split", ["train", "test"])
def test_nothing_left_in_a_split_is_an_error_that_says_why(album, photos, split):
    for number, name in enumerate(SPLITS):
        image = photos[number]
        album.add(image.resize((200, 200)) if name == split else image, name)
    with pytest.raises(StudyError, match=f"no usable photograph in the {split} split .*smaller than the HR tile"):
        album.manifest()


@pytest.mark.parametrize("empty", [False, True], ids=["no scan", "that of a profile without it"])
def test_a_source_that_is_not_scanned_is_named(study, tmp_path, empty):
    if empty:
        (tmp_path / "data" / "scans").mkdir(parents=True)
        pq.write_table(SCHEMA.empty_table(), tmp_path / "data" / "scans" / "sample.parquet")
    with pytest.raises(StudyError, match=r"sample\.parquet: this source is not scanned yet; set `profile: sample`"):
        make_manifest(dataclasses.replace(study, root=tmp_path))


def test_two_photographs_of_one_name_are_refused(album, good, tmp_path):
    first, *_ = album.rows.values()
    album.rows["twice"] = {**first, "member": "other.jpg"}
    with pytest.raises(StudyError, match=f"two photographs are called '{first['id']}'; rename the file of one"):
        album.manifest()


def test_about_1_in_50_is_held_out_for_each_purpose_by_the_seed():
    ids = [f"camera--{number}.jpg" for number in range(10_000)]
    splits, others = ([split_of(id, 50, seed) for id in ids] for seed in (1, 2))
    for split in ("test", "validation"):
        # 200 expected; binomial: 4 standard deviations are 56
        assert abs(splits.count(split) - 200) <= 56
        both = sum(one == other == split for one, other in zip(splits, others))
        assert both <= 20  # 4 expected, if the seeds are independent


def test_a_manifest_is_read_as_it_was_written(album, good, photos, tmp_path):
    album.add(darker(photos[0]), "train")
    manifest = album.manifest()
    save_manifest(tmp_path / "manifest.parquet", manifest)
    pd.testing.assert_frame_equal(open_manifest(tmp_path / "manifest.parquet"), manifest)


def test_a_missing_manifest_says_what_to_run(tmp_path):
    with pytest.raises(StudyError, match=r"manifest\.parquet: no manifest yet; run `dvc repro data`"):
        open_manifest(tmp_path / "manifest.parquet")


def test_counts_per_source_and_per_reason_add_up(album, good, photos):
    album.add(photos[0], "train", "phone")
    for number in (5, 6):
        album.add(photos[number].resize((200, 200)), "train", "phone")
    manifest = album.manifest()
    counts = by_source(manifest).set_index("source")
    assert list(counts.loc["camera", ["photographs", "excluded", *SPLITS]]) == [3, 0, 1, 1, 1]
    reasons = by_reason(manifest)
    assert reasons.loc["smaller than the HR tile of 256x256", "phone"] == 2
    assert reasons.loc["all", "all"] == (manifest.excluded != "").sum() == 3


def test_nothing_left_out_is_a_table_without_rows(album, good):
    assert len(by_reason(album.manifest())) == 0


def test_table_1_has_the_true_counts_of_the_sources_that_are_there(album, photos):
    for split, photo in zip(SPLITS, photos):
        album.add(photo, split, "camera")
    album.add(photos[4].resize((200, 200)), "train")
    manifest = album.manifest()
    paper = {"description": "d", "images": "~9", "attributes": "a", "use": "u"}
    registry = album.study.params["data"]["sources"]
    registry["camera"]["paper"] = paper
    registry["other"] = {**registry["camera"], "title": "Other"}
    table = table_1(album.study.load(), manifest)
    assert list(table["data set"]) == ["camera", "Other"]
    assert list(table.native) == ["any", "any"]
    assert list(table.files) == [4, "not in this profile"]
    assert list(table.usable) == [3, ""]
    assert list(table["size"]) == ["300x300", ""]


def test_licences_are_counted_per_source(committed, sources):
    table = by_licence(committed[1])
    listed = pd.DataFrame([row for row in sources if row["split"] in SPLITS])
    assert table.loc["CC0-1.0", "gcompris"] == ((listed.licence == "CC0-1.0") & (listed.source == "gcompris")).sum()
    assert table.to_numpy().sum() == len(listed)


def test_colours_are_means_over_the_photographs_of_a_source(committed):
    _, manifest = committed
    mean_b = manifest[manifest.source == "mate"].mean_b
    assert colours(manifest).loc["mate", "mean_b"] == f"{mean_b.mean():.1f} ± {mean_b.std():.1f}"


def test_pairs_of_duplicates_name_the_kept_one_first(album, good, photos):
    kept, lost = album.add(photos[4], "test"), album.add(darker(photos[4]), "train")
    assert duplicate_pairs(album.manifest()) == [(kept, lost)]
