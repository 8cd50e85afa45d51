"""The manifest joins the scans, splits by photograph and by duplicate group, and says why one is left out."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from srstudy import StudyError
from srstudy.photos import manifest as manifests
from srstudy.photos.duplicates import duplicate_groups
from srstudy.photos.facts import facts_of
from srstudy.photos.images import read_photo
from srstudy.photos.manifest import by_source, make_manifest, open_manifest, split_of, usable
from srstudy.photos.scan import SCHEMA, photo_id, scan_source
from srstudy.photos.sources import SPLITS, locate
from srstudy.study import load_study

HELD_OUT = 4
DARKER = [8 * level // 10 for level in range(256)] * 3
COPY = "duplicate of one whose split is given"


class Album:
    """A study of one source or two, and a scan of each; the name given to a photograph decides its split."""

    def __init__(self, study):
        self.study, self.rows, self.table = study, {}, "file,split,source,content,title,author,licence\n"
        study.set("data.held_out", HELD_OUT)
        study.set("profiles.sample.selections", {"curated": {}, "biased": {}, "mirflickr": {}})
        study.params["profiles"] = {"sample": study.params["profiles"]["sample"]}

    def add(self, image: Image.Image, split: str, source: str = "camera") -> str:
        """Save a photograph of a source so that it falls into a split; return its id."""
        for number in itertools.count():
            id = photo_id(source, f"im{number}.jpg")
            if id not in self.rows and split_of(id, HELD_OUT, 2023) == split:
                return self.save(image, source, f"im{number}.jpg")

    def list(self, image: Image.Image, name: str, split: str) -> str:
        """Save a photograph of the source `listed`, whose table gives its split; return its id."""
        self.table += f"listed/{name}.jpg,{split},listed,,,,CC0\n"
        return self.save(image, "listed", f"{name}.jpg")

    def save(self, image: Image.Image, source: str, name: str) -> str:
        """Save a photograph and add the row that a scan makes of it; return its id."""
        path = self.study.root / source / name
        path.parent.mkdir(exist_ok=True)
        image.save(path, "JPEG", quality=95)
        known = {"id": photo_id(source, name), "source": source, "archive": source, "member": name}
        self.rows[known["id"]] = {**known, **facts_of(path.read_bytes(), name, 512)}
        return known["id"]

    def manifest(self) -> pd.DataFrame:
        """Write the scans, join them; by id."""
        (self.study.root / "data" / "scans").mkdir(parents=True, exist_ok=True)
        sources = self.study.params["data"]["sources"] = {}
        for name, rows in pd.DataFrame(self.rows.values()).groupby("source"):
            rows.to_parquet(self.study.root / "data" / "scans" / f"{name}.parquet", index=False)
            sources[name] = {"title": name, "licence": "CC0", "images": "*", "native": "any", "path": name}
        if "listed" in sources:
            sources["listed"]["table"] = "listed.csv"
            (self.study.root / "listed.csv").write_text(self.table, encoding="utf-8")
        self.study.set("profiles.sample.sources", list(sources))
        return make_manifest(self.study.load()).set_index("id", drop=False)


@pytest.fixture(scope="module")
def photos(root) -> list[Image.Image]:
    paths = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))[::5][:12]
    return [Image.open(path).convert("RGB").resize((300, 300)) for path in paths]


@pytest.fixture
def album(tiny_study) -> Album:
    return Album(tiny_study)


@pytest.fixture
def good(album, photos) -> dict[str, str]:
    return {split: album.add(photo, split) for split, photo in zip(SPLITS, photos)}


def test_what_cannot_serve_is_left_out_with_the_reason(album, good, photos):
    small = album.add(photos[3].crop((0, 0, 300, 255)), "test")
    just = album.add(photos[3].crop((0, 0, 256, 256)), "train")  # what is left out takes no duplicate with it
    misnamed = album.save(photos[5], "camera", "im.png")
    manifest = album.manifest()
    assert list(manifest.index) == sorted(manifest.index)
    assert (manifest.excluded[[*good.values(), just]] == "").all()
    assert manifest.excluded[small] == "smaller than the HR tile of 256x256: 300x255"
    assert manifest.excluded[misnamed] == "wrong extension: JPEG named '.png'"
    assert set(usable(manifest, "train").id) == {good["train"], just}
    assert "thumbnail" not in manifest


@pytest.mark.parametrize(("kept", "given_up"), [("test", "train"), ("test", "validation"), ("validation", "train")])
def test_of_duplicates_in_two_splits_training_gives_way(album, good, photos, kept, given_up):
    ids = album.add(photos[4], kept), album.add(photos[4].point(DARKER).resize((400, 400)), given_up)
    manifest = album.manifest()
    assert manifest.group[ids[0]] == manifest.group[ids[1]]
    assert list(manifest.excluded[list(ids)]) == ["", f"duplicate in {kept}: {ids[0]}"]


def test_of_duplicates_in_one_split_the_largest_then_the_sharpest_then_the_first_is_kept(album, good, photos):
    soft, sharp = album.add(photos[4].reduce(2).resize((300, 300)), "train"), album.add(photos[4], "train")
    large, small = album.add(photos[5].resize((420, 420)), "train"), album.add(photos[5], "train")
    equal = sorted(album.add(photos[6], "train", source) for source in ("phone", "camera"))
    reasons = album.manifest().excluded[[sharp, soft, large, small, *equal]]
    assert list(reasons) == ["", f"duplicate: {sharp}", "", f"duplicate: {large}", "", f"duplicate: {equal[0]}"]


@pytest.mark.parametrize("here", SPLITS)
@pytest.mark.parametrize("there", SPLITS)
def test_a_split_that_a_table_gives_outlasts_a_duplicate_wherever_that_falls(album, good, photos, here, there):
    kept = album.list(photos[4], "kept", here)
    larger = album.add(photos[4].point(DARKER).resize((400, 400)), there)
    manifest = album.manifest()
    assert list(manifest.excluded[[kept, larger]]) == ["", f"{COPY}: {kept}"]
    assert manifest.split[kept] == here


def test_a_photograph_that_links_two_of_given_splits_takes_neither_out(album, good, photos, monkeypatch):
    listed = [album.list(photos[4], "one", "train"), album.list(photos[5], "two", "test")]
    link = album.add(Image.blend(photos[4], photos[5], 0.5), "test")

    def linking(rows, settings):
        """All three are alike, but without the link two of them are not."""
        three = rows.id.isin([*listed, link]).to_numpy()
        return np.where(three & (link in set(rows.id)), 99, duplicate_groups(rows, settings))

    monkeypatch.setattr(manifests, "duplicate_groups", linking)
    manifest = album.manifest()
    assert list(manifest.excluded[listed]) == ["", ""]
    assert manifest.excluded[link].startswith(f"{COPY}: listed--")


def test_copies_of_what_a_table_lists_are_left_out_even_if_that_is_itself(album, good, photos):
    small = album.list(photos[4].resize((200, 200)), "small", "train")  # a warm start may have seen it
    pair = album.list(photos[5], "a", "train"), album.list(photos[5].point(DARKER), "b", "test")
    copies = album.add(photos[4], "test"), album.add(photos[5].resize((400, 400)), "train")
    manifest = album.manifest()
    assert manifest.excluded[small].startswith("smaller than")
    assert list(manifest.excluded[list(pair)]) == [f"duplicate in test: {pair[1]}", ""]
    assert list(manifest.excluded[list(copies)]) == [f"{COPY}: {small}", f"{COPY}: {pair[1]}"]


def alike(manifest: pd.DataFrame, root: Path, most: float) -> list[tuple[int, int]]:
    """Usable photographs of different splits whose luma, reduced by Pillow, correlates by more than `most`."""
    rows = manifest[manifest.excluded == ""]
    pictures = [Image.fromarray(read_photo(root, row)).convert("L").resize((24, 24)) for row in rows.itertuples()]
    likeness = np.corrcoef([np.asarray(picture).ravel() for picture in pictures])
    pairs = itertools.combinations(range(len(rows)), 2)
    return [(i, j) for i, j in pairs if rows.split.iloc[i] != rows.split.iloc[j] and likeness[i, j] > most]


def test_no_photograph_has_a_near_duplicate_in_another_split(album, photos):
    for number, photo in enumerate(photos):
        copies = [photo, photo.point(DARKER), photo.resize((280, 280)), photo.crop((3, 3, 297, 297))]
        for place, copy in enumerate(copies):
            album.add(copy, SPLITS[(number + place) % 3] if number < 8 else "train")
    manifest = album.manifest()
    assert len(alike(manifest.assign(excluded=""), album.study.root, 0.95)) >= 8  # they were there
    assert alike(manifest, album.study.root, 0.95) == []
    assert {split: len(usable(manifest, split)) for split in SPLITS} == {"train": 4, "validation": 0, "test": 8}


@pytest.fixture(scope="module")
def committed(tmp_path_factory, root):
    """The study of a copy of the committed sample, scanned, and its manifest."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(root / "data" / "sample", folder / "data" / "sample")
    shutil.copy(root / "params.yaml", folder)
    study = load_study("sample", folder)
    source, out = study.data.sources["sample"], folder / "data" / "scans" / "sample.parquet"
    scan_source("sample", locate(study, "sample"), source.images, study.data.scan, out, folder)
    return study, make_manifest(study)


def test_every_photograph_of_the_sample_is_used_in_the_split_of_its_table(committed, sources):
    study, manifest = committed
    listed = {Path(row["file"]).stem: row for row in sources if row["split"] in SPLITS}
    assert list(manifest.id) == sorted(listed)
    assert {split: len(usable(manifest, split)) for split in SPLITS} == {"train": 45, "validation": 5, "test": 14}
    for row in manifest.to_dict("records"):
        for name in ("split", "source", "content", "title", "author", "licence", "sha256", "width", "height"):
            assert str(row[name]) == listed[row["id"]][name]
    assert alike(manifest, study.root, 0.9) == []


def test_a_photograph_that_only_the_scan_or_only_the_table_has_is_said(committed, tmp_path):
    study, _ = committed
    scan = pd.read_parquet(study.root / "data" / "scans" / "sample.parquet")
    shutil.copytree(study.root / "data" / "sample", tmp_path / "data" / "sample")
    (tmp_path / "data" / "scans").mkdir()
    elsewhere, out = dataclasses.replace(study, root=tmp_path), tmp_path / "data" / "scans" / "sample.parquet"
    pd.concat([scan, scan[:1].assign(id="new", member="new.jpg", sha256="0")]).to_parquet(out, index=False)
    assert make_manifest(elsewhere).set_index("id").excluded["new"] == "not listed: data/sample/SOURCES.csv"
    scan[1:].to_parquet(out, index=False)
    with pytest.raises(StudyError, match=r"SOURCES\.csv: lists 'a-posing-kitten', which source sample lacks"):
        make_manifest(elsewhere)


@pytest.mark.parametrize("split", ["train", "test"])
def test_nothing_left_in_a_split_and_two_photographs_of_one_name_are_errors_that_say_why(album, photos, split):
    for image, name in zip(photos, SPLITS):
        album.add(image.resize((200, 200)) if name == split else image, name)
    with pytest.raises(StudyError, match=f"no usable photograph in the {split} split .*smaller than the HR tile"):
        album.manifest()
    first, *_ = album.rows.values()
    album.rows["twice"] = {**first, "member": "other.jpg"}
    with pytest.raises(StudyError, match=f"two photographs are called '{first['id']}'; rename the file of one"):
        album.manifest()


def test_a_source_that_is_not_scanned_and_a_missing_manifest_are_named_with_what_to_run(study, tmp_path):
    elsewhere, scan = dataclasses.replace(study, root=tmp_path), tmp_path / "data" / "scans" / "sample.parquet"
    scan.parent.mkdir(parents=True)
    for write in (lambda: None, lambda: pq.write_table(SCHEMA.empty_table(), scan)):  # that of a profile without it
        write()
        with pytest.raises(StudyError, match=r"sample\.parquet: not scanned yet; set `profile: sample`"):
            make_manifest(elsewhere)
    with pytest.raises(StudyError, match=r"manifest\.parquet: no manifest yet; run `dvc repro data`"):
        open_manifest(tmp_path / "manifest.parquet")


def test_counts_per_source_add_up(album, good, photos, committed):
    for photo in (photos[4], photos[5].resize((200, 200)), photos[6].resize((200, 200))):
        album.add(photo, "train", "phone")
    counts = by_source(album.manifest()).set_index("source")
    assert list(counts.loc["camera", ["photographs", "excluded", *SPLITS]]) == [3, 0, 1, 1, 1]
    assert list(counts.loc["phone", ["photographs", "excluded", *SPLITS, "contents"]]) == [3, 2, 1, 0, 0, ""]
    assert by_source(committed[1]).set_index("source").contents["mate"] == "animal 1, landscape 1, plant 2"
