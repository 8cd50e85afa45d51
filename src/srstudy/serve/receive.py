"""An upload, taken in within limits: what is too large, too slow or of another kind is refused before it is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from pathlib import Path

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from srstudy import StudyError

OTHERS = 65_536  # bytes of a form besides the file


@dataclass(frozen=True)
class Limits:
    """What a server takes; each by a variable of the environment, such as SRSTUDY_PIXELS."""

    bytes: int = 200_000_000  # of a file
    pixels: int = 40_000_000  # of a photograph
    frame_pixels: int = 2_100_000  # of a clip: 1080p
    frames: int = 20_000
    waiting: int = 100  # jobs
    uploads: int = 32  # at a time
    idle_seconds: int = 30  # between two parts of an upload
    slowest: int = 10_000  # bytes a second of an upload, after half a minute
    free_bytes: int = 500_000_000  # which stay on the disk
    per_minute: int = 600  # uploads by one user or address

    @classmethod
    def from_environment(cls) -> Limits:
        """Raises StudyError for what is no whole number above 0."""
        given = {}
        for field in fields(cls):
            if text := os.environ.get(name := f"SRSTUDY_{field.name.upper()}"):
                if not text.isascii() or not text.isdigit() or not int(text):
                    raise StudyError(f"{name}={text}: is no whole number above 0; correct it.")
                given[field.name] = int(text)
        return cls(**given)


class Refused(Exception):
    """An answer that is no success: its status, a sentence, and after how many seconds to ask again."""

    def __init__(self, status: int, said: str, again: int | None = None):
        super().__init__(said)
        self.status, self.said, self.again = status, said, again


class _Parser(MultiPartParser):
    spool_max_size = OTHERS  # in memory; more goes to a temporary file


async def received(request: Request, limits: Limits) -> FormData:
    """The fields of a multipart form; the one file is `file`. Raises Refused."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limits.bytes + OTHERS:
        raise Refused(413, f"The file is larger than this server takes: {limits.bytes:,} bytes.")
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(415, "Send a form (multipart/form-data) with the file in the field 'file'.")
    try:
        parser = _Parser(request.headers, _within(request, limits), max_files=1, max_fields=12, max_part_size=4096)
        form = await parser.parse()
    except (MultiPartException, ClientDisconnect, KeyError, ValueError) as error:
        raise Refused(400, f"The form can't be read ({getattr(error, 'message', error)}).") from None
    if not isinstance(form.get("file"), UploadFile) or not form["file"].size:
        await form.close()
        raise Refused(422, "The form has no file, or an empty one; put it in the field 'file'.")
    return form


async def _within(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    total, began, stream = 0, time.monotonic(), request.stream().__aiter__()
    while True:
        try:
            part = await asyncio.wait_for(stream.__anext__(), limits.idle_seconds)
        except StopAsyncIteration:
            return
        except asyncio.TimeoutError:
            raise Refused(408, "The upload has stopped; send it again.") from None
        total += len(part)
        if total > limits.bytes + OTHERS:
            raise Refused(413, f"The file is larger than this server takes: {limits.bytes:,} bytes.")
        if (seconds := time.monotonic() - began) > 30 and total < seconds * limits.slowest:
            raise Refused(408, "The upload is too slow; send a smaller file, or by a better line.")
        yield part


def store_upload(upload: UploadFile, target: Path, limits: Limits) -> None:
    """Write an upload to `target`. Raises Refused if the disk has no room for it."""
    if shutil.disk_usage(target.parent.parent).free - upload.size < limits.free_bytes:
        raise Refused(503, "The server's disk is full; try again later.", again=60)
    try:
        target.parent.mkdir()
        with open(target, "wb") as file:
            shutil.copyfileobj(upload.file, file, 1 << 20)
    except OSError:
        shutil.rmtree(target.parent, ignore_errors=True)
        raise Refused(503, "The server's disk takes nothing now; try again later.", again=60) from None
