"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from srstudy import StudyError

if TYPE_CHECKING:  # imported by whoever has a table to write: it takes half a second
    import pandas as pd

COMPLETE = "complete"  # a file of this name among the checkpoints of a run that reached its end
SOURCE = "source.txt"  # a file of this name in a folder of results says of which test set or clip they are


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; on success it takes the place of `path`.

    Works for a file or a folder. After an error, or a kill, `path` is what it was before (a folder killed in the
    instant between two renames is gone, but never half).
    Raises StudyError when the disk is full, or `path` can't be replaced, as on Windows while something has it open.
    """
    path = Path(path)
    name = path.name
    if len(os.fsencode(name + path.suffix)) > 245:  # file systems allow 255 bytes
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    temporary, older = (path.with_name(f".{name}.part{end}") for end in (path.suffix, "-old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        if temporary.is_file():  # on the disk before its name is: else a power failure may leave it empty
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        _remove(older)
        if path.is_dir():
            os.rename(path, older)
        _unlock(path)
        os.replace(temporary, path)
    except OSError as error:
        if older.is_dir() and not path.exists():
            os.rename(older, path)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY) and str(path) in (error.filename, error.filename2):
            way_out = "close what has it open, such as the kernel of a notebook, and run again; it is as it was"
            raise StudyError(f"{path}: can't be replaced ({error.strerror}); {way_out}.") from error
        # NumPy reports a short write without a number: "4320000 requested and 257920 written".
        if error.errno == errno.ENOSPC or re.fullmatch(r"\d+ requested and \d+ written", str(error)):
            raise StudyError(f"{path}: the disk is full; free some space and run again.") from error
        raise
    finally:
        _remove(temporary)
        if path.exists():
            _remove(older)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with LF line ends, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON with sorted keys, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write `table` as CSV with six significant digits, whole or not at all."""
    write_text(path, table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def sha256(path: Path) -> str:
    """The SHA-256 of a file, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def resolved(root: Path, place: str | Path) -> Path:
    """The file or folder that a user names: by an absolute path, one that starts at `~`, or one from `root` on."""
    return (root / Path(str(place)).expanduser()).resolve()


def own_folder(folder: str | Path, source: Path) -> Path:
    """The place for what is found out about `source`: `folder`, or where another source has it, one with a hash behind.

    A file in the folder tells whose it is, by the hash alone: what is committed names no place of one machine.
    """
    mark, own = Path(folder) / SOURCE, hashlib.sha256(os.fsencode(source)).hexdigest()[:8]
    if not mark.is_file():
        write_text(mark, own)
    return mark.parent if mark.read_text(encoding="utf-8") == own else Path(f"{folder}-{own}")


def before_save(model: dict, path: str, contents_manager, **_) -> None:
    """What Jupyter does before it saves a file (`make lab`), in place: a link into DVC's cache becomes a copy, and no
    notebook says by which version of Python it was run.
    """
    file = Path(contents_manager.root_dir, path)
    if file.is_file() and file.stat().st_nlink > 1:
        with replacing(file) as temporary:
            shutil.copyfile(file, temporary)
    if model["type"] == "notebook":
        model["content"]["metadata"].get("language_info", {}).pop("version", None)


def _unlock(path: Path) -> None:
    """Windows neither replaces nor removes a file that is read-only, as DVC makes those that are links to its cache."""
    for file in (path, *path.rglob("*")) if sys.platform == "win32" and path.exists() else ():
        file.chmod(0o666)


def _remove(path: Path) -> None:
    if path.is_dir():
        _unlock(path)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
