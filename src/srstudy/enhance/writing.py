"""Writing clips: segments that a kill leaves whole, and the clip made of them, with the original's sound and times."""

from __future__ import annotations

import heapq
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from srstudy import StudyError
from srstudy.photos.clips import Clip, Clock, open_clip
from srstudy.photos.frames import Colour, digest, matrix_of

# No B-frames: segments then follow each other without a seam. Threads and instructions of the processor, unless fixed,
# change the bytes that x264 writes.
X264 = {"preset": "veryfast", "crf": "16", "bf": "0", "x264-params": "threads=1:cpu-independent=1:force-cfr=1"}
CODECS = {
    "h264": ("libx264", "yuv420p", X264),
    "ffv1": ("ffv1", "bgr0", {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}),
}
WIDEST = 16_384  # px a side that x264 takes
CONTAINERS = {"h264": (".mp4", ".mov", ".mkv"), "ffv1": (".mkv",)}  # the first that fits is taken
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}  # FFmpeg's names
# Elements of Matroska: PixelWidth, PixelHeight, DisplayUnit, MaxBlockAdditionID, Void; what is put from the third on.
VIDEO = re.compile(
    rb"\xe0.\xb0(\x81|\x82)(?P<width>.{1,2})\xba(\x81|\x82)(?P<height>.{1,2})"
    rb"(?P<unit>\x54\xb2\x81\x04)\x55\xee\x81\0\xec\x01\0\0\0\0\0\0\x02\0\0",
    re.DOTALL,
)
SHAPE = b"\x54\xb0\x82%b\x54\xba\x82%b\x55\xee\x81\0\xec\x83\0\0\0"
RGB = 0  # ITU-T H.273: no matrix
Timed = tuple[float, int, av.Packet]  # seconds, and a number where they are equal


@dataclass(frozen=True)
class Format:
    """How a clip is written: `codec` of `CODECS`, `rate` in frames a second, `shape` of a pixel as width by height."""

    codec: str
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    shape: Fraction
    colour: Colour


def write_segment(path: Path, frames: Iterable[tuple[np.ndarray, int]], how: Format) -> list[str]:
    """Write frames, uint8 [H, W, 3] and a time in `how.time_base` each, as a file of their own.

    Gives the FrameMD5 of each as it is decoded again.
    """
    convert = _FromRgb(how)
    with av.open(str(path), "w", format="nut") as container:
        stream = _stream(container, how)
        for rgb, pts in frames:
            frame = convert(rgb)
            frame.pts, frame.time_base = pts, how.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    written = open_clip(path)
    with written.container:
        return [digest(raw) for raw in written.decoded()]


def _stream(container: av.container.OutputContainer, how: Format) -> av.VideoStream:
    name, pixels, options = CODECS[how.codec]
    stream = container.add_stream(name, rate=how.rate, options=options)
    stream.width, stream.height, stream.pix_fmt, stream.time_base = how.width, how.height, pixels, how.time_base
    context, yuv = stream.codec_context, how.codec == "h264"
    context.framerate, context.time_base, context.thread_count = how.rate, how.time_base, 1
    context.sample_aspect_ratio = how.shape
    # Labels alone; what they say is done by `_FromRgb`.
    context.colorspace, context.color_range = (how.colour.matrix, ColorRange.MPEG) if yuv else (RGB, ColorRange.JPEG)
    context.color_primaries, context.color_trc = how.colour.primaries, how.colour.transfer
    return stream


class _FromRgb:
    """uint8 [H, W, 3] -> a frame as the codec takes it. Colour is reduced in a step of its own, else it gets darker."""

    def __init__(self, how: Format):
        self._convert, self._reduce, self._pixels = VideoReformatter(), VideoReformatter(), CODECS[how.codec][1]
        self._matrix = matrix_of(how.colour) if how.codec == "h264" else None

    def __call__(self, rgb: np.ndarray) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        if self._matrix is None:
            return self._convert.reformat(frame, format=self._pixels)
        to = {"dst_colorspace": self._matrix, "dst_color_range": ColorRange.MPEG}
        full = self._convert.reformat(frame, format="yuv444p", src_color_range=ColorRange.JPEG, **to)
        to |= {"src_colorspace": self._matrix, "src_color_range": ColorRange.MPEG}
        return self._reduce.reformat(full, format=self._pixels, interpolation="BICUBIC", **to)


def join(
    segments: list[Path], original: Clip, offset: int, target: Path, tell: Callable[[], None] = lambda: None
) -> list[str]:
    """Put segments one after the other into `target`, with the original's sound and subtitles, untouched.

    `offset`, in units of the original's time base, is taken from its times. Calls `tell` now and then. Gives a sentence
    for each of its streams that is left out.
    """
    with ExitStack() as stack:
        first = stack.enter_context(av.open(str(segments[0]))).streams.video[0]
        first_codec = first.codec_context.name
        copied, left_out = _copied(original, target.suffix, first_codec)
        ticks = {"video_track_timescale": str(original.time_base.denominator)}
        options = ticks if target.suffix.lower() in (".mp4", ".mov") else {}
        out = stack.enter_context(av.open(str(target), "w", container_options=options))
        pictures = out.add_stream_from_template(first)
        pictures.time_base = original.time_base
        places = {stream.index: out.add_stream_from_template(stream) for stream in copied}
        flows = [_pictures(segments, pictures)]
        if places:
            flows.append(_others(original.path, places, offset * original.time_base))
        for number, (*_, packet) in enumerate(heapq.merge(*flows, key=lambda item: item[:2]), 1):
            out.mux(packet)
            if number % 1000 == 0:
                tell()
    if original.shape != 1 and first_codec == "ffv1" and not _shaped(target, original.shape):
        left_out.append(f"the shape of pixels ({original.shape}) can't be written into {target.suffix}")
    return left_out


def _shaped(path: Path, shape: Fraction) -> bool:
    """Write the shape of FFV1's pixels into Matroska's header, which PyAV can't; False if it is not as expected.

    Width and height of display take the place of an unknown unit of display and of the void behind it.
    """
    with open(path, "r+b") as file:
        head = bytearray(file.read(1 << 16))
        video = VIDEO.search(head)
        width, height = (int.from_bytes(video[name], "big") if video else 0 for name in ("width", "height"))
        if not 0 < (shown := round(width * shape)) < 1 << 16:
            return False
        display = shown.to_bytes(2, "big"), height.to_bytes(2, "big")
        head[video.start() + 1] += 6  # the length of what describes the pictures
        head[video.start("unit") : video.end()] = SHAPE % display
        tracks = head.rindex(b"\x16\x54\xae\x6b", 0, video.start()) + 4
        size = 9 - head[tracks].bit_length()  # bytes of the length that follows, which its first bit tells
        end = tracks + size + int.from_bytes(head[tracks : tracks + size], "big") - (1 << 7 * size)
        start = tracks + size + 6  # of what the checksum is of, behind it
        head[start - 4 : start] = zlib.crc32(head[start:end]).to_bytes(4, "little")
        file.seek(0)
        file.write(head)
    return True


def _pictures(segments: list[Path], stream: av.VideoStream) -> Iterator[Timed]:
    """Packets of the segments, as those of one stream."""
    for path in segments:
        with av.open(str(path)) as part:
            for packet in part.demux(part.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    yield float(packet.dts * packet.time_base), 0, packet


def _others(path: Path, places: dict[int, av.stream.Stream], delay: Fraction) -> Iterator[Timed]:
    """Packets of the streams in `places`, by number, on the clock of the enlarged clip. What comes before its first
    frame stays: decoders of AAC and Opus need it. Where a clock was set back, each stream goes on for itself.
    """
    again, last = open_clip(path), {}
    with again.container as container:
        streams = [container.streams[index] for index in places]
        clocks = {stream.index: Clock(stream.time_base) for stream in streams}
        for number, packet in enumerate(again.packets(*streams), start=1):
            index, dts = packet.stream.index, packet.pts if packet.dts is None else packet.dts
            if dts is None:
                continue
            step = (packet.duration or 1) if packet.stream.type == "audio" else 0
            time = clocks[index](dts, step) - round(delay / packet.time_base)
            if time <= last.get(index, time - 1):  # containers take no sound twice at a time, or earlier
                time = last[index] + step
            pts = time if packet.pts is None else max(time, time + packet.pts - dts)
            packet.dts, packet.pts, packet.stream, last[index] = time, pts, places[index], time
            yield float(time * packet.time_base), number, packet


def _copied(original: Clip, suffix: str, codec: str) -> tuple[list[av.stream.Stream], list[str]]:
    """The streams that a container takes, and a sentence for each other, with the container that would take it."""
    copied, left_out = [], []
    for stream in original.others:
        kind, name = stream.type, getattr(stream.codec_context, "name", "unknown")
        if kind not in ("audio", "subtitle"):
            left_out.append(f"stream {stream.index} ({kind}) is left out")
        elif _takes(stream, suffix):
            copied.append(stream)
        else:
            better = next((suffix for suffix in CONTAINERS[codec] if _takes(stream, suffix)), None)
            way_out = f"write {better} to keep it" if better else "it stays in the original alone"
            kind = "sound" if kind == "audio" else "subtitles"
            left_out.append(f"{kind} ({name}) can't be copied into {suffix}; {way_out}")
    return copied, left_out


def _takes(stream: av.stream.Stream, suffix: str) -> bool:
    """Whether a container holds a stream: asked of FFmpeg by writing a header to nowhere."""
    try:
        with av.open(io.BytesIO(), "w", format=FORMATS[suffix.lower()]) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError, OSError):
        return False
    return True


def container_for(original: Clip, codec: str) -> str:
    """The ending of the first container that holds all of the original's sound and subtitles, or else the first."""
    wanted = [stream for stream in original.others if stream.type in ("audio", "subtitle")]
    fitting = (suffix for suffix in CONTAINERS[codec] if all(_takes(stream, suffix) for stream in wanted))
    return next(fitting, CONTAINERS[codec][0])


def check_container(path: Path, codec: str) -> None:
    """Raises StudyError if clips of this codec are not written to such a file."""
    if path.suffix.lower() not in CONTAINERS[codec]:
        raise StudyError(f"{path}: {codec} is written as {', '.join(CONTAINERS[codec])}; name the output so.")
