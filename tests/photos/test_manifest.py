"""The manifest joins the scans, splits by photograph and by duplicate group, and says why one is left out."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import av
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
from srstudy.photos.manifest import OWN_TEST, by_source, judged_rows, make_manifest, open_manifest, split_of, usable
from srstudy.photos.scan import SCHEMA, photo_id, scan_source
from srstudy.photos.sources import SPLITS, locate
from srstudy.study import load_study

HELD_OUT = 4
DARKER = [8 * level // 10 for level in range(256)] * 3
APART = "near-duplicate in another split"


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

    def manifest(self, extended: tuple[str, ...] = ()) -> pd.DataFrame:
        """Write the scans, join them; by id. `extended`: the sources of a profile that this one extends."""
        (self.study.root / "data" / "scans").mkdir(parents=True, exist_ok=True)
        sources = self.study.params["data"]["sources"] = {}
        for recipe in self.study.params["released"].values():  # these learn from sources that are not here
            recipe.pop("photographs", None)
        for name, rows in pd.DataFrame(self.rows.values()).groupby("source"):
            rows.to_parquet(self.study.root / "data" / "scans" / f"{name}.parquet", index=False)
            sources[name] = {"title": name, "licence": "CC0", "images": "*", "native": "any", "path": name}
        if "listed" in sources:
            sources["listed"]["table"] = "listed.csv"
            (self.study.root / "listed.csv").write_text(self.table, encoding="utf-8")
        self.study.set("profiles.sample.sources", list(extended or sources))
        self.study.set("profiles.mine", {"extends": "sample", "sources": list(sources)})
        return make_manifest(self.study.load("mine" if extended else "sample")).set_index("id", drop=False)


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
    small = album.add(photos[3].crop((0, 0, 300, 255)), "train")
    judged = [
        album.add(photos[place].crop((0, 0, 64, 150)), split) for place, split in ((6, "validation"), (8, "test"))
    ]
    tiny = album.add(photos[7].crop((0, 0, 63, 150)), "test")
    just = album.add(photos[3].crop((0, 0, 256, 256)), "train")  # what is left out takes no duplicate with it
    misnamed = album.save(photos[5], "camera", "im.png")
    manifest = album.manifest()
    assert list(manifest.index) == sorted(manifest.index)
    assert (manifest.excluded[[*good.values(), *judged, just]] == "").all()
    assert manifest.excluded[tiny] == "smaller than 64x64: 63x150"
    assert manifest.excluded[small] == "smaller than the HR tile of 256x256: 300x255"
    assert manifest.excluded[misnamed] == "wrong extension: JPEG named '.png'"
    assert set(usable(manifest, "train").id) == {good["train"], just}
    assert "thumbnail" not in manifest


def test_names_that_differ_in_one_digit_draw_all_splits():
    assert {split_of(f"own--{number}.png", 4, 2023) for number in range(10)} == set(SPLITS)


@pytest.mark.parametrize("first", SPLITS)
def test_a_group_of_near_duplicates_stays_in_the_split_that_its_first_id_draws(album, good, photos, first):
    ids = [album.add(photos[4], first)]
    for side, split in zip((280, 300, 320), SPLITS):  # whatever each would draw alone
        ids.append(album.add(photos[4].point(DARKER).resize((side, side)), split, "phone"))
    manifest = album.manifest().loc[ids]
    assert manifest.group.nunique() == 1
    assert set(zip(manifest.split, manifest.excluded)) == {(first, "")}


def test_of_equal_files_and_of_more_near_duplicates_than_are_used_the_first_by_id_are_kept(album, good, photos):
    album.study.set("data.duplicates.per_group", 2)
    equal = sorted(album.add(photos[4], "train", source) for source in ("phone", "camera"))
    more = sorted(album.save(photos[4].resize((side, side)), "phone", f"x{side}.jpg") for side in (280, 400))
    reasons = album.manifest().excluded[[*equal, *more]]
    assert list(reasons) == ["", f"equal file: {equal[0]}", "", f"one near-duplicate too many: {equal[0]}"]


def test_frames_of_a_fixed_camera_all_stay_and_like_ones_in_one_split(album, good, root):
    frames = []
    with av.open(str(root / "data" / "sample" / "cctv.avi")) as clip:
        frames += [frame.to_image() for frame in itertools.islice(clip.decode(video=0), 0, None, 10)]
    ids = [album.save(frame, "camera", f"frame{number:02}.jpg") for number, frame in enumerate(frames)]
    found = album.manifest().loc[ids]
    assert len(found) == 15
    assert set(found.excluded) == {""}
    assert found.group.nunique() < 10
    assert (found.groupby("group").split.nunique() == 1).all()


@pytest.mark.parametrize("here", SPLITS)
@pytest.mark.parametrize("there", SPLITS)
def test_a_split_that_a_table_gives_holds_for_what_is_like_it_wherever_that_would_fall(
    album, good, photos, here, there
):
    kept = album.list(photos[4], "kept", here)
    larger = album.add(photos[4].point(DARKER).resize((400, 400)), there, "alike")  # whose ids come first
    rows = album.manifest().loc[[kept, larger]]
    assert set(zip(rows.split, rows.excluded)) == {(here, "")}


def test_a_photograph_like_two_of_given_splits_is_left_out_and_takes_neither_along(album, good, photos, monkeypatch):
    listed = [album.list(photos[4], "one", "train"), album.list(photos[5], "two", "test")]
    link = album.add(Image.blend(photos[4], photos[5], 0.5), "test")

    def linking(rows, settings):
        """All three are alike, but without the link two of them are not."""
        three = rows.id.isin([*listed, link]).to_numpy()
        return np.where(three & (link in set(rows.id)), 99, duplicate_groups(rows, settings))

    monkeypatch.setattr(manifests, "duplicate_groups", linking)
    manifest = album.manifest()
    assert list(manifest.excluded[listed]) == ["", ""]
    assert manifest.excluded[link] == f"{APART}: {listed[1]}"


def test_what_a_table_lists_decides_for_its_likes_even_if_it_is_left_out_itself(album, good, photos):
    small = album.list(photos[4].resize((200, 200)), "small", "train")  # a warm start may have seen it
    pair = album.list(photos[5], "a", "train"), album.list(photos[5].point(DARKER), "b", "test")
    alike = album.add(photos[4], "test"), album.add(photos[5].resize((400, 400)), "train")
    manifest = album.manifest()
    assert manifest.excluded[small].startswith("smaller than")
    assert list(manifest.excluded[[*pair, *alike]]) == [f"{APART}: {pair[1]}", "", "", f"{APART}: {pair[1]}"]
    assert manifest.split[alike[0]] == "train"


def alike(manifest: pd.DataFrame, root: Path, most: float) -> list[tuple[int, int]]:
    """Usable photographs of different splits whose luma, reduced by Pillow, correlates by more than `most`."""
    rows = manifest[manifest.excluded == ""]
    pictures = [Image.fromarray(read_photo(root, row)).convert("L").resize((24, 24)) for row in rows.itertuples()]
    likeness = np.corrcoef([np.asarray(picture).ravel() for picture in pictures])
    pairs = itertools.combinations(range(len(rows)), 2)
    return [(i, j) for i, j in pairs if rows.split.iloc[i] != rows.split.iloc[j] and likeness[i, j] > most]


def like_photographs_in_all_splits(album: Album, photos: list[Image.Image], source: str) -> None:
    """Four versions of each, whose names alone would draw different splits."""
    for number, photo in enumerate(photos):
        copies = [photo, photo.point(DARKER), photo.resize((280, 280)), photo.crop((3, 3, 297, 297))]
        for place, copy in enumerate(copies):
            album.add(copy, SPLITS[(number + place) % 3], source)


def test_no_photograph_has_a_near_duplicate_in_another_split(album, photos):
    like_photographs_in_all_splits(album, photos, "camera")
    manifest = album.manifest()
    alone = [split_of(id, HELD_OUT, 2023) for id in manifest.id]
    assert len(alike(manifest.assign(split=alone), album.study.root, 0.95)) >= 8  # they would be there
    assert alike(manifest, album.study.root, 0.95) == []
    assert manifest.groupby("group").size().to_list() == [4] * len(photos)
    assert set(manifest.excluded) == {""}
    assert set(manifest.split) >= {"train", "test"}


def test_a_profile_that_extends_another_one_leaves_its_photographs_as_they_are(album, good, photos):
    """Whatever is added: likes of them and of each other, whose ids draw all splits, and an equal file."""
    given = [album.list(photo, f"given{n}", split) for n, (photo, split) in enumerate(zip(photos[3:6], SPLITS))]
    before = album.manifest()
    like_photographs_in_all_splits(album, photos, "aaa")  # whose ids come first
    equal = album.save(photos[2], "aaa", "equal.jpg")
    manifest = album.manifest(extended=("camera", "listed"))
    pd.testing.assert_frame_equal(manifest.loc[before.index].drop(columns="group"), before.drop(columns="group"))
    assert list(usable(manifest, "test").id) == list(usable(before, "test").id) == sorted([good["test"], given[2]])
    assert alike(manifest, album.study.root, 0.95) == []
    own = manifest[manifest.data_source == "aaa"]
    assert own.excluded[equal] == f"equal file: {good['test']}"
    assert {*own.split[own.excluded == ""]} == {"train", "validation"}
    held_out = own[own.excluded == OWN_TEST]
    assert len(held_out) >= 6  # likes of two test photographs that are no equal files
    assert list(judged_rows(manifest, "aaa").id) == list(held_out.id)
    assert list(judged_rows(manifest).id) == list(usable(before, "test").id)
    with pytest.raises(StudyError, match=r"data\.sources\.phone: has no test photographs"):
        judged_rows(manifest, "phone")


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
        album.add(image.resize((60, 60)) if name == split else image, name)
    with pytest.raises(StudyError, match=f"no usable photograph in the {split} split .*smaller than "):
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
