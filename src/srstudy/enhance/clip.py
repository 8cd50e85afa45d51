"""A clip, enlarged segment by segment: a kill costs the segment in hand, and the same call goes on behind the last."""

from __future__ import annotations

import csv
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyvips
from PIL import Image

from srstudy import StudyError
from srstudy.enhance import tiles
from srstudy.enhance.engine import SCALE, Engine
from srstudy.enhance.record import drop_record
from srstudy.enhance.steps import DENOISE_REACH, Steps, blended, denoised, difference, label, marked, with_clahe
from srstudy.enhance.writing import WIDEST, Format, join, write_segment
from srstudy.files import replacing, write_json
from srstudy.photos.clips import DEINTERLACER, Clip, Frame, open_clip

CLAIM = "output"  # a file among the segments
HIGHEST = 99.0  # dB, of frames that are equal
LONGEST, SHORTEST, SEGMENT = 250, 16, 32_000_000  # frames of a segment at most and at least; px of LR in it


def parts_of(target: Path) -> Path:
    """The folder of a clip's finished segments, which is removed at the end."""
    return target.with_name(f".{target.name}.parts")


def claim(target: Path) -> None:
    """Drop the record of an output that is about to be replaced; until the new one is there, this says whose it is."""
    parts_of(target).mkdir(exist_ok=True)
    (parts_of(target) / CLAIM).touch()
    drop_record(target)


def is_claimed(target: Path) -> bool:
    """Whether what is there without a record is an output all the same: the run was stopped between the two."""
    return (parts_of(target) / CLAIM).is_file()


def frames_said(clip: Clip) -> int:
    """How many frames a clip has, as its container says or as its duration and rate give; 0 where it says neither."""
    seconds = (clip.stream.duration or 0) * clip.time_base
    if not seconds and (said := re.fullmatch(r"(\d+):(\d+):([\d.]+)", clip.stream.metadata.get("DURATION", ""))):
        seconds = 3600 * int(said[1]) + 60 * int(said[2]) + Fraction(said[3])  # Matroska's
    seconds = seconds or Fraction(clip.container.duration or 0, av.time_base)  # of the longest stream, in FLV
    return clip.stream.frames or round(seconds * clip.rate)


def enhance_clip(path: Path, target: Path, frames_file: Path, engine: Engine, steps: Steps, codec: str,
                 plan: dict[str, Any], progress: Callable[[int, int], None], tile: int | None = None,
                 **reading: Any) -> dict[str, Any]:  # fmt: skip
    """Write the enlargement of the clip at `path`, and a row for each frame to `frames_file`; give what a record says.

    `plan` is all that decides the result: segments of another plan are dropped. `progress(done, total)` counts frames.
    The caller removes `parts_of(target)` when all that it writes besides is there.
    `reading` is how `open_clip` shall. Raises StudyError for a clip that can't be read, and when the disk is full.
    """
    target = target.absolute()  # FFmpeg takes what stands before a colon, as in a time of day, for a protocol
    folder, clip = parts_of(target), open_clip(path, **reading)
    with clip.container:
        frames = clip.frames()
        first = next(frames)
        height, width = first.rgb.shape[:2]
        how = Format(codec, SCALE * width, SCALE * height, clip.rate, clip.time_base, clip.shape, first.colour)
        if codec == "h264" and max(how.width, how.height) > WIDEST:
            raise StudyError(f"{path}: {how.width}x{how.height} is more than H.264 holds; use --codec ffv1.")
        total = frames_said(clip)
        offset = min(first.pts, round((clip.container.start_time or 0) / 1_000_000 / clip.time_base))
        _drop_others(folder, plan)
        segments, count, others = [], 0, 0

        def tell() -> None:
            nonlocal count
            count += 1
            progress(count, max(total, count))

        for group in _groups(chain([first], frames), height, width, tell):
            segments.append(piece := folder / f"{len(segments):06}.nut")
            if _is_whole(piece):
                deque(group, maxlen=0)
            else:
                _write(piece, group, engine, steps, tile, how, offset)
            others += group.fitted
        with replacing(target) as temporary:
            left_out = join(segments, clip, offset, temporary, lambda: progress(count, max(total, count)))
            claim(target)
        facts = _facts(clip, how, offset) | {"frames_fitted": others, "left_out": left_out}
        facts |= _summary(segments, frames_file)
    return facts


def _is_whole(piece: Path) -> bool:
    """Whether a segment of an earlier run has a packet for each frame; not if the machine failed meanwhile."""
    try:
        rows = json.loads(piece.with_suffix(".json").read_text(encoding="utf-8"))
        with av.open(str(piece)) as container:
            return len(rows) == sum(1 for packet in container.demux(video=0) if packet.size)
    except (OSError, ValueError, av.FFmpegError):
        return False


def _drop_others(folder: Path, plan: dict[str, Any]) -> None:
    """Make the folder of segments, without those of another plan."""
    noted, said = folder / "plan.json", json.loads(json.dumps(plan))
    if not noted.is_file() or json.loads(noted.read_text(encoding="utf-8")) != said:
        for piece in folder.glob("[0-9]*"):
            piece.unlink()
        write_json(noted, said)


def _groups(frames: Iterator[Frame], height: int, width: int, tell: Callable[[], None]) -> Iterator[_Group]:
    """The frames of each segment, to be read to their end before the next segment's."""
    length = max(SHORTEST, min(LONGEST, SEGMENT // (height * width)))
    for first in frames:
        yield _Group(chain([first], islice(frames, length - 1)), height, width, tell)


def _write(
    piece: Path, group: _Group, engine: Engine, steps: Steps, tile: int | None, how: Format, offset: int
) -> None:
    """Write a segment, and then a row for each of its frames, by which it is known to be whole."""
    measure = _Measure()
    with replacing(piece) as temporary:
        enlarged = _enlarged(group, engine, steps, measure, tile)
        written = write_segment(temporary, ((sr, pts - offset) for sr, pts in enlarged), how)
    rows = [*zip(group.times, group.md5s, written, measure.squares, measure.flicker)]
    if len(written) != len(group.times):
        raise StudyError(f"{piece}: {len(written)} of {len(group.times)} frames can be read again; run it again.")
    write_json(piece.with_suffix(".json"), rows)


class _Group:
    """Frames and times of one segment, all of the clip's first size; it remembers their MD5s and times, and calls
    `tell` for each.
    """

    def __init__(self, frames: Iterable[Frame], height: int, width: int, tell: Callable[[], None]):
        self.md5s: list[str] = []
        self.times: list[int] = []
        self.height, self.width, self.fitted, self._frames, self._tell = height, width, 0, frames, tell

    def __iter__(self) -> Iterator[tuple[np.ndarray, int]]:
        for frame in self._frames:
            self.md5s.append(frame.md5)
            self.times.append(frame.pts)
            rgb = frame.rgb
            if rgb.shape[:2] != (self.height, self.width):
                rgb, self.fitted = fitted(rgb, self.height, self.width), self.fitted + 1
            yield rgb, frame.pts
            self._tell()


class _Measure:
    """Of each frame, how far SR made small again is from LR; between frames, how much more SR changes than LR."""

    def __init__(self):
        self.squares: list[float] = []
        self.flicker: list[float | None] = []  # of a segment's first frame it is not known
        self._before = None

    def add(self, lr: np.ndarray, sr: np.ndarray) -> None:
        self.squares.append(float(np.square(difference(lr, sr)).mean()))
        thin = sr[::SCALE, ::SCALE].astype(np.int16), lr.astype(np.int16)
        changes = [float(np.abs(now - then).mean()) for now, then in zip(thin, self._before or ())]
        self.flicker.append(changes[0] - changes[1] if changes else None)
        self._before = thin


def _enlarged(
    group: _Group, engine: Engine, steps: Steps, measure: _Measure, tile: int | None
) -> Iterator[tuple[np.ndarray, int]]:
    """SR and time of each frame of a segment."""
    reach = engine.reach + (DENOISE_REACH if steps.denoise else 0)
    places = tiles.plan(group.height, group.width, reach, tile)
    waiting: deque[tuple[np.ndarray, np.ndarray, int]] = deque()  # the engine is some frames ahead

    def inputs() -> Iterator[np.ndarray]:
        for rgb, pts in group:
            lr = np.ascontiguousarray(denoised(rgb, steps.denoise))
            waiting.append((rgb, lr, pts))
            yield lr

    def in_tiles() -> Iterator[np.ndarray]:
        for lr in inputs():
            strips = tiles.enlarged(engine, lambda a, b, lr=lr: lr[a:b], places, lambda _, sr, *__: sr)
            yield np.concatenate([*strips])

    whole = len(places[0]) == len(places[1]) == 1
    for sr in engine.run(inputs()) if whole else in_tiles():
        rgb, lr, pts = waiting.popleft()
        sr = blended(lr, sr, steps.strength)
        measure.add(rgb, sr)
        if steps.clahe:
            sr = with_clahe(pyvips.Image.new_from_array(sr).copy(interpretation="srgb")).numpy()
        yield (marked(sr) if steps.mark else sr), pts


def fitted(rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame of another size than the clip's first, with its shape kept, black around it."""
    scale = min(height / rgb.shape[0], width / rgb.shape[1])
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    canvas = Image.new("RGB", (width, height))
    canvas.paste(
        Image.fromarray(np.ascontiguousarray(rgb)).resize(size, Image.Resampling.BICUBIC),
        ((width - size[0]) // 2, (height - size[1]) // 2),
    )
    return np.asarray(canvas)


def _facts(clip: Clip, how: Format, offset: int) -> dict[str, Any]:
    return {
        "packets_lost": clip.lost, "ends_cut": clip.cut, "times_mended": clip.mended, "turned": clip.turned,
        "frames_deinterlaced": clip.deinterlaced, "deinterlacer": DEINTERLACER if clip.deinterlaced else None,
        "bits": clip.bits, "bits_read": 8, "sizes": sorted(clip.sizes),
        "time_base": str(how.time_base), "rate": str(how.rate),
        "starts_at": round(float(offset * clip.time_base), 6), "pixel_shape": str(how.shape), "codec": how.codec,
        "colour": asdict(how.colour), "too_small_for_the_mark": label(how.height, how.width) is None,
    }  # fmt: skip


def _summary(segments: list[Path], frames_file: Path) -> dict[str, Any]:
    """Write each frame's row; give their number and what they have in common. Rows are never all in memory."""
    count, known, decibels, changes, least = 0, 0, 0.0, 0.0, HIGHEST
    with replacing(frames_file) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["frame", "time", "md5_in", "md5_out", "consistency_db", "flicker"])
        for piece in segments:
            rows = json.loads(piece.with_suffix(".json").read_text(encoding="utf-8"))
            for time, md5_in, md5_out, square, flicker in rows:
                psnr = min(HIGHEST, float(10 * np.log10(255**2 / square))) if square else HIGHEST
                told = "" if flicker is None else f"{flicker:.3f}"
                table.writerow([count, time, md5_in, md5_out, f"{psnr:.2f}", told])
                known, changes = known + (flicker is not None), changes + (flicker or 0.0)
                count, decibels, least = count + 1, decibels + psnr, min(least, psnr)
    return {
        "frames": count, "flicker_levels": round(changes / max(1, known), 3),
        "consistency": {"psnr_db_mean": round(decibels / count, 2), "psnr_db_least": round(least, 2)},
    }  # fmt: skip
