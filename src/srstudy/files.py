"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from srstudy import StudyError

if TYPE_CHECKING:  # imported by whoever has a table to write: it takes half a second
    import pandas as pd

COMPLETE = "complete"  # a file of this name among the checkpoints of a run that reached its end


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; on success it takes the place of `path`.

    Works for a file or a folder. After an error, or a kill, `path` is what it was before (a folder killed in the
    instant between two renames is gone, but never half).
    Raises StudyError when the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        if path.is_dir():
            _remove(path)
        os.replace(temporary, path)
    except OSError as error:
        # NumPy reports a short write without a number: "4320000 requested and 257920 written".
        if error.errno == errno.ENOSPC or re.fullmatch(r"\d+ requested and \d+ written", str(error)):
            raise StudyError(f"{path}: the disk is full; free some space and run again.") from error
        raise
    finally:
        _remove(temporary)


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


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
