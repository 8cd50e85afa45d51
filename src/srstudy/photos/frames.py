"""One decoded frame of a clip: what its colours mean, its pixels upright in RGB, its MD5.

Rules where a stream says nothing: the matrix is BT.601 below 720 lines and for JPEG frames, else BT.709; the range is
16 to 235, but for JPEG frames 0 to 255.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import ColorRange, VideoReformatter

BT709, UNKNOWN, BT470BG, SMPTE170M, BT2020 = 1, 2, 5, 6, 9  # ITU-T H.273, of matrices; primaries likewise
MATRICES = (BT709, 4, BT470BG, SMPTE170M, 7, BT2020, 10)
TRANSFERS = {BT709: 1, BT2020: 14, 10: 14}  # what goes with a matrix; with all others that of SMPTE 170M
HIGH_DEFINITION = 720  # lines, from which on a stream that says nothing is taken for BT.709


@dataclass(frozen=True)
class Colour:
    """What turns a frame's Y, Cb and Cr into RGB; numbers of ITU-T H.273. `stated`: whether the stream says so."""

    matrix: int
    primaries: int
    transfer: int
    full: bool
    stated: bool


def colour_of(raw: av.VideoFrame) -> Colour:
    """What the frame states, or the rule of this module."""
    jpeg, matrix = raw.format.name.startswith("yuvj"), int(raw.colorspace)
    if not (stated := matrix in MATRICES):
        matrix = BT709 if raw.height >= HIGH_DEFINITION and not jpeg else SMPTE170M
    primaries, transfer = (int(value) for value in (raw.color_primaries, raw.color_trc))
    primaries = min(matrix, BT2020) if primaries in (0, UNKNOWN) else primaries
    transfer = TRANSFERS.get(matrix, SMPTE170M) if transfer in (0, UNKNOWN) else transfer
    return Colour(matrix, primaries, transfer, jpeg or int(raw.color_range) == ColorRange.JPEG, stated)


def matrix_of(colour: Colour) -> int:
    """What FFmpeg's scaler calls the matrix: it has one number for both kinds of BT.601, and one for BT.2020."""
    return BT470BG if colour.matrix == SMPTE170M else min(colour.matrix, BT2020)


def upright(rgb: np.ndarray, raw: av.VideoFrame) -> tuple[np.ndarray, bool]:
    """Turned or mirrored as the frame's display matrix says, and whether rows became columns."""
    data = raw.side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return rgb, False
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32, 9).tolist()
    if turned := abs(b) > abs(a):
        rgb, a, d = rgb.swapaxes(0, 1), c, b
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1], turned


def digest(raw: av.VideoFrame) -> str:
    """MD5 of a frame's planes without padding, as FFmpeg's framemd5 has it."""
    found = hashlib.md5(usedforsecurity=False)
    parts = raw.format.components
    for number, plane in enumerate(raw.planes):
        size = sum(-(-part.bits // 8) for part in parts if part.plane == number) or 1  # bytes of a pixel
        if len(raw.planes) == 1 < len(parts):
            size = raw.format.padded_bits_per_pixel // 8
        found.update(np.ascontiguousarray(_rows(plane)[:, : plane.width * size]))
    return found.hexdigest()


def _rows(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """uint8 [rows, bytes of a row with its padding]."""
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)


class ToRgb:
    """Frames of any format -> uint8 [H, W, 3]. Colour is brought to full size first: in one step, it gets darker by one
    level. Without padding, but not by `to_ndarray`, which refuses odd widths.
    """

    def __init__(self):
        self._enlarge, self._convert = VideoReformatter(), VideoReformatter()

    def __call__(self, raw: av.VideoFrame, colour: Colour) -> np.ndarray:
        spaces, kind = {}, raw.format
        if not kind.is_rgb:
            matrix, limits = matrix_of(colour), ColorRange.JPEG if colour.full else ColorRange.MPEG
            spaces = {"src_colorspace": matrix, "dst_colorspace": matrix, "src_color_range": limits}
        if (kind.chroma_width(16), kind.chroma_height(16)) != (16, 16):
            bits = kind.components[0].bits
            full = f"yuv444p{bits if bits > 8 else ''}"
            raw = self._enlarge.reformat(raw, format=full, interpolation="BICUBIC", **spaces, dst_color_range=limits)
        rgb = self._convert.reformat(raw, format="rgb24", dst_color_range=ColorRange.JPEG, **spaces).planes[0]
        return _rows(rgb)[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)
