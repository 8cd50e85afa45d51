"""The committed sample is whole, licensed and split by photograph; every source is found where it is, or downloaded."""

import hashlib
import os
import re
import shutil
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from PIL import Image
from tests.layouts import LAYOUTS, layout_folder, layout_zip

from srstudy import StudyError
from srstudy.photos.archives import open_archive
from srstudy.photos.sources import SPLITS, locate, paper_table, photo_table, sample_photos


def test_the_sample_is_what_its_table_says_file_by_file(root, sources, study):
    sample = root / "data" / "sample"
    there = {path.relative_to(sample).as_posix() for path in (*sample.glob("photos/*"), *sample.glob("*.avi"))}
    assert there == {row["file"] for row in sources}
    assert len({row["sha256"] for row in sources}) == len({row["source_sha256"] for row in sources}) == len(sources)
    assert sum(path.stat().st_size for path in sample.rglob("*") if path.is_file()) <= 15e6
    for row in sources:
        assert hashlib.sha256((sample / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        if row["split"] in SPLITS:
            with Image.open(sample / row["file"]) as image:
                assert (image.mode, image.size) == ("RGB", (int(row["width"]), int(row["height"])))
                assert min(image.size) >= 4 * study.largest_lr_size, row["file"]
                assert not image.getexif()
                assert "icc_profile" not in image.info


def test_every_file_of_the_sample_names_its_origin_and_a_licence_that_allows_changed_copies(root, sources):
    for row in sources:
        for name in ("title", "author", "licence", "package", "path_in_package"):
            assert row[name].strip(), f"{row['file']}: {name}"
        for licence in re.split(r" (?:AND|OR) ", row["licence"]):
            assert (root / "data" / "sample" / "licences" / f"{licence}.txt").stat().st_size > 200, licence
            assert not re.search(r"-N[CD]\b", licence)


def test_photographs_of_the_sample_come_by_id_without_the_clip(root, sources):
    photos = sample_photos(root)
    assert [photo.id for photo in photos] == sorted(Path(row["file"]).stem for row in sources if row["split"] in SPLITS)
    assert {photo.split for photo in photos} == set(SPLITS)
    assert all(photo.path == Path("data/sample/photos", f"{photo.id}.jpg") for photo in photos)


@pytest.mark.parametrize(
    ("columns", "licence", "said"),
    [
        (None, "", r"not readable .*; restore it"),
        ("file,split,source,title,author,licence", "CC0", r"not readable .*'content'"),
        ("file,split,source,content,title,author,licence", "", r"'b\.jpg' has no licence; add it, or remove the row"),
    ],
)
def test_a_table_that_cannot_serve_is_said_with_the_way_out(tmp_path, columns, licence, said):
    if columns:
        (tmp_path / "own.csv").write_text(f"{columns}\na.jpg,train,own,x,A,me,CC0\nb.jpg,test,own,x,B,me,{licence}\n")
    with pytest.raises(StudyError, match=rf"^own\.csv: {said}"):
        photo_table(tmp_path, Path("own.csv"))


def found(study, name, mount=Path("/nowhere")):
    """Where a source is, after its images were found in it by the source's pattern."""
    path = locate(study, name, mount)
    images = [one for one in open_archive(path).names() if fnmatchcase(one, study.data.sources[name].images)]
    assert sorted(images) == LAYOUTS[name]
    return path


@pytest.fixture
def raw(tiny_study):
    folder = tiny_study.root / "data" / "raw"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_set_of_the_paper_is_found_by_download_in_data_raw_and_attached_on_kaggle(
    tiny_study, raw, tmp_path, kaggle_service, name
):
    study, mount = tiny_study.load(), tmp_path / "input"
    owner, slug = study.data.sources[name].kaggle.split("/")
    kaggle_service.archives[f"{owner}/{slug}"] = layout_zip(name)
    (raw / name).mkdir()  # an empty folder is no source
    for _ in range(2):
        assert found(study, name) == raw / "kaggle" / owner / f"{slug}.zip"
    assert len(kaggle_service.asked("store")) == 1
    (raw / f"{name}.zip").write_bytes(layout_zip(name))
    assert found(study, name) == raw / f"{name}.zip"
    layout_folder(name, raw / name)
    layout_folder(name, mount / "datasets" / "somebody" / slug)
    assert found(study, name, mount) == raw / name
    for place in (slug, f"datasets/{owner}/{slug}"):  # as it was, and as it is
        assert found(study, name, mount) != layout_folder(name, mount / place) == found(study, name, mount)
    tiny_study.set(f"data.sources.{name}.kaggle", "competitions/photos")
    folder = layout_folder(name, mount / "competitions" / "photos")
    assert found(tiny_study.load(), name, mount) == folder


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
@pytest.mark.parametrize("place", ["relative", "absolute", "home"])
def test_a_path_takes_the_place_of_everything_else(tiny_study, raw, home, kind, place):
    (raw / "ffhq.zip").write_bytes(layout_zip("ffhq"))
    own = layout_folder("ffhq", (home if place == "home" else tiny_study.root) / "own")
    own = own if kind == "folder" else Path(shutil.make_archive(str(own), kind, own))
    written = {"relative": own.name, "absolute": str(own), "home": f"~/{own.name}"}[place]
    tiny_study.set("data.sources.ffhq.path", written)
    assert found(tiny_study.load(), "ffhq") == own


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ffhq", r"data\.sources\.ffhq\.path: there is no '.*faces'; correct it, or set it to null"),
        ("mirflikr", r"data\.sources: 'mirflikr' is unknown, did you mean 'mirflickr'"),
        ("imagenet", r"data\.sources\.imagenet: no valid Kaggle credentials found"),
        ("intel", r"\S+sample: 'a\.zip' is not in it; correct `inner`"),
        ("mirflickr", r"\S+own\.zip: 'a\.zip' is not in it"),
    ],
)
def test_a_source_that_is_nowhere_is_named(tiny_study, root, home, name, said):
    (tiny_study.root / "own.zip").write_bytes(layout_zip("mirflickr"))
    for source, path in (("ffhq", "faces"), ("intel", str(root / "data" / "sample")), ("mirflickr", "own.zip")):
        tiny_study.set(f"data.sources.{source}.path", path)
        tiny_study.set(f"data.sources.{source}.inner", "a.zip")
    with pytest.raises(StudyError, match=f"^{said}"):
        locate(tiny_study.load(), name)


@pytest.mark.parametrize("ending", ["gztar", "bztar", "xztar"])
def test_a_compressed_tar_is_laid_out_once(tiny_study, raw, tmp_path, ending):
    packed = Path(shutil.make_archive(str(raw / "ffhq"), ending, layout_folder("ffhq", tmp_path / "faces")))
    path = found(tiny_study.load(), "ffhq")
    assert path.parent == raw / "unpacked"
    packed.write_bytes(b"another")  # it would be noticed if it were read again ...
    os.utime(packed, (path.stat().st_mtime, path.stat().st_mtime))
    assert found(tiny_study.load(), "ffhq") == path
    os.utime(packed, (1, 1))  # ... as it is when its time says that it is another one
    with pytest.raises(StudyError, match="damaged"):
        locate(tiny_study.load(), "ffhq")


@pytest.mark.parametrize("inner", ["train.zip", "all/train.tar.gz"])
@pytest.mark.parametrize("outer", ["folder", "zip", "gztar"])
def test_an_archive_inside_the_archive_is_found_and_laid_out_once(tiny_study, raw, tmp_path, inner, outer):
    folder = raw / "ffhq" if outer == "folder" else tmp_path / "outer"
    kind = "zip" if inner.endswith("zip") else "gztar"
    packed = shutil.make_archive(str(tmp_path / "packed"), kind, layout_folder("ffhq", tmp_path / "set"))
    (folder / inner).parent.mkdir(parents=True)
    shutil.move(packed, folder / inner)
    if outer != "folder":
        shutil.make_archive(str(raw / "ffhq"), outer, folder, inner.partition("/")[0])
    tiny_study.set("data.sources.ffhq.inner", inner)
    path = found(tiny_study.load(), "ffhq")
    made = path.stat()
    assert found(tiny_study.load(), "ffhq") == path
    assert path.stat() == made


def test_the_registry_has_the_paper_s_table_1_and_terms_and_names_no_host(root, study):
    table = paper_table(study)
    assert list(table.source) == list(LAYOUTS)
    assert list(table.images) == ["~25,000", "varies", "~70,000", "~14,000,000", "~25,000"]
    assert table["on Kaggle"].str.fullmatch(r"[\w-]+/[\w-]+").all()
    assert all(source.licence.endswith(".") and source.native for source in study.data.sources.values())
    registry = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["data"]["sources"]
    assert not re.search(r"://|www\.|\.(com|org|edu)\b", str(registry))
