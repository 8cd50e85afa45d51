"""Archives from Kaggle, received so that a broken download goes on where it stopped and only a whole one is kept.

The client's own download waits for no busy service, compares no hashes, and takes an error page that it gets while it
resumes for the archive's beginning (kaggle 2.2.4); so the client asks, and the bytes are received here.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm

from srstudy.data.kaggle_client import pause, request_archive, status_of, trouble
from srstudy.errors import StudyError
from srstudy.files import write_json
from srstudy.settings import Source

CHUNK = 1 << 16  # bytes; a cut connection loses as many at most


@dataclass(frozen=True)
class Origin:
    """What an archive is a copy of; kept beside it, so that it is neither mixed with another one nor taken for it."""

    kaggle: str
    version: int | None
    size: int | None = None  # bytes, as the service says
    md5: str | None = None  # base64, as the service says
    tag: str | None = None  # the service's name for these very bytes

    def serves(self, source: Source) -> bool:
        """Whether this is what the source asks for: its data set, and its version if it wants a certain one."""
        return self.kaggle == source.kaggle and source.version in (None, self.version)


def download(name: str, source: Source, target: Path, wait: Callable[[float], object] = time.sleep) -> None:
    """Download the archive of a source on Kaggle to `target`; go on where an earlier call stopped.

    `target` appears when the archive is whole: size and MD5 are what the service says (if it says them), and it has a
    zip's directory. `wait` is called with the seconds between two attempts.
    Raises StudyError, without any secret in it, when Kaggle refuses, fails for long or sends something else, and when
    the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it writes signed addresses
    try:
        with FileLock(target.with_name(f".{target.name}.lock"), timeout=0):
            _receive(name, source, target, wait)
            _check(name, target)
            os.replace(_part(target), target)
    except Timeout:
        raise StudyError(f"{target}: another run is downloading it; wait for its end.") from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise StudyError(f"{target}: the disk is full; free some space and run again, it goes on.") from None


def origin_of(target: Path) -> Origin | None:
    """What a downloaded or unfinished archive is a copy of; None if that is not known."""
    try:
        return Origin(**json.loads(_origin_path(target).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _receive(name: str, source: Source, target: Path, wait: Callable[[float], object]) -> None:
    """Ask and receive until nothing is missing; give up after some attempts in a row that brought nothing."""
    part, failures = _part(target), 0
    while True:
        before = _size(part)
        try:
            return _attempt(name, source, target)
        except requests.RequestException as caught:
            error = caught  # used below: what is raised within this block would carry the signed address along
        failures = failures + 1 if _size(part) <= before else 1
        if status_of(error) == requests.codes.requested_range_not_satisfiable:  # longer than the archive
            part.unlink(missing_ok=True)
        seconds = pause(name, source, error, failures)
        tqdm.write(f"{name}: {trouble(error)}; next attempt in {seconds:.0f} s", file=sys.stderr)
        wait(seconds)


def _attempt(name: str, source: Source, target: Path) -> None:
    """Receive what is missing of the unfinished archive, or all of it if the service has another one by now."""
    part, origin = _part(target), origin_of(target)
    have = _size(part) if origin is not None and origin.serves(source) and origin.tag is not None else 0
    if have and have == origin.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": origin.tag}
    with request_archive(name, source, headers) as response:
        if response.status_code != requests.codes.partial_content:
            have, origin = 0, _origin(source, response)
            part.unlink(missing_ok=True)
            write_json(_origin_path(target), asdict(origin))
        _check_space(target, have, origin)
        bar = tqdm(total=origin.size, initial=have, unit="B", unit_scale=True, desc=name, mininterval=1)
        with part.open("ab") as file, bar:
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def _origin(source: Source, response: requests.Response) -> Origin:
    headers = response.headers
    hashes = dict(item.strip().partition("=")[::2] for item in headers.get("x-goog-hash", "").split(","))
    tag = headers.get("ETag", "")
    if not tag or tag.startswith("W/"):  # a weak tag does not name bytes (RFC 9110, 13.1.5)
        tag = headers.get("Last-Modified", "")
    size = int(headers["Content-Length"]) if "Content-Length" in headers else None
    return Origin(source.kaggle, source.version, size, hashes.get("md5"), tag or None)


def _check_space(target: Path, have: int, origin: Origin) -> None:
    needed, free = (origin.size or 0) - have, shutil.disk_usage(target.parent).free
    if needed > free:
        raise StudyError(f"{target}: needs {needed:,} bytes more, but the disk has {free:,} left; free some space.")


def _check(name: str, target: Path) -> None:
    """Raises StudyError, and forgets what was received, if it is not the archive that the service spoke of."""
    part, origin = _part(target), origin_of(target)
    reason = None
    if origin.size is not None and _size(part) != origin.size:
        reason = f"{_size(part):,} bytes instead of {origin.size:,}"
    elif origin.md5 is not None and _md5(part) != origin.md5:
        reason = "its MD5 is not what Kaggle says"
    elif not _is_whole_zip(part):
        reason = "no zip, or one without its directory"
    if reason is not None:
        part.unlink()
        raise StudyError(f"data.sources.{name}: what came is damaged ({reason}); run again to download it anew.")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        hash = hashlib.md5(usedforsecurity=False)
        for chunk in iter(partial(file.read, CHUNK), b""):
            hash.update(chunk)
    return base64.b64encode(hash.digest()).decode()


def _is_whole_zip(path: Path) -> bool:
    try:
        zipfile.ZipFile(path).close()
    except zipfile.BadZipFile:
        return False
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _origin_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")
