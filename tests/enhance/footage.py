"""Clips made for tests by PyAV alone: frames that carry their number, with times, tags and faults as a test asks."""

import struct
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange

WIDTH, HEIGHT = 64, 48
BITS = 8  # squares along the top that spell a frame's number
X264 = {"preset": "veryfast", "crf": "12", "g": "10", "threads": "1"}
# Display matrices of MP4, as a, b, c, d: what a column and a row of the stored picture become.
TURNS = {
    90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    270: (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "flipped": (1, 0, 0, -1),
}


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """uint8 [height, width, 3]: a soft texture that moves by two px a frame, under squares that spell its number."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + 2 * number) / 7 + k) + np.cos(y / 5 - k) for k in range(3)]
    rgb = np.floor(128 + 40 * np.stack(waves, axis=-1)).astype(np.uint8)
    side = width // BITS
    for bit in range(BITS):
        rgb[:side, bit * side : (bit + 1) * side] = 255 * (number >> bit & 1)
    return rgb


def number(rgb: np.ndarray) -> int:
    """The number that a picture carries, whatever its size."""
    side = rgb.shape[1] / BITS
    rows = slice(int(side / 4), int(3 * side / 4))
    squares = [rgb[rows, int((bit + 0.25) * side) : int((bit + 0.75) * side)].mean() for bit in range(BITS)]
    return sum((square > 128) << bit for bit, square in enumerate(squares))


def numbers(frames: Iterable[Any]) -> list[int]:
    """Those of the frames of a clip."""
    return [int(number(frame.rgb)) for frame in frames]


def planes(*parts: np.ndarray, pixels: str = "yuv420p") -> av.VideoFrame:
    """A frame of 8-bit planes Y, Cb and Cr, each uint8 [h, w], as they are."""
    frame = av.VideoFrame(parts[0].shape[1], parts[0].shape[0], pixels)
    for plane, values in zip(frame.planes, parts):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : values.shape[1]] = values
        plane.update(rows)
    return frame


def write(path: Path, frames: Iterable[np.ndarray | av.VideoFrame], codec: str = "libx264", pixels: str = "yuv420p",
          times: Callable[[int], int] | None = None, clock: Fraction = Fraction(1, 25), rate: Fraction = Fraction(25),
          shape: Fraction = Fraction(1), tags: tuple[int, int, int] | None = None, full: bool | None = None,
          options: dict[str, str] | None = None, sound: str = "", container: str | None = None) -> Path:  # fmt: skip
    """Write frames to `path`: frame n at `times(n)` ticks of `clock`; `tags` are matrix, primaries and transfer."""
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(
            codec, rate=rate, options=X264 | (options or {}) if codec == "libx264" else options or {}
        )
        context, first = stream.codec_context, True
        for place, frame in enumerate(frames):
            if isinstance(frame, np.ndarray):
                frame = av.VideoFrame.from_ndarray(frame, format="rgb24")
                limits = (
                    {} if pixels.startswith(("bgr", "gbr", "rgb")) else {"dst_color_range": full or ColorRange.MPEG}
                )
                frame = frame.reformat(format=pixels, **limits)
            if first:
                stream.width, stream.height, stream.pix_fmt, first = frame.width, frame.height, frame.format.name, False
                context.time_base, context.sample_aspect_ratio = clock, shape
                if tags:
                    context.colorspace, context.color_primaries, context.color_trc = tags
                if full is not None:
                    context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
                if sound:
                    add_sound(out, sound, 1)
            frame.pts, frame.time_base = times(place) if times else round(place / rate / clock), clock
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def add_sound(out: av.container.OutputContainer, codec: str, seconds: float) -> None:
    """A tone of 8 kHz, or what the codec asks for."""
    rate = 48000 if codec in ("aac", "libopus") else 8000
    stream = out.add_stream(codec, rate=rate, layout="mono")
    wave = (8000 * np.sin(np.arange(int(seconds * rate)) / 9)).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate, frame_size=1024)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))


def turn(path: Path, how: int | str) -> None:
    """Set an MP4's display matrix, in place."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in TURNS[how])
    place = content.index(b"tkhd") + 4 + 40  # after version, times, number, duration, layer and volume
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


def packets(path: Path, kind: str) -> list[bytes]:
    """The bytes of each packet of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def spots(path: Path) -> list[tuple[int, int]]:
    """Where in the file each packet of the pictures begins, and its bytes."""
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path: Path, start: int, stop: int, value: int = 0) -> None:
    """Set the bytes of a file from `start` to `stop`."""
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes([value]) * (stop - start) + content[stop:])


def together(target: Path, *sources: Path) -> Path:
    """One clip of the first stream of each file."""
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(target), "w"))
        streams = [stack.enter_context(av.open(str(source))).streams[0] for source in sources]
        places = [out.add_stream_from_template(stream) for stream in streams]
        for stream, place in zip(streams, places):
            for packet in stream.container.demux(stream):
                if packet.size:
                    packet.stream = place
                    out.mux(packet)
    return target


def one_behind_the_other(target: Path, *sources: Path) -> Path:
    """The bytes of all files."""
    target.write_bytes(b"".join(source.read_bytes() for source in sources))
    return target
