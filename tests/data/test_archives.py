"""Folders, zips and tars are read in place, byte for byte; archives that are broken or mean harm are refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from srstudy.data.archives import Limits, Member, expand, is_compressed_tar, open_archive
from srstudy.errors import StudyError

NAMES = ("wine.jpg", "people/astronaut.jpg", "a b/ä.jpg")


@pytest.fixture
def files(root) -> dict[str, bytes]:
    """Photographs by the names that they have inside, and a text."""
    photos = sorted((root / "data" / "sample" / "photos").iterdir())
    return {**{name: path.read_bytes() for name, path in zip(NAMES, photos)}, "readme.txt": b"no photograph"}


def make_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    (path / "empty").mkdir(exist_ok=True)
    return path


def make_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("empty/", b"")
        for name, content in files.items():
            file.writestr(name, content)
    return path


def make_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as file:
        empty = tarfile.TarInfo("empty")
        empty.type = tarfile.DIRTYPE
        file.addfile(empty)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


MAKERS = {
    "folder": lambda folder, files: make_folder(folder / "set", files),
    "zip": lambda folder, files: make_zip(folder / "set.zip", files),
    "stored zip": lambda folder, files: make_zip(folder / "SET.ZIP", files, zipfile.ZIP_STORED),
    "tar": lambda folder, files: make_tar(folder / "set.tar", files),
}


@pytest.fixture(params=MAKERS)
def path(request, tmp_path, files):
    """The files in a folder, or in an archive of each kind."""
    return MAKERS[request.param](tmp_path, files)


def test_files_come_by_name_with_their_sizes_and_folders_are_none(path, files):
    with open_archive(path) as archive:
        assert list(archive.members()) == [Member(name, len(files[name])) for name in sorted(files)]


def test_every_file_is_read_as_it_is(path, files):
    with open_archive(path) as archive:
        assert {member.name: archive.read(member.name) for member in archive.members()} == files


def test_nothing_is_unpacked(path, tmp_path, files):
    before = sorted(tmp_path.rglob("*"))
    with open_archive(path) as archive:
        archive.read(NAMES[0])
    assert sorted(tmp_path.rglob("*")) == before


def test_several_threads_may_read_at_once(path, files):
    names = list(files) * 8
    with open_archive(path) as archive, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(archive.read, names)) == [files[name] for name in names]


def test_another_process_reads_the_same(path, files):
    script = (
        "import hashlib, sys\n"
        "from srstudy.data.archives import open_archive\n"
        "with open_archive(sys.argv[1]) as archive:\n"
        "    sys.stdout.buffer.write(b''.join(archive.read(member.name) for member in archive.members()))\n"
    )
    with open_archive(path):
        read = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, check=True).stdout
    assert read == b"".join(files[name] for name in sorted(files))


def test_a_file_that_is_not_there_is_named(path):
    with open_archive(path) as archive, pytest.raises(StudyError, match=r"(set|SET)\S*: holds no file 'im1\.jpg'"):
        archive.read("im1.jpg")


def test_a_file_too_large_for_a_photograph_is_not_read_but_may_be_copied(path, tmp_path, files):
    with open_archive(path, Limits(file=1000)) as archive:
        with pytest.raises(StudyError, match=r"'wine\.jpg' is too large for a photograph"):
            archive.read("wine.jpg")
        assert archive.read("readme.txt") == files["readme.txt"]
        archive.copy("wine.jpg", tmp_path / "copies" / "wine.jpg")
    assert (tmp_path / "copies" / "wine.jpg").read_bytes() == files["wine.jpg"]


def test_links_in_a_folder_are_followed(tmp_path, root):
    (tmp_path / "set").mkdir()
    photo = root / "data" / "sample" / "photos" / "astronaut.jpg"
    try:
        (tmp_path / "set" / "im1.jpg").symlink_to(photo)
    except OSError:
        pytest.skip("no links on this system")
    with open_archive(tmp_path / "set") as archive:
        assert archive.read("im1.jpg") == photo.read_bytes()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom a folder can refuse")
def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path, files):
    make_folder(tmp_path / "set", files)
    closed = next(path for path in sorted((tmp_path / "set").iterdir()) if path.is_dir())
    closed.chmod(0)
    try:
        with open_archive(tmp_path / "set") as archive:
            with pytest.raises(StudyError, match=rf"{closed.name}: can't be listed"):
                list(archive.members())
            with pytest.raises(StudyError, match="holds no file"):
                archive.read(f"{closed.name}/im1.jpg")
    finally:
        closed.chmod(0o700)


def test_a_folder_s_file_is_read_without_listing_all_others_and_none_outside_of_it(tmp_path, files, monkeypatch):
    make_folder(tmp_path / "set", files)
    (tmp_path / "outside.jpg").write_bytes(b"no business of theirs")
    monkeypatch.setattr(os, "walk", lambda *_, **__: pytest.fail("listed"))
    with open_archive(tmp_path / "set") as archive:
        name, content = next(iter(files.items()))
        assert archive.read(name) == content
        for outside in ("../outside.jpg", "people/../../outside.jpg", (tmp_path / "outside.jpg").as_posix()):
            with pytest.raises(StudyError, match="holds no file"):
                archive.read(outside)


def test_names_written_by_windows_tools_get_slashes(tmp_path, files):
    packed = make_zip(tmp_path / "set.zip", {"people/im1.jpg": files["wine.jpg"]}).read_bytes()
    (tmp_path / "set.zip").write_bytes(packed.replace(b"people/im1.jpg", b"people\\im1.jpg"))
    with open_archive(tmp_path / "set.zip") as archive:
        assert archive.read("people/im1.jpg") == files["wine.jpg"]


def test_names_that_begin_with_a_dot_folder_lose_it(tmp_path, files):
    with open_archive(make_tar(tmp_path / "set.tar", {"./im1.jpg": files["wine.jpg"]})) as archive:
        assert archive.read("im1.jpg") == files["wine.jpg"]


# What can't be read


def refusal(path, limits=None) -> str:
    """What is said of an archive that is not opened."""
    with pytest.raises(StudyError) as caught, open_archive(path, limits or Limits()):
        pass
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def test_a_missing_archive_is_named(tmp_path):
    assert "no such folder or archive" in refusal(tmp_path / "set.zip")


@pytest.mark.parametrize("name", ["set.rar", "set.tar.gz"])
def test_other_archives_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"packed")
    assert "expected a folder, a .zip or a .tar" in refusal(tmp_path / name)


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("content", [b"", b"<html>please log in</html>" * 100])
def test_what_only_has_the_name_of_an_archive_is_refused(tmp_path, kind, content):
    (tmp_path / f"set.{kind}").write_bytes(content)
    assert "damaged or not readable" in refusal(tmp_path / f"set.{kind}")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_half_archive_is_refused(tmp_path, files, kind, share):
    path = MAKERS[kind](tmp_path, files)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "damaged or not readable" in refusal(path)


def test_a_tar_cut_off_between_two_files_is_refused(tmp_path, files):
    path = make_tar(tmp_path / "set.tar", files)
    with tarfile.open(path) as file:
        end = file.getmembers()[2].offset
    path.write_bytes(path.read_bytes()[:end])
    assert "it ends early" in refusal(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_file_of_a_zip_is_named_and_the_others_are_read(tmp_path, files, compression):
    path = make_zip(tmp_path / "set.zip", files, compression)
    with zipfile.ZipFile(path) as file:
        place = file.getinfo("wine.jpg").header_offset + 1000
    packed = bytearray(path.read_bytes())
    packed[place : place + 50] = bytes(50)
    path.write_bytes(packed)
    with open_archive(path) as archive:
        with pytest.raises(StudyError, match=r"set\.zip: 'wine\.jpg': damaged or not readable"):
            archive.read("wine.jpg")
        with pytest.raises(StudyError, match=r"'wine\.jpg': damaged"):
            archive.copy("wine.jpg", tmp_path / "wine.jpg")
        assert archive.read("readme.txt") == files["readme.txt"]
    assert not (tmp_path / "wine.jpg").exists()


def test_a_locked_zip_is_said_to_need_a_password(tmp_path, files):
    path = make_zip(tmp_path / "set.zip", {"im1.jpg": files["wine.jpg"]})
    packed = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # bit 0 of the flags: encrypted
        packed[packed.rindex(signature) + place] |= 1
    path.write_bytes(packed)
    with open_archive(path) as archive, pytest.raises(StudyError, match="password"):
        archive.read("im1.jpg")


# What means harm


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/etc/passwd", "an absolute path, '/etc/passwd'; do not use this archive"),
        ("C:\\Windows\\a.jpg", "an absolute path"),
        ("c:/a.jpg", "an absolute path"),
        ("\\\\server\\a.jpg", "an absolute path"),
        ("../a.jpg", "a file that leads out of it, '../a.jpg'; do not use this archive"),
        ("a/../../b.jpg", "leads out of it"),
        ("a\\..\\..\\b.jpg", "leads out of it"),
    ],
)
def test_names_that_lead_out_of_the_archive_are_refused(tmp_path, files, make, name, message):
    path = make(tmp_path / f"set.{make.__name__.removeprefix('make_')}", {**files, name: b"x"})
    assert message in refusal(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("im1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "set.tar", "w") as file:
        file.addfile(info)
    assert "'im1.jpg' is a link, a device or a sparse file" in refusal(tmp_path / "set.tar")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("im1.jpg")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    assert "'im1.jpg' is a link, a device or a sparse file" in refusal(tmp_path / "set.zip")


@pytest.mark.skipif(shutil.which("tar") is None or sys.platform != "linux", reason="needs GNU tar")
def test_a_sparse_file_in_a_tar_is_refused(tmp_path):
    with (tmp_path / "im1.jpg").open("wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["tar", "-cSf", "set.tar", "im1.jpg"], cwd=tmp_path, check=True)
    assert (tmp_path / "set.tar").stat().st_size < 1 << 20
    assert "is a link, a device or a sparse file" in refusal(tmp_path / "set.tar")


def test_a_bomb_is_refused_before_anything_is_read(tmp_path):
    path = make_zip(tmp_path / "set.zip", {f"{number}.bmp": bytes(10_000_000) for number in range(3)})
    assert path.stat().st_size < 100_000
    assert "unpacks to more than" in refusal(path)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_more_than_the_total_is_refused(tmp_path, files, kind):
    path = MAKERS[kind](tmp_path, files)
    total = sum(map(len, files.values()))
    assert f"unpacks to more than {total - 1:,} bytes" in refusal(path, Limits(total=total - 1))
    with open_archive(path, Limits(total=total)) as archive:
        assert len(list(archive.members())) == len(files)


def test_a_file_larger_than_its_entry_says_is_not_read_on(tmp_path, files):
    """An entry that understates its file would get past the limits."""
    path = make_zip(tmp_path / "set.zip", {"im1.jpg": files["wine.jpg"]})
    size = len(files["wine.jpg"]).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (100).to_bytes(4, "little")))
    with open_archive(path) as archive, pytest.raises(StudyError, match=r"'im1\.jpg': damaged"):
        archive.read("im1.jpg")


# Compressed tars


@pytest.mark.parametrize(
    ("name", "mode"),
    [("set.tar.gz", "w:gz"), ("set.TGZ", "w:gz"), ("set.tar.bz2", "w:bz2"), ("set.tar.xz", "w:xz")],
)
def test_a_compressed_tar_is_expanded_to_one_that_can_be_read_in_place(tmp_path, files, name, mode):
    path = make_tar(tmp_path / name, files, mode)
    assert is_compressed_tar(path)
    expand(path, tmp_path / "raw" / "set.tar")
    with open_archive(tmp_path / "raw" / "set.tar") as archive:
        assert {member.name: archive.read(member.name) for member in archive.members()} == files


@pytest.mark.parametrize("name", ["set.tar", "set.zip", "set.gz", "tar.gz/set.zip"])
def test_other_files_are_no_compressed_tars(name):
    assert not is_compressed_tar(name)


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("damage", ["cut", "changed", "replaced"])
def test_a_damaged_compressed_tar_leaves_nothing(tmp_path, files, mode, damage):
    path = make_tar(tmp_path / f"set.tar.{mode}", files, f"w:{mode}")
    packed = path.read_bytes()
    half = len(packed) // 2
    if damage == "changed":
        packed = packed[:half] + bytes(byte ^ 255 for byte in packed[half : half + 100]) + packed[half + 100 :]
    path.write_bytes({"cut": packed[:half], "changed": packed, "replaced": b"<html>please log in</html>"}[damage])
    with pytest.raises(StudyError, match=rf"set\.tar\.{mode}: damaged or not readable"):
        expand(path, tmp_path / "set.tar")
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(("ending", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_bomb_leaves_nothing(tmp_path, ending, compress):
    path = tmp_path / f"set.tar.{ending}"
    path.write_bytes(compress(bytes(3_000_000)))
    with pytest.raises(StudyError, match=f"unpacks to more than {100 * path.stat().st_size:,} bytes"):
        expand(path, tmp_path / "set.tar")
    assert os.listdir(tmp_path) == [path.name]


ON_A_FULL_DISK = """
import os, pathlib, sys
from srstudy.data.archives import expand, open_archive
from srstudy.errors import StudyError

folder, packed = pathlib.Path(sys.argv[1]), pathlib.Path(os.environ["PACKED"])
for write in (lambda: expand(packed / "set.tar.gz", folder / "set"), lambda: archive.copy("wine.jpg", folder / "set")):
    try:
        with open_archive(packed / "set.zip") as archive:
            write()
    except StudyError as error:
        print(error)
print(os.listdir(folder))
"""


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, files, small_disk, monkeypatch):
    make_tar(tmp_path / "set.tar.gz", files, "w:gz")
    make_zip(tmp_path / "set.zip", {"wine.jpg": b"".join(files.values())})
    monkeypatch.setenv("PACKED", str(tmp_path))
    *said, there = small_disk(ON_A_FULL_DISK).splitlines()
    assert len(said) == 2
    assert all("set: the disk is full" in line for line in said)
    assert there == "[]"
