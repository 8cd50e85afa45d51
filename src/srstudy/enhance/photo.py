"""A photograph of any size, enlarged in strips at flat memory: libvips reads and writes it, the network does the rest.

Rules: what `original` reads is written as sRGB, and tagged so; gray stays gray (the mean of the network's three
channels); 16 bits stay 16 (computed in float32); transparency is enlarged by bicubic interpolation, or laid over white
where the format has none.
"""

from __future__ import annotations

import gc
import struct
import zlib
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from srstudy import StudyError
from srstudy.enhance import tiles
from srstudy.enhance.engine import SCALE, Engine
from srstudy.enhance.looks import looks_aliased
from srstudy.enhance.metadata import with_metadata
from srstudy.enhance.original import Reader, Source, open_photo
from srstudy.enhance.steps import (
    DENOISE_REACH,
    WINDOW,
    Steps,
    bicubic,
    blended,
    denoised,
    difference,
    label,
    with_clahe,
)

JPEG, TIFF = ("[Q=95,subsample_mode=off]", 65_535), ("[compression=deflate,predictor=horizontal,bigtiff]", 2**31 - 1)
# What is written: libvips's options, and the most pixels a side.
WRITTEN = {
    ".jpg": JPEG, ".jpeg": JPEG, ".png": ("[compression=3]", 2**31 - 1), ".webp": ("[Q=95,smart_subsample]", 16_383),
    ".avif": ("[Q=80]", 16_384), ".tif": TIFF, ".tiff": TIFF,
}  # fmt: skip
PART = 2_000_000  # samples that are handed on at once
NO_ALPHA = (".jpg", ".jpeg")
DEEP = (".png", ".tif", ".tiff")


@dataclass
class Consistency:
    """How far SR, made small again, is from LR: of each block of LR the largest level, and the mean square of all.

    Blocks are squares of 1 px, or of so many, up to a tile's step, that the map has at most about 1024 a side.
    """

    height: int
    width: int
    square: float = 0.0

    def __post_init__(self) -> None:
        """An empty map."""
        self.block = 1
        while self.block < tiles.STEP and max(self.height, self.width) > 1024 * self.block:
            self.block *= 2
        self.map = np.zeros((-(-self.height // self.block), -(-self.width // self.block)), np.float32)

    def add(self, levels: np.ndarray, top: int, left: int) -> None:
        """Levels [h, w, C] of a part whose corner lies on a block's."""
        self.square += float(np.square(levels, dtype=np.float64).mean(axis=2).sum())
        rows, columns = (-size % self.block for size in levels.shape[:2])
        worst = np.pad(levels.max(axis=2), ((0, rows), (0, columns)))
        worst = worst.reshape(len(worst) // self.block, self.block, -1, self.block).max(axis=(1, 3))
        top, left = top // self.block, left // self.block
        self.map[top : top + len(worst), left : left + worst.shape[1]] = worst

    def summary(self) -> dict[str, float]:
        """PSNR in dB, at most 99, and the largest difference in levels."""
        mean = self.square / (self.height * self.width)
        psnr = 10 * np.log10(255**2 / mean) if mean else 99.0
        return {"psnr_db": round(min(99.0, float(psnr)), 2), "largest_level": round(float(self.map.max()), 1)}


def holds(path: Path, ending: str) -> bool:
    """Whether a format is written, and holds the enlargement of this photograph."""
    most = WRITTEN[ending][1] if ending in WRITTEN else 0
    try:
        return most >= 2**31 - 1 or most >= SCALE * max(open_photo(path).size)
    except (StudyError, UnicodeError):
        return most > 0  # what is wrong is said when its turn comes


def enhance_photo(source: Source, target: Path, engine: Engine, steps: Steps, tool: str, tile: int | None = None,
                  gps: bool = False, progress: Callable[[float], None] = lambda _: None) -> Consistency:  # fmt: skip
    """Write the enlargement to `target`, whose ending is one of `WRITTEN`; what comes out is sRGB.

    Raises StudyError if the format can't hold that size, for steps that need 8 bits, for damage that is met while
    reading, and if the target can't be written.
    """
    height, width = (SCALE * side for side in source.size)
    ending = target.suffix.lower()
    options, most = WRITTEN[ending]
    if max(height, width) > most:
        raise StudyError(f"{source.path}: {width}x{height} is more than {ending} holds; write .tif or .png.")
    deep, alpha = source.deep and ending in DEEP, source.alpha and ending not in NO_ALPHA
    if steps.clahe and deep:
        raise StudyError(f"{source.path}: --clahe works on 8 bits, not on this file's 16; leave it out.")
    if steps.denoise and source.deep:
        raise StudyError(f"{source.path}: --denoise works on 8 bits, not on this file's 16; leave it out.")
    text = label(height, width) if steps.mark else None
    if steps.mark and text is None:
        source.notes.append("too small for the mark")
    consistency = Consistency(*source.size)
    strips = _strips(source, engine, steps, tile, consistency, progress)
    strips = (_samples(sr, source.alpha, deep, alpha) for sr in strips)
    strips = _with_clahe(strips, height, alpha) if steps.clahe else strips
    pipe = Pipe(_png(width, height, (1 if source.gray else 3) + alpha, 16 if deep else 8, strips))
    try:
        image = pyvips.Image.new_from_source(pipe.source, "", access="sequential", fail_on="error")
        if text is not None:
            image = image.insert(_like(text, image, alpha), width - text.shape[1], height - text.shape[0])
        image = with_metadata(image, source.path, tool, gps)
        if not source.gray:
            image.set_type(pyvips.GValue.blob_type, "icc-profile-data", pyvips.Image.profile_load("srgb"))
        _write(image, f"{target}{options}", pipe)
    except pyvips.Error as error:
        raise pipe.error or _not_written(error, source.path) from None
    finally:
        pipe.close()
    if pipe.error:
        raise pipe.error
    return consistency


def _write(image: pyvips.Image, target: str, pipe: Pipe) -> None:
    """Write in another thread: in libvips's code, this one would hear of Ctrl-C only when all is written."""
    with ThreadPoolExecutor(1) as pool:
        writing, stopped = pool.submit(image.write_to_file, target), None
        while not writing.done():
            try:
                wait([writing], timeout=0.5)  # Windows hears nothing in a wait without an end
            except BaseException as error:  # the second Ctrl-C, too: what still runs can't be closed
                pipe.error = stopped = stopped or error
        try:
            if stopped:
                raise stopped
            writing.result()
        finally:
            del writing, stopped  # they and their errors would hold each other, and the file


def _strips(source: Source, engine: Engine, steps: Steps, tile: int | None, consistency: Consistency,
            progress: Callable[[float], None]) -> Iterator[np.ndarray]:  # fmt: skip
    """Strips of SR from top to bottom, [h, W, 1 or 3] of gray or colours, and one band more of alpha."""
    height, width = source.size
    places = tiles.plan(height, width, engine.reach + (DENOISE_REACH if steps.denoise else 0), tile)

    def prepare(lr: np.ndarray) -> np.ndarray:
        return denoised(lr[..., :3], steps.denoise)

    def finish(lr: np.ndarray, sr: np.ndarray, row: tiles.Span, column: tiles.Span) -> np.ndarray:
        if row.start == column.start == 0 and (note := looks_aliased(lr[..., :3])):
            source.notes.append(note)
        sr = blended(prepare(lr), sr, steps.strength) if steps.strength < 1 else sr
        colours = lr[..., :3]
        if source.gray:
            colours, sr = lr[..., :1], sr.mean(axis=2, keepdims=True, dtype=np.float32)
        sr = sr.clip(0, 255) if source.deep else _rounded(sr)
        inside = difference(colours, sr)[row.kept, column.kept]
        consistency.add(inside, row.start, column.start)
        progress(inside.shape[0] * inside.shape[1] / (height * width))
        return np.concatenate([sr, bicubic(lr[..., 3:])], axis=2) if source.alpha else sr

    return tiles.enlarged(engine, Reader(source), places, finish, prepare)


class Pipe:
    """A stream of bytes for libvips. What goes wrong while they are made is kept in `error`."""

    def __init__(self, content: Generator[bytes, None, None]):
        self.error: BaseException | None = None
        self.source = pyvips.SourceCustom()
        self._content, self._rest = content, memoryview(b"")
        self.source.on_read(self._read)

    def _read(self, size: int) -> bytes:
        try:
            if not self._rest and not self.error:
                self._rest = memoryview(next(self._content, b""))
        except BaseException as error:
            self.error = error
        part, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return part

    def close(self) -> None:
        """Let go of what it holds: strips of pictures, which libvips' objects and it would keep for each other."""
        del self.source
        self._rest = memoryview(b"")
        self._content.close()
        gc.collect()


def _png(width: int, height: int, bands: int, bits: int, strips: Iterator[np.ndarray]) -> Generator[bytes, None, None]:
    """An uncompressed PNG, strip by strip: the one format that libvips reads from a stream in every build."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    colour = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    stored = zlib.compressobj(0)
    some = max(1, PART // (width * bands))
    for strip in strips:
        for top in range(0, len(strip), some):  # a whole strip, copied for each of these, would be 100 MB each time
            part = np.ascontiguousarray(strip[top : top + some])
            rows = part.reshape(len(part), -1).view(np.uint8)
            yield chunk(b"IDAT", stored.compress(np.pad(rows, ((0, 0), (1, 0)))))
    yield chunk(b"IDAT", stored.flush()) + chunk(b"IEND", b"")


def _samples(sr: np.ndarray, alpha: bool, deep: bool, with_alpha: bool) -> np.ndarray:
    """What is written of a strip: [h, w, bands], uint8, or big-endian uint16 where it is `deep`."""
    if alpha and not with_alpha:  # the format has none: over white
        share = sr[..., -1:].clip(0, 255) / np.float32(255)
        sr = sr[..., :-1] * share + 255 * (1 - share)
    return np.floor(sr.clip(0, 255) * np.float32(257) + 0.5).astype(">u2") if deep else _rounded(sr)


def _rounded(sr: np.ndarray) -> np.ndarray:
    return sr if sr.dtype == np.uint8 else np.floor(sr.clip(0, 255) + 0.5).astype(np.uint8)


def _with_clahe(strips: Iterator[np.ndarray], height: int, alpha: bool) -> Iterator[np.ndarray]:
    """Strips uint8 [h, W, bands] with CLAHE, as if of the whole: each comes when what its pixels depend on is there."""
    rows, top, done, half = None, 0, 0, WINDOW // 2
    for strip in strips:
        rows = strip if rows is None else np.concatenate([rows, strip])
        ready = height if top + len(rows) == height else top + len(rows) - half
        if ready > done and (len(rows) >= WINDOW or ready == height):
            colours = rows.shape[2] - alpha
            image = pyvips.Image.new_from_array(np.ascontiguousarray(rows[..., :colours]))
            raised = with_clahe(image.copy(interpretation="srgb" if colours == 3 else "b-w")).numpy()[..., :colours]
            yield np.concatenate([raised, rows[..., colours:]], axis=2)[done - top : ready - top]
            kept = max(top, ready - WINDOW)
            rows, top, done = rows[kept - top :], kept, ready


def _like(text: np.ndarray, image: pyvips.Image, alpha: bool) -> pyvips.Image:
    """The mark with the image's bands and kind of samples."""
    mark = np.repeat(text[..., None], image.bands, axis=2)
    if alpha:
        mark[..., -1] = 255
    mark = mark * np.uint16(257) if image.format == "ushort" else mark
    return pyvips.Image.new_from_array(mark).copy(interpretation=image.interpretation)


def _not_written(error: pyvips.Error, path: Path) -> StudyError:
    said = " ".join(str(error).split())
    if any(words in said for words in ("No space left", "write error", "Disk full", "unable to write")):
        said = "the disk is full, or takes no more; free some space and run again"
    return StudyError(f"{path}: its enlargement can't be written ({said}).")
