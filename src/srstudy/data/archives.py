"""A folder, a zip or a tar read in place: every file by name, nothing unpacked, and archives that mean harm refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from srstudy.errors import StudyError
from srstudy.files import replacing

COMPRESSED_TARS = {
    ".tar.gz": gzip.open, ".tgz": gzip.open, ".tar.bz2": bz2.open, ".tbz2": bz2.open, ".tar.xz": lzma.open,
    ".txz": lzma.open,
}  # fmt: skip
CHUNK = 1 << 20  # bytes read at a time


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most: `ratio` times its own size and `total` bytes, and `file` bytes in a file read.

    Photographs are compressed already (ratio 1), text reaches 10, Deflate's worst is 1,032. The full ImageNet is
    0.2 TB, and none of its photographs reaches 20 MB.
    """

    ratio: int = 100
    total: int = 2 << 40
    file: int = 256 << 20


LIMITS = Limits()


@dataclass(frozen=True)
class Member:
    """A file of an archive: its POSIX name inside, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Archive:
    """The files of a folder or an archive. Several threads may read at once."""

    path: Path
    sizes: Mapping[str, int]
    opener: Callable[[str], AbstractContextManager[BinaryIO]]
    limits: Limits

    def members(self) -> Iterator[Member]:
        """All files, by name."""
        return (Member(name, self.sizes[name]) for name in sorted(self.sizes))

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises StudyError if there is none of this name, if it is damaged, or too large."""
        if self.sizes.get(name, 0) > self.limits.file:
            raise StudyError(f"{self.path}: '{name}' is too large for a photograph ({self.sizes[name]:,} bytes).")
        return b"".join(self._chunks(name))

    def copy(self, name: str, target: str | Path) -> None:
        """Write a file of any size to `target`, whole or not at all. Raises StudyError as `read` does."""
        _write(target, self._chunks(name))

    def _chunks(self, name: str) -> Iterator[bytes]:
        if name not in self.sizes:
            raise StudyError(f"{self.path}: holds no file '{name}'; check the name.")
        with _damage_named(f"{self.path}: '{name}'"), self.opener(name) as stream:
            left = self.sizes[name]
            while left:
                chunk = stream.read(min(CHUNK, left))
                if not chunk:
                    raise EOFError("it ends early")
                left -= len(chunk)
                yield chunk


@contextmanager
def open_archive(path: str | Path, limits: Limits = LIMITS) -> Iterator[Archive]:
    """Open a folder, a .zip or a .tar to read its files in place.

    A compressed tar can be read from its beginning only: `expand` it first.
    Raises StudyError for anything else, for a damaged archive, and for one that holds links, devices, names that lead
    out of it, or more than `limits` allow.
    """
    path = Path(path)
    if path.is_dir():
        yield _open_folder(path, limits)
    elif not path.exists():
        raise StudyError(f"{path}: no such folder or archive; check the path.")
    elif path.suffix.lower() == ".zip":
        with _damage_named(str(path)):
            file = zipfile.ZipFile(path)
        with file:
            yield _open_zip(path, file, limits)
    elif path.suffix.lower() == ".tar":
        yield _open_tar(path, limits)
    else:
        raise StudyError(f"{path}: expected a folder, a .zip or a .tar; unpack it first.")


def is_compressed_tar(path: str | Path) -> bool:
    """Whether the file's name is that of a compressed tar, such as a.tar.gz."""
    return str(path).lower().endswith(tuple(COMPRESSED_TARS))


def expand(path: str | Path, target: str | Path, limits: Limits = LIMITS) -> None:
    """Write a compressed tar as a plain one, which can be read in place; `target` is whole or not there.

    Raises StudyError when it is damaged, or holds more than `limits` allow.
    """
    path = Path(path)
    opener = next(opener for ending, opener in COMPRESSED_TARS.items() if path.name.lower().endswith(ending))
    allowed = min(limits.total, limits.ratio * path.stat().st_size)

    def chunks() -> Iterator[bytes]:
        written = 0
        with _damage_named(str(path)), opener(path, "rb") as stream:
            while chunk := stream.read(CHUNK):
                written += len(chunk)
                _check_total(path, written, allowed)
                yield chunk

    _write(target, chunks())


class _FolderSizes(Mapping[str, int]):
    """Sizes of a folder's files by name, each looked up when it is asked for: to list many thousand files takes long
    where a folder is mounted from afar, and their names much memory.

    Links to files are followed: the folder is the user's own, and data tools fill folders with links.
    """

    def __init__(self, path: Path):
        self._path = path

    def __getitem__(self, name: str) -> int:
        file = os.path.normpath(self._path / name)
        if not (Path(file).is_relative_to(os.path.normpath(self._path)) and os.path.isfile(file)):
            raise KeyError(name)
        return os.path.getsize(file)

    def __iter__(self) -> Iterator[str]:
        for folder, _, names in os.walk(self._path, onerror=_raise):
            inside = PurePath(folder).relative_to(self._path).as_posix()
            for name in names:
                if os.path.isfile(os.path.join(folder, name)):
                    yield name if inside == "." else f"{inside}/{name}"

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _open_folder(path: Path, limits: Limits) -> Archive:
    return Archive(path, _FolderSizes(path), lambda name: (path / name).open("rb"), limits)


def _raise(error: OSError) -> None:
    raise StudyError(f"{error.filename}: can't be listed ({error.strerror}); check its permissions.") from error


def _open_zip(path: Path, file: zipfile.ZipFile, limits: Limits) -> Archive:
    infos = {}
    for info in file.infolist():
        name = _safe_name(path, info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive's maker knows no Unix modes
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise StudyError(_no_plain_file(path, name))
        if not info.is_dir():
            infos[name] = info
    sizes = {name: info.file_size for name, info in infos.items()}
    _check_total(path, sum(sizes.values()), min(limits.total, limits.ratio * path.stat().st_size))
    return Archive(path, sizes, lambda name: file.open(infos[name]), limits)


def _open_tar(path: Path, limits: Limits) -> Archive:
    places, sizes, end = {}, {}, path.stat().st_size
    with _damage_named(str(path)), tarfile.open(path, "r:") as file:
        file.fileobj.seek(-min(end, tarfile.BLOCKSIZE), os.SEEK_END)
        if any(file.fileobj.read()):  # the last block is empty, unless the end is missing
            raise EOFError("it ends early")
        for info in file:
            name = _safe_name(path, info.name)
            if not (info.isdir() or info.isreg()) or info.issparse():
                raise StudyError(_no_plain_file(path, name))
            if info.offset_data + info.size > end:
                raise EOFError("it ends early")
            if info.isreg():
                places[name], sizes[name] = info.offset_data, info.size
    _check_total(path, sum(sizes.values()), limits.total)

    @contextmanager
    def opener(name: str) -> Iterator[BinaryIO]:
        with path.open("rb") as stream:
            stream.seek(places[name])
            yield stream

    return Archive(path, sizes, opener, limits)


def _safe_name(path: Path, name: str) -> str:
    """A file's POSIX name. Raises StudyError for one that leads out of the archive."""
    plain = PurePosixPath(name.replace("\\", "/"))  # some Windows tools write backslashes
    if plain.is_absolute() or re.match(r"[A-Za-z]:[\\/]", name):
        raise StudyError(f"{path}: holds a file with an absolute path, '{name}'; do not use this archive.")
    if ".." in plain.parts:
        raise StudyError(f"{path}: holds a file that leads out of it, '{name}'; do not use this archive.")
    return plain.as_posix()


def _no_plain_file(path: Path, name: str) -> str:
    return f"{path}: '{name}' is a link, a device or a sparse file; pack the files themselves."


def _check_total(path: Path, size: int, allowed: int) -> None:
    if size > allowed:
        raise StudyError(f"{path}: unpacks to more than {allowed:,} bytes, as no archive of photographs does.")


@contextmanager
def _damage_named(what: str) -> Iterator[None]:
    """Say of any error in reading which file it is of. Zip raises RuntimeError for passwords and unknown methods."""
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise StudyError(f"{what}: damaged or not readable ({error}); get it again.") from error


def _write(target: str | Path, chunks: Iterator[bytes]) -> None:
    bar = tqdm(desc=f"laying out {Path(target).name}", unit="B", unit_scale=True, mininterval=1, delay=2)
    with bar, replacing(target) as temporary, temporary.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            bar.update(len(chunk))
