"""The committed sample is whole, licensed and split by photograph; downloaded sets are found, or asked for."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from srstudy.config import load_study
from srstudy.errors import StudyError
from srstudy.sources import PAPER_SOURCES, SPLITS, list_photos, paper_table, raw_photos, sample_photos


def test_the_sample_has_at_least_40_photographs_in_at_most_15_mb(root, sources):
    assert len([row for row in sources if row["split"] in SPLITS]) >= 40
    files = [path for path in (root / "data" / "sample").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15e6


def test_every_file_of_the_sample_is_listed_and_every_listed_one_is_there(root, sources):
    sample = root / "data" / "sample"
    there = {f"photos/{path.name}" for path in (sample / "photos").iterdir()}
    there |= {path.name for path in sample.glob("*.avi")}
    assert there == {row["file"] for row in sources}


def test_every_file_has_the_recorded_bytes(root, sources):
    for row in sources:
        content = (root / "data" / "sample" / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"], row["file"]


def test_no_two_photographs_are_equal(sources):
    assert len({row["sha256"] for row in sources}) == len(sources)
    assert len({row["source_sha256"] for row in sources}) == len(sources)


def test_every_file_names_title_author_licence_and_package(sources):
    for row, name in itertools.product(sources, ("title", "author", "licence", "package", "path_in_package")):
        assert row[name].strip(), f"{row['file']}: {name}"


def test_every_licence_has_its_text(root, sources):
    texts = root / "data" / "sample" / "licences"
    names = {name for row in sources for name in re.split(r" (?:AND|OR) ", row["licence"])}
    assert names
    for name in names:
        assert (texts / f"{name}.txt").stat().st_size > 200, name


def test_every_licence_allows_changed_copies(sources):
    assert not [row["file"] for row in sources if re.search(r"-N[CD]\b", row["licence"])]


def test_splits_are_disjoint_and_none_is_empty(root):
    photos = sample_photos(root)
    splits = {split: {photo.id for photo in photos if photo.split == split} for split in SPLITS}
    assert all(splits.values())
    assert sum(map(len, splits.values())) == len(set().union(*splits.values())) == len(photos)


def test_every_photograph_is_rgb_and_holds_the_largest_tile(root, study):
    for photo in sample_photos(root):
        with Image.open(root / photo.path) as image:
            assert image.mode == "RGB"
            assert min(image.size) >= 4 * study.largest_lr_size, photo.id


def test_photographs_have_the_recorded_size_and_no_metadata(root, sources):
    for row in sources:
        if row["split"] in SPLITS:
            with Image.open(root / "data" / "sample" / row["file"]) as image:
                assert image.size == (int(row["width"]), int(row["height"]))
                assert not image.getexif()
                assert "icc_profile" not in image.info


def test_the_clip_is_no_photograph(root):
    assert all(photo.path.suffix == ".jpg" for photo in sample_photos(root))


def test_photographs_come_by_id(root):
    ids = [photo.id for photo in sample_photos(root)]
    assert ids == sorted(ids)
    assert (len(set(ids)), ids[0]) == (len(ids), "a-posing-kitten")


def test_a_missing_sample_is_said_with_the_way_out(tmp_path):
    with pytest.raises(StudyError, match=r"SOURCES\.csv: missing; restore it with `git checkout data/sample`"):
        sample_photos(tmp_path)


def test_an_empty_list_of_the_sample_is_refused(tmp_path):
    (tmp_path / "data" / "sample").mkdir(parents=True)
    (tmp_path / "data" / "sample" / "SOURCES.csv").write_text("file,split\nclip.avi,clip\n")
    with pytest.raises(StudyError, match=r"SOURCES\.csv: lists no photographs"):
        sample_photos(tmp_path)


def make_raw(root, count=3):
    """The paper's five data sets in small: `count` images each, in subfolders as Kaggle unpacks them."""
    for source, number in itertools.product(PAPER_SOURCES, range(count)):
        path = root / "data" / "raw" / source.folder / "part" / f"im{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 2, 3), number, np.uint8)).save(path)


@pytest.mark.parametrize("absent", [source.folder for source in PAPER_SOURCES])
def test_a_set_not_downloaded_is_named_with_its_kaggle_command(tmp_path, absent):
    make_raw(tmp_path)
    for path in (tmp_path / "data" / "raw" / absent / "part").iterdir():
        path.unlink()
    (slug,) = (source.kaggle for source in PAPER_SOURCES if source.folder == absent)
    command = f"`kaggle datasets download {slug} --unzip -p data/raw/{absent}`"
    with pytest.raises(StudyError, match=f"data/raw/{absent}: not downloaded yet") as caught:
        raw_photos(tmp_path)
    assert command in str(caught.value)


def test_the_paper_profile_without_downloads_says_so(tiny_study):
    with pytest.raises(StudyError, match="not downloaded yet"):
        list_photos(tiny_study.load("paper"))


def test_raw_photographs_are_found_in_subfolders(tmp_path):
    make_raw(tmp_path)
    photos = raw_photos(tmp_path)
    assert len(photos) == 15
    assert {photo.source for photo in photos} == {source.folder for source in PAPER_SOURCES}
    assert all((tmp_path / photo.path).is_file() for photo in photos)
    assert any(photo.id.startswith("mirflickr--part--im0") for photo in photos)
    assert not any("/" in photo.id for photo in photos)  # SR images are named by it


def test_other_files_and_folders_are_no_photographs(tmp_path):
    make_raw(tmp_path)
    folder = tmp_path / "data" / "raw" / "ffhq"
    (folder / "readme.txt").write_text("not a photograph")
    (folder / "set.png").mkdir()
    assert len(raw_photos(tmp_path)) == 15


def test_two_photographs_that_differ_in_their_ending_only_keep_apart(tmp_path):
    make_raw(tmp_path)
    Image.new("RGB", (2, 2)).save(tmp_path / "data" / "raw" / "ffhq" / "part" / "im0.png")
    ids = [photo.id for photo in raw_photos(tmp_path)]
    assert len(set(ids)) == len(ids) == 16


def test_adding_files_moves_no_photograph_into_another_split(tmp_path):
    make_raw(tmp_path, 20)
    before = {photo.id: photo.split for photo in raw_photos(tmp_path)}
    make_raw(tmp_path, 40)
    after = {photo.id: photo.split for photo in raw_photos(tmp_path)}
    assert len(after) == 2 * len(before)
    assert before == {id: after[id] for id in before}


def test_about_1_in_50_raw_photographs_is_held_out_for_each_purpose(tmp_path):
    folder = tmp_path / "data" / "raw"
    for source in PAPER_SOURCES:
        (folder / source.folder).mkdir(parents=True)
        for number in range(400):
            (folder / source.folder / f"{number}.jpg").touch()
    splits = [photo.split for photo in raw_photos(tmp_path)]
    assert len(splits) == 2000
    for split in ("validation", "test"):
        # 40 expected; binomial: 4 standard deviations are 25
        assert 15 <= splits.count(split) <= 65


def test_an_unknown_kind_of_photographs_is_refused(tiny_study):
    tiny_study.set("profiles.sample.photos", "holiday")
    with pytest.raises(StudyError, match=r"profiles\.sample\.photos: 'holiday' is unknown; known: sample, raw"):
        list_photos(tiny_study.load())


def test_short_profiles_use_the_sample(root):
    assert list_photos(load_study("smoke", root)) == sample_photos(root)


def test_table_1_has_the_paper_s_five_data_sets():
    table = paper_table()
    assert list(table["data set"]) == [
        "MirFlickr 25k",
        "Human Detection Dataset",
        "Flickr-Faces-HQ (FFHQ)",
        "ImageNet",
        "Intel Images",
    ]
    assert table["on Kaggle"].str.fullmatch(r"[\w-]+/[\w-]+").all()


@pytest.mark.parametrize("profile", ["sample", "paper"])
def test_a_selection_from_a_source_that_is_not_there_is_named_at_once(tiny_study, root, profile):
    shutil.copytree(root / "data" / "sample", tiny_study.root / "data" / "sample")
    tiny_study.set(f"profiles.{profile}.selections.mirflickr.source", "mirflikr")
    with pytest.raises(StudyError, match=rf"profiles\.{profile}\.selections\.mirflickr\.source: 'mirflikr' is unknown"):
        list_photos(tiny_study.load(profile))


@pytest.mark.parametrize("profile", ["smoke", "sample", "paper"])
def test_every_selection_of_every_profile_has_its_source(tiny_study, root, profile):
    shutil.copytree(root / "data" / "sample", tiny_study.root / "data" / "sample")
    if profile == "paper":
        with pytest.raises(StudyError, match="not downloaded yet"):
            list_photos(tiny_study.load(profile))
    else:
        assert list_photos(tiny_study.load(profile))
