"""One file, photograph or clip, from the original to the enlargement and its record."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from srstudy import StudyError
from srstudy.enhance import CLIPS, clip, photo, signing
from srstudy.enhance.engine import SCALE, Engine
from srstudy.enhance.models import CAUTION, card
from srstudy.enhance.original import open_photo
from srstudy.enhance.record import TOOL, beside, read_record, software, write_record
from srstudy.enhance.steps import Steps, label
from srstudy.enhance.writing import CONTAINERS, container_for
from srstudy.files import replacing, sha256
from srstudy.photos.archives import printable
from srstudy.photos.clips import open_clip
from srstudy.photos.images import EXTENSIONS

LOSSY = (".jpg", ".jpeg", ".webp", ".avif")
LONGEST = 230  # bytes of an output's name: file systems take 255, and its record's name is longer
Progress = Callable[[float, float], None]  # how much is done, of how much


class Busy(StudyError):
    """Another run is writing the same output."""


@dataclass(frozen=True)
class Settings:
    """All that decides an output, besides the original and the model's bytes."""

    model: str
    mode: str = "view"
    tile: int | None = None
    gps: bool = False
    codec: str | None = None  # of clips; None: h264, or as evidence ffv1, which loses nothing
    deinterlace: str = "auto"
    stream: int | None = None
    steps: Steps = field(default_factory=Steps)

    def __post_init__(self) -> None:
        """Raises StudyError for evidence that would lose something when it is written."""
        evidence = self.mode == "evidence"
        if evidence and self.codec == "h264":
            raise StudyError("--codec h264: evidence is written without loss; leave it out, or --mode evidence.")
        object.__setattr__(self, "codec", self.codec or ("ffv1" if evidence else "h264"))


def is_clip(path: Path) -> bool:
    """By its ending, or where that says nothing, by trying."""
    ending = path.suffix.lower()
    if ending in CLIPS or ending in EXTENSIONS:
        return ending in CLIPS
    try:
        open_photo(path)
        return False
    except (StudyError, UnicodeError):
        return True


def ending_for(source: Path, settings: Settings, wanted: str | None = None, named: str = "") -> str:
    """The ending of an output: `wanted`, or else the original's where that is fit for it. Raises StudyError, which
    begins with `named`, for one that can't be.
    """
    if is_clip(source):
        try:
            opened = open_clip(source)
            with opened.container:
                return container_for(opened, settings.codec)
        except StudyError:
            return CONTAINERS[settings.codec][0]  # what is wrong is said when its turn comes
    own = source.suffix.lower()
    if wanted in LOSSY and settings.mode == "evidence":
        raise StudyError(f"{named}: evidence is written without loss, as .png or .tif; name the output so.")
    ending = wanted or (own if settings.mode == "view" and photo.holds(source, own) else ".png")
    if ending not in photo.WRITTEN:
        raise StudyError(f"{named}: photographs are written as {', '.join(photo.WRITTEN)}; name the output so.")
    return ending


def sentence(error: Exception, source: Path, target: Path) -> str:
    """What went wrong, as one line."""
    if isinstance(error, StudyError):
        return " ".join(str(error).split())
    if not isinstance(error, OSError):
        return " ".join(f"{source}: {type(error).__name__}: {error}; look at the file, or leave it out.".split())
    if error.errno == errno.ENOSPC:
        return f"{target}: the disk is full; free some space and run the same command again."
    return f"{error.filename or target}: {error.strerror or error}; check its permissions (for {source.name})."


def enhance(source: Path, target: Path, settings: Settings, engine: Engine, progress: Progress,
            signer: signing.Signer | None = None) -> bool:  # fmt: skip
    """Write `target` and then its record; False if both are there already, of the same original and settings.

    Raises StudyError for what the user can mend. There is no record then, and no half of an output.
    """
    with _alone(target):
        return _enhance(source, target, settings, engine, progress, signer)


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep other runs, of this machine or another, from the same output. Raises Busy if one is at it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(f"{target}: another run is writing it; wait for that, or stop it.") from None
    try:
        yield
    finally:
        with suppress(OSError):  # before the release: who opened it meanwhile then sees that it is gone
            os.unlink(lock.lock_file)
        lock.release()


def _enhance(source: Path, target: Path, settings: Settings, engine: Engine, progress: Progress,
             signer: signing.Signer | None) -> bool:  # fmt: skip
    if odd := [name for name in map(str, (source, target)) if printable(name) != name]:
        raise StudyError(f"{printable(odd[0])}: a name that is not UTF-8; rename it.")
    if target.exists() and target.samefile(source):
        raise StudyError(f"{target}: is the original, which stays as it is; give another folder or --suffix.")
    if target.exists() and not (beside(target, "record.json").is_file() or clip.is_claimed(target)):
        raise StudyError(f"{target}: is there already, and no record says that it is an output; move it away.")
    if len(os.fsencode(target.name)) > LONGEST:
        raise StudyError(f"{target.name}: is too long a name for what lies beside it; give a shorter one.")
    original = {"file": _from(target.parent, source), "sha256": sha256(source), "bytes": source.stat().st_size}
    released = None if settings.model.endswith(".onnx") else "/".join(engine.path.parts[-2:])  # wherever it lies
    model = {"file": released or _from(target.parent, engine.path), "sha256": engine.sha256, **card(engine.path)}
    model |= {"integers_sha256": engine.integers} if engine.integers else {}
    given, levels = asdict(settings), None
    if _is_done(target, original, model, given, signer):
        shutil.rmtree(clip.parts_of(target), ignore_errors=True)
        return False
    began = _now()
    if is_clip(source):
        plan = {"input": original["sha256"], "model": model, "settings": given, "software": software()}
        plan |= {"computed_by": engine.describe()}
        facts = _clip(source, target, settings, engine, plan, progress)
    else:
        levels, facts = _photo(source, target, settings, engine, progress)
    if sha256(source) != original["sha256"]:
        raise StudyError(f"{source}: has changed meanwhile; run the same command again.")
    if signer:
        facts["content_credentials"] = signer.sign(target, TOOL)
    record = {
        "caution": CAUTION,
        "input": original,
        "output": {"file": target.name, "sha256": sha256(target), "bytes": target.stat().st_size},
        "what": facts,
        "steps": settings.steps.recorded(model["name"], not facts["too_small_for_the_mark"]),
        "model": model,
        "settings": given,
        "computed_by": {"mode": settings.mode, **engine.describe(computed_deep(facts))},
        "software": software(),
        "began": began,
        "ended": _now(),
    }
    write_record(target, record, levels)
    shutil.rmtree(clip.parts_of(target), ignore_errors=True)
    return True


def _photo(source: Path, target: Path, settings: Settings, engine: Engine,
           progress: Progress) -> tuple[np.ndarray, dict[str, Any]]:  # fmt: skip
    opened, done = open_photo(source), 0.0
    height, width = opened.size

    def more(share: float) -> None:
        nonlocal done
        done += share * height * width / 1e6
        progress(done, height * width / 1e6)

    with replacing(target) as temporary:
        how = settings.steps, TOOL, settings.tile, settings.gps, more
        consistency = photo.enhance_photo(opened, temporary, engine, *how)
        clip.claim(target)
    kind = {
        "kind": "photograph",
        "width": width,
        "height": height,
        "gray": opened.gray,
        "bits": 16 if opened.deep else 8,
        "too_small_for_the_mark": label(SCALE * height, SCALE * width) is None,
    }
    return consistency.map, kind | {"notes": opened.notes, "lr_consistency": consistency.summary()}


def _clip(
    source: Path, target: Path, settings: Settings, engine: Engine, plan: dict, progress: Progress
) -> dict[str, Any]:
    frames, reading = beside(target, "frames.csv"), {"deinterlace": settings.deinterlace, "number": settings.stream}
    how = engine, settings.steps, settings.codec, plan, progress, settings.tile
    facts = clip.enhance_clip(source, target, frames, *how, **reading)
    return {"kind": "clip", **facts, "each_frame": {"file": frames.name, "sha256": sha256(frames)}}


def computed_deep(facts: dict[str, Any]) -> bool:
    """Whether 16 bits were computed with; of clips, 8 are read."""
    return facts.get("bits_read", facts["bits"]) == 16


def _now() -> str:
    return datetime.now(timezone.utc).replace(microsecond=0).isoformat()


def _is_done(target: Path, original: dict, model: dict, settings: dict, signer: signing.Signer | None) -> bool:
    try:
        record = read_record(beside(target, "record.json"))
        same = all(record[key]["sha256"] == value["sha256"] for key, value in (("input", original), ("model", model)))
        signed = record["what"].get("content_credentials", {}).get("certificates_sha256")
        same &= not signer or signed == sha256(signer.certificates)
        same &= record["model"].get("integers_sha256") == model.get("integers_sha256")
        return same and record["settings"] == settings and sha256(target) == record["output"]["sha256"]
    except (StudyError, OSError):
        return False


def _from(folder: Path, path: Path) -> str:
    named = path.parent.resolve() / path.name  # a link by its own name
    try:
        return Path(os.path.relpath(named, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return str(named)
