"""A folder, a zip or a tar read in place: every file by its name, and nothing unpacked."""

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from srstudy import StudyError
from srstudy.files import replacing

COMPRESSED_TARS = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
LARGEST = 1 << 30  # bytes of a file that may be a photograph: a TIFF of 150 megapixels and 16 bits


@dataclass(frozen=True)
class Archive:
    """The files of a folder or an archive, each by its POSIX name inside. Several threads may read at once."""

    path: Path
    names: Callable[[], Iterable[str]]  # all, in any order
    find: Callable[[str], tuple[int, BinaryIO]]  # a file's size in bytes, and a stream that begins where the file does

    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises StudyError if there is none of this name, if it is damaged, or too large."""
        with _naming(f"{self.path}: '{name}'"):
            size, stream = self.find(name)
            with stream:
                if size > LARGEST:
                    raise StudyError(f"{self.path}: '{name}' is too large for a photograph ({size:,} bytes).")
                content = stream.read(size)
            if len(content) < size:
                raise EOFError("it ends early")
            return content


def open_archive(path: str | Path) -> Archive:
    """A folder, a .zip or a .tar, to read its files in place; `unpack` a compressed tar first. Raises StudyError for
    anything else, and for an archive that is damaged.
    """
    path = Path(path)
    if path.is_dir():
        return Archive(path, partial(_walk, path), lambda name: (os.path.getsize(path / name), open(path / name, "rb")))
    if not path.exists():
        raise StudyError(f"{path}: no such folder or archive; check the path.")
    if path.suffix.lower() == ".zip":
        with _naming(str(path)):
            file = zipfile.ZipFile(path)
        # Some Windows tools write backslashes.
        infos = {info.filename.replace("\\", "/"): info for info in file.infolist() if not info.is_dir()}
        return Archive(path, infos.keys, lambda name: (infos[name].file_size, file.open(infos[name])))
    if path.suffix.lower() == ".tar":
        places = _tar_places(path)
        return Archive(path, places.keys, lambda name: (places[name][1], _open_at(path, places[name][0])))
    raise StudyError(f"{path}: expected a folder, a .zip or a .tar; unpack it first.")


def unpack(path: Path, folder: Path, member: str | None = None) -> None:
    """Write all files of a zip or tar, or one, to `folder`, whole or not at all. Raises StudyError as `read` does."""
    opened = zipfile.ZipFile if path.suffix.lower() == ".zip" else tarfile.open
    with _naming(f"{path}: '{member}'" if member else str(path)), replacing(folder) as temporary, opened(path) as file:
        file.extraction_filter = getattr(tarfile, "data_filter", None)  # older Pythons have none
        file.extract(member, temporary) if member else file.extractall(temporary)


def is_hidden(name: str) -> bool:
    """Whether it is one of a bin, of thumbnails, or of what macOS notes of each file (`._IMG_1.jpg`)."""
    return any(part.startswith(".") and part not in (".", "..") for part in name.split("/"))


def printable(name: str) -> str:
    """A file's name as text that can be stored, which differs from it where its bytes are not UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _walk(folder: Path, above: str = "", around: tuple[str, ...] = ()) -> Iterator[str]:
    """Names of the files below a folder. Links count, because data tools fill folders with links: one to a folder is
    followed unless that is `around` it, and one to nothing is a file that can't be read.
    """
    real = os.path.realpath(folder)
    with _naming(str(folder)):
        for entry in os.scandir(folder) if real not in around else ():
            if os.path.isdir(entry) and not is_hidden(entry.name):
                yield from _walk(folder / entry.name, f"{above}{entry.name}/", (*around, real))
            elif os.path.isfile(entry) or os.path.islink(entry):
                yield above + entry.name


def _tar_places(path: Path) -> dict[str, tuple[int, int]]:
    """Where in a tar each plain file begins, and its size, in bytes. Links would repeat what is there already."""
    with _naming(str(path)), tarfile.open(path, "r:") as file:
        file.fileobj.seek(-min(path.stat().st_size, tarfile.BLOCKSIZE), os.SEEK_END)
        if any(file.fileobj.read()):  # the last block is empty, unless the end is missing, which tarfile ignores
            raise EOFError("it ends early")
        plain = (info for info in file if info.isreg() and not info.issparse())
        return {PurePosixPath(info.name).as_posix(): (info.offset_data, info.size) for info in plain}


def _open_at(path: Path, place: int) -> BinaryIO:
    stream = path.open("rb")
    stream.seek(place)
    return stream


@contextmanager
def _naming(what: str) -> Iterator[None]:
    """Say of an error in reading which file it is of. Zip raises RuntimeError for passwords and unknown methods."""
    try:
        yield
    except (KeyError, FileNotFoundError):
        raise StudyError(f"{what} is not in it, or links to what is gone; check it.") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise StudyError(f"{what}: damaged or not readable ({error}); get it again.") from error
