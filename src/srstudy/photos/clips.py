"""Footage as cameras, recorders and editors leave it: every frame that decodes, upright, in RGB, at its own time.

docs/footage.md says which guesses about it are wrong, and how that was seen.
"""

from __future__ import annotations

import bisect
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.codec.context import Flags

from srstudy import StudyError
from srstudy.photos.frames import Colour, ToRgb, colour_of, digest, upright

Deinterlace = Literal["auto", "always", "never", "refuse"]
LISTS = {"concat", "dash", "hls", "imf"}  # FFmpeg's formats that name other files
REORDERED = 16  # frames that a decoder may hold back
JUMP = 2  # seconds: times that go back further are another clock's
FASTEST = 240  # frames a second; a higher rate is a clock's, not a camera's
LONG = 3000  # packets: to decode fewer takes a moment
# Each field gives a frame its lines, by what moved: exact where nothing does, but for a clip's first and last frame.
DEINTERLACER = "bwdif"


@dataclass(frozen=True)
class Frame:
    """`rgb` uint8 [H, W, 3], upright; `pts` in units of the clip's `time_base`; `md5` of its decoded planes."""

    rgb: np.ndarray
    pts: int
    md5: str
    colour: Colour


class Clock:
    """Makes times go on where a clock was set back: then, and where a time is missing, it is a step after the last."""

    def __init__(self, unit: Fraction):
        """`unit` is a tick in seconds."""
        self.mended, self._last, self._shift, self._jump = 0, None, 0, JUMP / unit

    def __call__(self, time: int | None, step: int) -> int:
        """The time, in ticks, of what the stream says is at `time`."""
        following = 0 if self._last is None else self._last + step
        if time is None or (self._last is not None and time + self._shift < self._last - self._jump):
            self.mended += 1
            self._shift = self._shift if time is None else following - time
            self._last = following
        else:
            self._last = time + self._shift
        return self._last


@dataclass
class Clip:
    """An opened clip. While its `frames` are read, it counts what was lost and what had to be mended."""

    path: Path
    container: av.container.InputContainer
    stream: av.VideoStream
    deinterlace: Deinterlace = "auto"
    lost: int = 0  # packets that could not be read, or did not decode
    mended: int = 0  # times that were missing, or not after the one before
    deinterlaced: int = 0  # frames
    cut: bool = False  # it ends in the middle of something
    bits: int = 8  # of a sample, as it is stored; it is read as 8
    turned: bool = False  # width and height changed places
    sizes: set[tuple[int, int]] = field(default_factory=set)  # of upright frames, width and height

    @property
    def rate(self) -> Fraction:
        """Frames a second, as the codec says: a container's average is 25 for raw H.264, and twice the rate in AVI."""
        rates = (self.stream.codec_context.framerate, self.stream.average_rate)
        return next((Fraction(rate) for rate in rates if rate and rate <= FASTEST), Fraction(25))

    @property
    def time_base(self) -> Fraction:
        """Seconds of a tick."""
        return Fraction(self.stream.time_base or 1 / self.rate)

    @property
    def shape(self) -> Fraction:
        """Width of a pixel by its height, as the container says, upright; known once a frame was read."""
        stored = Fraction(self.stream.sample_aspect_ratio or 1)
        return 1 / stored if self.turned else stored

    @property
    def others(self) -> list[av.stream.Stream]:
        """The clip's other streams: sound, subtitles, data, further pictures."""
        return [stream for stream in self.container.streams if stream.index != self.stream.index]

    def frames(self) -> Iterator[Frame]:
        """Every frame that decodes, in order. Raises StudyError for a clip without any, and for interlaced material
        where `deinterlace` is "refuse".
        """
        to_rgb, hashes, last = ToRgb(), deque(), None
        for raw in self._progressive(hashes):
            pts = round(raw.pts * raw.time_base / self.time_base)  # a filter has a clock of its own
            if last is not None and pts <= last:
                pts, self.mended = last + 1, self.mended + 1
            rgb, self.turned = upright(to_rgb(raw, colour := colour_of(raw)), raw)
            self.sizes.add((rgb.shape[1], rgb.shape[0]))
            self.bits = max(self.bits, *(part.bits for part in raw.format.components))
            yield Frame(rgb, last := pts, hashes.popleft(), colour)
        if last is None:
            raise StudyError(f"{self.path}: no frame in it can be decoded; is it whole, and a video?")

    def _progressive(self, hashes: deque[str]) -> Iterator[av.VideoFrame]:
        """Frames in order; those of two fields are made from them by a filter, which needs a frame before and after."""
        graph = kind = None
        for raw in self._ordered():
            hashes.append(digest(raw))
            if raw.interlaced_frame and self.deinterlace == "refuse":
                raise StudyError(f"{self.path}: is interlaced; deinterlace it first, or allow it here.")
            if graph and kind != (raw.width, raw.height, raw.format.name):
                yield from _pull(graph, None)
                graph = None
            wanted = self.deinterlace == "always" or (self.deinterlace == "auto" and raw.interlaced_frame)
            if wanted and graph is None:
                graph, kind = self._deinterlacer(raw), (raw.width, raw.height, raw.format.name)
            self.deinterlaced += wanted
            yield from _pull(graph, raw) if graph else (raw,)
        if graph:
            yield from _pull(graph, None)

    def _deinterlacer(self, raw: av.VideoFrame) -> av.filter.Graph:
        which = "all" if self.deinterlace == "always" else "interlaced"
        graph = av.filter.Graph()
        size = {"width": raw.width, "height": raw.height}
        source = graph.add_buffer(**size, format=raw.format.name, time_base=self.time_base)
        graph.link_nodes(source, graph.add(DEINTERLACER, f"mode=send_frame:deint={which}"), graph.add("buffersink"))
        graph.configure()
        return graph

    def _ordered(self) -> Iterator[av.VideoFrame]:
        """Decoded frames in the order of their times, each with a time. After damage, a decoder gives frames too late.

        In AVI, which has no times but those of decoding, the frames are in order and the times are not.
        """
        waiting, times, clock = deque(), [], Clock(self.time_base)
        step = max(1, round(1 / self.rate / self.time_base))
        for raw in chain(self.decoded(), repeat(None, REORDERED + 1)):
            if raw is not None:
                raw.pts, raw.time_base = clock(raw.pts, step), self.time_base
                waiting.append(raw)
                bisect.insort(times, raw.pts)
            if times and (raw is None or len(times) > REORDERED):
                yield self._next(waiting, times)
        self.mended += clock.mended

    def _next(self, waiting: deque[av.VideoFrame], times: list[int]) -> av.VideoFrame:
        """The frame of the earliest time, or in AVI the first with the earliest time."""
        time = times.pop(0)
        place = 0 if "avi" in self.container.format.name else [raw.pts for raw in waiting].index(time)
        raw = waiting[place]
        del waiting[place]
        self.mended += place > 0 or raw.pts != time
        raw.pts = time
        return raw

    def decoded(self) -> Iterator[av.VideoFrame]:
        """Frames as they are decoded; packets that do not decode are counted in `lost` and passed over."""
        decoder = self.stream.codec_context
        for packet in chain(self.packets(self.stream), repeat(None, REORDERED)):  # None asks for what it holds back
            try:
                frames = decoder.decode(packet)
            except av.EOFError:
                return
            except (av.FFmpegError, OSError):
                self.lost += 1
                continue
            yield from frames
            if frames:  # from then on also what follows damage, up to the next keyframe; before the first, all is gray
                decoder.flags |= Flags.output_corrupt

    def packets(self, *streams: av.stream.Stream) -> Iterator[av.Packet]:
        """Those of the streams that can be read. After an error some formats go on when asked again; not a cut file."""
        failed = 0
        while failed < REORDERED:
            try:
                for packet in self.container.demux(streams):
                    if packet.size:  # PyAV puts an empty one at the end
                        self.lost, failed = self.lost + (failed > 0), 0
                        yield packet
                break
            except (av.FFmpegError, OSError):
                failed += 1
        self.cut = failed > 0


def open_clip(path: str | Path, deinterlace: Deinterlace = "auto", number: int | None = None) -> Clip:
    """Open a clip's best video stream, or the one of this number. The caller closes `container`.

    Raises StudyError, naming the file, if it is missing, no video, or has no such stream.
    """
    try:
        # FFmpeg takes what stands before a colon for a protocol, unless it is told that this is a file.
        name = f"file:{Path(path).absolute()}" if os.name == "posix" else str(path)
        container = av.open(name, metadata_errors="replace")
    except FileNotFoundError:
        raise StudyError(f"{path}: no such clip; check the path.") from None
    except (av.FFmpegError, OSError) as error:
        raise StudyError(f"{path}: no clip or picture that can be read ({error.strerror}); convert it.") from error
    if LISTS & set(container.format.name.split(",")):
        container.close()
        raise StudyError(f"{path}: is a list of other files, no clip; give those.")
    found = [stream for stream in container.streams if stream.type == "video" and stream.index == number]
    stream = container.streams.best("video") if number is None else next(iter(found), None)
    if stream is None:
        kinds = ", ".join(f"{stream.index}: {stream.type}" for stream in container.streams)
        container.close()
        raise StudyError(
            f"{path}: no video in it ({kinds or 'nothing'}); give a clip with pictures, or another --stream."
        )
    stream.thread_type = "SLICE"  # threads by frame lose more than the packet that does not decode
    stream.codec_context.flags |= Flags.bitexact  # MPEG-4 ASP and WMV else decode differently on different processors
    return Clip(Path(path), container, stream, deinterlace)


def read_frames(path: str | Path, count: int) -> list[np.ndarray]:
    """`count` frames spread evenly over a clip, the first and the last among them: uint8 [H, W, 3] each, upright.

    Of a long clip they are sought, as near as its packets tell; where that can't be, all of it is decoded, twice.
    Raises StudyError, naming the file, when it is missing, no video, or has fewer frames.
    """
    clip = open_clip(path)
    with clip.container:
        times = sorted(packet.pts for packet in clip.packets(clip.stream) if packet.pts is not None)
    if len(times) > LONG and len(times) == len(set(times)):
        places = np.linspace(0, len(times) - 1, count).round().astype(int)
        found = [_sought(path, times[place], times[0]) for place in places]
        if all(rgb is not None for rgb in found):
            return found
    clip = open_clip(path)
    with clip.container:
        total = sum(1 for _ in clip.frames())
    if total < count:
        raise StudyError(f"{path}: has only {total} frames; ask for fewer than {count}.")
    wanted, clip = {round(place) for place in np.linspace(0, total - 1, count)}, open_clip(path)
    with clip.container:
        return [frame.rgb for number, frame in enumerate(clip.frames()) if number in wanted]


def _sought(path: str | Path, time: int, start: int) -> np.ndarray | None:
    """The first frame that decodes at `time` or after it, at the end the last one before; None if seeking fails.

    A container without an index, such as MPEG-TS, is not sought by keyframes: from further and further back, one comes.
    """
    for back in (0, 2, 10, 100):  # seconds
        clip = open_clip(path)
        with clip.container as container:
            earlier = max(start, time - round(back / clip.time_base))
            try:
                if earlier > start:
                    container.seek(earlier, stream=clip.stream)
                for number, frame in enumerate(clip.frames()):
                    if number == 0 and frame.pts > time and earlier > start:
                        break
                    if frame.pts >= time:
                        return frame.rgb
                else:
                    return frame.rgb
            except (av.FFmpegError, OSError):
                return None
            except StudyError:  # no keyframe from there on
                continue
    return None


def _pull(graph: av.filter.Graph, raw: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
    """Give a graph a frame, or None at the end, and take what comes out."""
    graph.push(raw)
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
