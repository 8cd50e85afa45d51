"""A record, held against what its original gives when it is enlarged again."""

from __future__ import annotations

import os
import tempfile
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyvips

from srstudy import StudyError
from srstudy.enhance.engine import Engine
from srstudy.enhance.models import find_model
from srstudy.enhance.record import read_record
from srstudy.enhance.steps import Steps
from srstudy.enhance.work import Progress, Settings, computed_deep, enhance, is_clip
from srstudy.files import sha256
from srstudy.photos.clips import open_clip


def verify(path: Path, original: Path | None, progress: Progress) -> tuple[bool, str]:
    """Derive a record's output again from the original; whether it is the same to a level, and a sentence.

    The original is looked for where the record says, then beside it. Raises StudyError if it, the model or the output
    is missing or has changed.
    """
    record = read_record(path)
    named = path.parent / record["input"]["file"]
    source = original or (named if named.is_file() else path.with_name(named.name))
    target, settings = path.parent / record["output"]["file"], record["settings"]
    model = path.parent / record["model"]["file"]
    model = model if model.is_file() else find_model(settings["model"])
    for name, file in (("input", source), ("output", target), ("model", model)):
        called = {"input": "original"}.get(name, name)
        if not file.is_file():
            way_out = ", or give its place by --original" if name == "input" else ""
            raise StudyError(f"{file}: the {called} is not there; put it there{way_out}.")
        if sha256(file) != record[name]["sha256"]:
            raise StudyError(f"{file}: the {called} has changed since it was recorded; it can't be verified.")
    try:
        given = Settings(**{**settings, "steps": Steps(**settings["steps"])})
    except TypeError as error:
        raise StudyError(f"{path}: is of another version of this tool ({error}); use that one.") from None
    engine = Engine(model, given.mode)
    if engine.integers and record["model"].get("integers_sha256", engine.integers) != engine.integers:
        raise StudyError(f"{model}: its 8-bit integers have changed since it was recorded; it can't be verified.")
    place = path.parent if os.access(path.parent, os.W_OK) else None  # a record may lie on a disk that is read-only
    with tempfile.TemporaryDirectory(dir=place, prefix=".verify-") as folder:
        again = Path(folder) / target.name
        enhance(source, again, given, engine, progress)
        worst, where = (_compare_clips if is_clip(source) else _compare_photos)(target, again)
    if worst > 1:
        then, now = record["computed_by"]["precision"], engine.describe(computed_deep(record["what"]))["precision"]
        other = f"; it was computed in {then}, here in {now}" if then != now else ""
        return False, f"different: by up to {worst} levels, {where}{other}"
    return (
        True,
        f"within a level: at most 1, {where}"
        if worst
        else "equal: the pixels of the output are what the original gives",
    )


def _compare_photos(one: Path, other: Path) -> tuple[int, str]:
    """The greatest difference in levels of 8 bits, rounded up, and where it is."""
    first, second = (pyvips.Image.new_from_file(f"{path}[]", access="sequential") for path in (one, other))
    if (first.width, first.height, first.bands) != (second.width, second.height, second.bands):
        return 255, "in size"
    most, place = (first.cast("int") - second.cast("int")).abs().max(x=True, y=True)
    levels = -(-int(most) // (257 if first.format == "ushort" else 1))
    return levels, f"first at column {place['x']}, row {place['y']}"


def _compare_clips(one: Path, other: Path) -> tuple[int, str]:
    first, second, worst, where = open_clip(one), open_clip(other), 0, ""
    with first.container, second.container:
        for number, (a, b) in enumerate(zip_longest(first.frames(), second.frames())):
            if a is None or b is None or a.rgb.shape != b.rgb.shape or a.pts != b.pts:
                return 255, f"in number, size or time of frames, from frame {number} on"
            if a.md5 != b.md5 and (levels := np.abs(a.rgb.astype(np.int16) - b.rgb)).max() > worst:
                worst, where = int(levels.max()), f"most in frame {number}"
    return worst, where
