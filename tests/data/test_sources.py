"""The committed sample is whole, licensed and split by photograph; every source is found where it is, or downloaded."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import shutil
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.layouts import LAYOUTS, layout_folder, layout_zip

from srstudy.config import load_study
from srstudy.data.archives import open_archive
from srstudy.data.sources import SPLITS, locate, paper_table, photo_table, sample_photos
from srstudy.errors import StudyError


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
    with pytest.raises(StudyError, match=r"SOURCES\.csv: missing; restore it .*`git checkout data/sample`"):
        sample_photos(tmp_path)


def test_an_empty_list_of_the_sample_is_refused(tmp_path):
    (tmp_path / "data" / "sample").mkdir(parents=True)
    columns = "file,split,source,content,title,author,licence"
    (tmp_path / "data" / "sample" / "SOURCES.csv").write_text(
        f"{columns}\nclip.avi,clip,opencv,clip,A clip,me,CC0-1.0\n"
    )
    with pytest.raises(StudyError, match=r"SOURCES\.csv: lists no photographs"):
        sample_photos(tmp_path)


# Where a source is found


def found(study, name, mount=Path("/nowhere")):
    """Where a source is, and the images in it by the source's pattern."""
    path = locate(study, name, mount)
    with open_archive(path) as archive:
        names = [member.name for member in archive.members()]
    return path, [name_ for name_ in names if fnmatchcase(name_, study.data.sources[name].images)]


@pytest.fixture
def raw(tiny_study):
    """The folder `data/raw` of a study's copy."""
    folder = tiny_study.root / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_zip_in_data_raw_is_read_as_it_is(tiny_study, raw, name):
    (raw / f"{name}.zip").write_bytes(layout_zip(name))
    path, images = found(tiny_study.load(), name)
    assert path == raw / f"{name}.zip"
    assert images == sorted(LAYOUTS[name][1])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_in_data_raw_is_read_where_it_is(tiny_study, raw, name):
    layout_folder(name, raw / name)
    path, images = found(tiny_study.load(), name)
    assert path == raw / name
    assert images == sorted(LAYOUTS[name][1])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("new", [False, True])
def test_a_data_set_attached_on_kaggle_is_read_where_it_is(tiny_study, tmp_path, name, new):
    study = tiny_study.load()
    owner, slug = study.data.sources[name].kaggle.split("/")
    place = tmp_path / "input" / "datasets" / owner / slug if new else tmp_path / "input" / slug
    layout_folder(name, place)
    path, images = found(study, name, tmp_path / "input")
    assert path == place
    assert images == sorted(LAYOUTS[name][1])


@pytest.mark.parametrize("place", ["competitions/faces", "faces"])
def test_a_competition_attached_on_kaggle_is_read_where_it_is(tiny_study, tmp_path, place):
    tiny_study.set("data.sources.ffhq.kaggle", "competitions/faces")
    layout_folder("ffhq", tmp_path / "input" / place)
    assert found(tiny_study.load(), "ffhq", tmp_path / "input")[0] == tmp_path / "input" / place


def test_of_two_attached_sets_of_one_name_the_owner_s_is_taken(tiny_study, tmp_path):
    study = tiny_study.load()
    owner, slug = study.data.sources["intel"].kaggle.split("/")
    for place in (slug, f"datasets/somebody/{slug}", f"datasets/{owner}/{slug}"):
        layout_folder("intel", tmp_path / "input" / place)
    assert locate(study, "intel", tmp_path / "input") == tmp_path / "input" / "datasets" / owner / slug


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("absolute", [False, True])
def test_a_path_takes_the_place_of_everything_else(tiny_study, raw, tmp_path, kind, absolute):
    (raw / "ffhq.zip").write_bytes(layout_zip("ffhq"))
    layout_folder("ffhq", tmp_path / "input" / "flickrfaceshq-dataset-nvidia-resized-256px")
    own = layout_folder("ffhq", tiny_study.root / "own")
    if kind == "zip":
        own = tiny_study.root / "own.zip"
        own.write_bytes(layout_zip("ffhq"))
    if kind == "tar":
        own = Path(shutil.make_archive(own, "tar", own))
    tiny_study.set("data.sources.ffhq.path", str(own if absolute else own.relative_to(tiny_study.root)))
    path, images = found(tiny_study.load(), "ffhq", tmp_path / "input")
    assert path == own
    assert images == sorted(LAYOUTS["ffhq"][1])


def test_a_path_in_the_home_folder_may_begin_with_a_tilde(tiny_study, home):
    layout_folder("ffhq", home / "faces")
    tiny_study.set("data.sources.ffhq.path", "~/faces")
    assert found(tiny_study.load(), "ffhq")[0] == home / "faces"


def test_a_path_that_is_not_there_is_named_and_nothing_is_downloaded(tiny_study):
    tiny_study.set("data.sources.ffhq.path", "faces")
    with pytest.raises(
        StudyError, match=r"data\.sources\.ffhq\.path: there is no '.*faces'; correct it, or set it to nu"
    ):
        locate(tiny_study.load(), "ffhq")


def test_an_unknown_source_is_named_with_the_nearest(tiny_study):
    with pytest.raises(StudyError, match=r"data\.sources: 'mirflikr' is unknown, did you mean 'mirflickr'"):
        locate(tiny_study.load(), "mirflikr")


def test_what_is_attached_goes_before_what_lies_in_data_raw(tiny_study, raw, tmp_path):
    (raw / "intel.zip").write_bytes(layout_zip("intel"))
    place = layout_folder("intel", tmp_path / "input" / "intel-image-classification")
    assert locate(tiny_study.load(), "intel", tmp_path / "input") == place


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_nowhere_is_downloaded_once(tiny_study, kaggle_service, name):
    study = tiny_study.load()
    kaggle_service.archives[study.data.sources[name].kaggle] = layout_zip(name)
    (study.root / "data" / "raw" / name).mkdir(parents=True)  # an empty folder is no source
    for _ in range(2):
        path, images = found(study, name)
        assert path == study.root / "data" / "raw" / f"{name}.zip"
        assert images == sorted(LAYOUTS[name][1])
    assert len(kaggle_service.asked("store")) == 1


def test_without_credentials_the_source_is_named(tiny_study, home):
    with pytest.raises(StudyError, match=r"^data\.sources\.imagenet: no valid Kaggle credentials found"):
        locate(tiny_study.load(), "imagenet")


@pytest.mark.parametrize(("key", "value"), [("kaggle", "somebody/faces"), ("version", 4)])
def test_a_download_of_another_data_set_is_not_taken_for_this_one(tiny_study, kaggle_service, key, value):
    study = tiny_study.load()
    kaggle_service.archives[study.data.sources["ffhq"].kaggle] = layout_zip("ffhq")
    locate(study, "ffhq")
    tiny_study.set(f"data.sources.ffhq.{key}", value)
    with pytest.raises(
        StudyError, match=r"ffhq\.zip: is a copy of xhlulu/\S+, which is not what data\.sources\.ffhq asks"
    ):
        locate(tiny_study.load(), "ffhq")


# Archives that must be laid out first


@pytest.mark.parametrize("ending", ["gztar", "bztar", "xztar"])
def test_a_compressed_tar_is_laid_out_once(tiny_study, raw, tmp_path, ending):
    packed = Path(shutil.make_archive(raw / "ffhq", ending, layout_folder("ffhq", tmp_path / "faces")))
    path, images = found(tiny_study.load(), "ffhq")
    assert path == raw / "unpacked" / "ffhq.tar"
    assert images == sorted(LAYOUTS["ffhq"][1])
    packed.write_bytes(b"another")  # it would be noticed if it were read again ...
    os.utime(packed, (path.stat().st_mtime, path.stat().st_mtime))
    assert found(tiny_study.load(), "ffhq") == (path, images)
    os.utime(packed, (1, 1))  # ... as it is when its time says that it is another one
    with pytest.raises(StudyError, match="damaged"):
        locate(tiny_study.load(), "ffhq")


def pack(path, name, content):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, content)


def tar_gz(source, folder):
    """The set as the bytes of a .tar.gz."""
    return Path(shutil.make_archive(folder / "packed", "gztar", layout_folder(source, folder / "set"))).read_bytes()


@pytest.mark.parametrize("inner", ["train.zip", "all/train.tar.gz"])
@pytest.mark.parametrize("outer", ["folder", "zip"])
def test_an_archive_inside_the_archive_is_found(tiny_study, raw, tmp_path, inner, outer):
    content = layout_zip("ffhq") if inner.endswith(".zip") else tar_gz("ffhq", tmp_path)
    if outer == "zip":
        pack(raw / "ffhq.zip", inner, content)
    else:
        (raw / "ffhq" / inner).parent.mkdir(parents=True)
        (raw / "ffhq" / inner).write_bytes(content)
    tiny_study.set("data.sources.ffhq.inner", inner)
    study = tiny_study.load()
    path, images = found(study, "ffhq")
    assert images == sorted(LAYOUTS["ffhq"][1])
    assert path.parent == (raw / "ffhq" if (outer, inner) == ("folder", "train.zip") else raw / "unpacked")
    made = path.stat()
    assert found(study, "ffhq") == (path, images)
    assert path.stat() == made


@pytest.mark.parametrize("name", ["../outside.jpg", "/outside.jpg"])
def test_an_inner_archive_that_means_harm_writes_nothing_outside(tiny_study, raw, name):
    content = io.BytesIO()
    pack(content, name, b"x")
    pack(raw / "ffhq.zip", "train.zip", content.getvalue())
    tiny_study.set("data.sources.ffhq.inner", "train.zip")
    with pytest.raises(StudyError, match="do not use this archive"):
        found(tiny_study.load(), "ffhq")
    assert sorted(path.name for path in tiny_study.root.rglob("*") if path.is_file()) == [
        "ffhq-train.zip", "ffhq.zip", "params.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize(("outer", "inner"), [("ffhq.zip", "a.zip"), ("ffhq", "a.zip"), ("ffhq", "a.tar.gz")])
def test_an_inner_archive_that_is_not_there_is_named(tiny_study, raw, outer, inner):
    layout_folder("ffhq", raw / outer) if outer == "ffhq" else (raw / outer).write_bytes(layout_zip("ffhq"))
    tiny_study.set("data.sources.ffhq.inner", inner)
    with pytest.raises(StudyError, match=rf"{outer}: holds no (file )?'{inner}'"):
        locate(tiny_study.load(), "ffhq")


# The registry


def test_the_sample_is_a_source_like_the_others(root, study):
    path, images = found(study, "sample")
    assert path == root / "data" / "sample" / "photos"
    assert [Path(name).stem for name in images] == [photo.id for photo in sample_photos(root)]


def test_short_profiles_use_the_sample_and_the_paper_s_its_five_sets(root):
    assert load_study("smoke", root).profile.sources == load_study("sample", root).profile.sources == ("sample",)
    assert set(load_study("paper", root).profile.sources) == set(LAYOUTS)


def test_the_table_of_a_source_tells_of_each_photograph(root, study):
    table = photo_table(study, "sample")
    assert list(table.values()) == sample_photos(root)
    assert table["astronaut"].split in SPLITS
    assert photo_table(study, "ffhq") == {}


def test_a_table_without_a_column_is_refused(tiny_study):
    (tiny_study.root / "own.csv").write_text("file,split,source,title,author,licence\na.jpg,train,own,A,me,CC0-1.0\n")
    tiny_study.set("data.sources.ffhq.table", "own.csv")
    with pytest.raises(StudyError, match=r"own\.csv: the column 'content' is missing"):
        photo_table(tiny_study.load(), "ffhq")


def test_a_photograph_without_a_licence_is_named(tiny_study):
    columns = "file,split,source,content,title,author,licence"
    (tiny_study.root / "own.csv").write_text(f"{columns}\na.jpg,train,own,x,A,me,CC0-1.0\nb.jpg,test,own,x,B,me,\n")
    tiny_study.set("data.sources.ffhq.table", "own.csv")
    with pytest.raises(StudyError, match=r"own\.csv: 'b\.jpg' has no licence; add it, or remove the row"):
        photo_table(tiny_study.load(), "ffhq")


def test_table_1_has_the_paper_s_five_data_sets(study):
    table = paper_table(study)
    assert list(table["data set"]) == [
        "MirFlickr 25k",
        "Human Detection Dataset",
        "Flickr-Faces-HQ (FFHQ)",
        "ImageNet",
        "Intel Images",
    ]
    assert list(table.columns) == ["data set", "description", "images", "attributes", "use", "on Kaggle"]
    assert list(table.images) == ["~25,000", "varies", "~70,000", "~14,000,000", "~25,000"]
    assert table["on Kaggle"].str.fullmatch(r"[\w-]+/[\w-]+").all()


def test_every_source_says_its_terms_and_size(study):
    for name, source in study.data.sources.items():
        assert source.licence.endswith("."), name
        assert source.native, name


def test_the_registry_names_no_host(root):
    sources = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["data"]["sources"]
    assert not re.search(r"://|www\.|\.(com|org|edu)\b", str(sources))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.sources.ffhq.kaggle", "ffhq", r"data\.sources\.ffhq\.kaggle: expected OWNER/NAME, found 'ffhq'"),
        ("data.sources.ffhq.kaggle", "a/b/3", r"expected OWNER/NAME, found 'a/b/3'"),
        ("data.sources.ffhq.kaggle", None, r"data\.sources\.ffhq: has neither `kaggle` nor `path`; give one"),
        ("data.sources.ffhq.licence", " ", r"data\.sources\.ffhq\.licence: is empty"),
        ("data.sources.ffhq.version", 0, r"data\.sources\.ffhq\.version: expected a number above 0"),
        ("data.sources.ffhq.slug", "a/b", r"data\.sources\.ffhq: unknown key 'slug'"),
        (
            "profiles.sample.sources",
            ["smaple"],
            r"profiles\.sample\.sources: 'smaple' is unknown, did you mean 'sample'",
        ),
        ("profiles.sample.sources", [], r"profiles\.sample\.sources: expected a list of at least one, found \[\]"),
        ("profiles.sample.sources", "sample", r"sample\.sources: expected a list of at least one, found 'sample'"),
        ("profiles.sample.sources", [3], r"profiles\.sample\.sources\[0\]: expected str, found 3"),
    ],
)
def test_a_mistake_in_the_registry_is_found_while_loading(tiny_study, key, value, message):
    tiny_study.set(key, value)
    with pytest.raises(StudyError, match=message):
        tiny_study.load()


def test_a_competition_has_no_version(tiny_study):
    tiny_study.set("data.sources.ffhq.kaggle", "competitions/faces")
    tiny_study.load()
    tiny_study.set("data.sources.ffhq.version", 3)
    with pytest.raises(StudyError, match=r"data\.sources\.ffhq\.version: competitions have no versions"):
        tiny_study.load()


def test_a_source_s_name_is_fit_for_files_and_ids(tiny_study):
    tiny_study.set("data.sources.my--set/2", {**tiny_study.params["data"]["sources"]["ffhq"]})
    with pytest.raises(StudyError, match="the name 'my--set/2' may have letters, digits and _ only"):
        tiny_study.load()
