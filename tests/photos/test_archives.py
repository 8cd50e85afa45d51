"""Folders, zips and tars are read in place, byte for byte; archives that are broken are refused."""

import os
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srstudy import StudyError
from srstudy.photos import archives
from srstudy.photos.archives import open_archive, unpack


@pytest.fixture
def files(root) -> dict[str, bytes]:
    photos = zip(("wine.jpg", "people/astronaut.jpg", "a b/ä.jpg"), sorted((root / "data/sample/photos").iterdir()))
    return {**{name: path.read_bytes() for name, path in photos}, "readme.txt": b"no photograph"}


@pytest.fixture
def folder(tmp_path, files):
    """The files in a folder, beside an empty one."""
    (tmp_path / "set" / "empty").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    return tmp_path / "set"


def pack(folder: Path, kind: str) -> Path:
    """The folder's files in an archive beside it, or the folder itself; a tar's names are such as ./wine.jpg."""
    if kind == "stored":
        with zipfile.ZipFile(folder.with_name("SET.ZIP"), "w") as file:
            for path in folder.rglob("*"):
                file.write(path, path.relative_to(folder))
        return folder.with_name("SET.ZIP")
    return folder if kind == "folder" else Path(shutil.make_archive(str(folder), kind, folder))


@pytest.mark.parametrize("kind", ["folder", "zip", "stored", "tar"])
def test_every_file_is_read_as_it_is_by_several_threads_and_nothing_is_unpacked(folder, files, kind, monkeypatch):
    archive = open_archive(pack(folder, kind))
    before = sorted(folder.parent.rglob("*"))
    assert sorted(archive.names()) == sorted(files)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(archive.read, list(files) * 8)) == list(files.values()) * 8
    assert sorted(folder.parent.rglob("*")) == before
    with pytest.raises(StudyError, match=r"(?i)set\S*: 'im1\.jpg' is not in it, or links to what is gone; check it"):
        archive.read("im1.jpg")
    monkeypatch.setattr(archives, "LARGEST", 1000)
    with pytest.raises(StudyError, match=r"'wine\.jpg' is too large for a photograph"):
        archive.read("wine.jpg")


@pytest.mark.skipif(os.name != "posix", reason="links and permissions are others")
def test_links_in_a_folder_are_followed_and_what_cannot_be_listed_is_not_taken_for_empty(folder, files):
    (folder / "people" / ".bin").mkdir()
    (folder / "people" / ".bin" / "old.jpg").write_bytes(files["wine.jpg"])
    targets = {"im1.jpg": "wine.jpg", "friends": "people", "people/all": "..", "gone.jpg": "nowhere.jpg", "me": "me"}
    for name, target in targets.items():
        (folder / name).symlink_to(target)
    names = {*files, "im1.jpg", "friends/astronaut.jpg", "gone.jpg", "me"}  # and not around in circles
    assert sorted(open_archive(folder).names()) == sorted(names)
    for name, target in (("im1.jpg", "wine.jpg"), ("friends/astronaut.jpg", "people/astronaut.jpg")):
        assert open_archive(folder).read(name) == files[target]
    for name in ("gone.jpg", "me"):
        with pytest.raises(StudyError, match=f"'{name}'(: .*symbolic links| .*links to what is gone)"):
            open_archive(folder).read(name)
    (folder / "friends").unlink()
    (folder / "people").chmod(0)
    if not os.access(folder / "people", os.R_OK):  # root may read everything
        with pytest.raises(StudyError, match=r"people: damaged or not readable .*Permission denied"):
            list(open_archive(folder).names())
    (folder / "people").chmod(0o700)


def test_names_written_by_windows_tools_get_slashes(folder, files):
    path = pack(folder, "zip")
    path.write_bytes(path.read_bytes().replace(b"people/astronaut.jpg", b"people\\astronaut.jpg"))
    assert open_archive(path).read("people/astronaut.jpg") == files["people/astronaut.jpg"]


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("part", ["nothing", "half", "two files", "an error page"])
def test_part_of_an_archive_or_an_error_page_is_refused(folder, kind, part):
    path = pack(folder, kind)
    with tarfile.open(path) if kind == "tar" else zipfile.ZipFile(path) as file:
        third = file.getmembers()[3].offset if kind == "tar" else file.infolist()[3].header_offset
    ends = {"nothing": 0, "half": path.stat().st_size // 2, "two files": third}
    path.write_bytes(path.read_bytes()[: ends[part]] if part in ends else b"<html>" * 100)
    with pytest.raises(StudyError, match=rf"set\.{kind}: damaged or not readable"):
        open_archive(path)
    with pytest.raises(StudyError, match=r"set\.rar: expected a folder, a \.zip or a \.tar"):
        open_archive(path.rename(folder.with_name("set.rar")))
    with pytest.raises(StudyError, match="no such folder or archive"):
        open_archive(path)


@pytest.mark.parametrize("damage", ["other bytes", "a password"])
@pytest.mark.parametrize("kind", ["zip", "stored"])
def test_a_damaged_or_locked_file_of_a_zip_is_named_and_the_others_are_read(folder, files, kind, damage):
    path = pack(folder, kind)
    packed = bytearray(path.read_bytes())
    if damage == "a password":  # bit 0 of the flags
        packed[packed.index(b"wine.jpg") - 24] |= 1
        packed[packed.rindex(b"wine.jpg") - 38] |= 1
    else:
        start = packed.index(b"wine.jpg") + 1000
        packed[start : start + 50] = bytes(50)
    path.write_bytes(packed)
    with pytest.raises(StudyError, match=r"(?i)set\.zip: 'wine\.jpg': damaged or not readable"):
        open_archive(path).read("wine.jpg")
    assert open_archive(path).read("readme.txt") == files["readme.txt"]


@pytest.mark.parametrize("kind", ["gztar", "bztar", "xztar"])
@pytest.mark.parametrize("part", ["all", "half", "an error page"])
def test_a_compressed_tar_is_unpacked_whole_or_not_at_all(folder, files, kind, part):
    path, new = pack(folder, kind), folder.with_name("new")
    packed = path.read_bytes()
    path.write_bytes({"all": packed, "half": packed[: len(packed) // 2], "an error page": b"<html>" * 100}[part])
    if part == "all":
        unpack(path, new)
        assert {name: open_archive(new).read(name) for name in open_archive(new).names()} == files
    else:
        with pytest.raises(StudyError, match=r"set\.tar\.\w+: damaged or not readable"):
            unpack(path, new)
        assert sorted(os.listdir(folder.parent)) == ["set", path.name]
