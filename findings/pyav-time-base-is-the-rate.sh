#!/usr/bin/env bash
# Title: With a time base of 1/90000, PyAV's libx264 claims 90,000 frames a second, whatever rate it was given.
#
# Versions: PyAV 17.1.0 (18.1.0 does the same) with the libx264 and libx265 in its wheel, NumPy 2.2.6, Python 3.10 to
# 3.12.
#
# Behaviour: add_stream("libx264", rate=25), then codec_context.time_base = 1/90000 so that times of 1/90000 s are
# kept, then frames every 3,600 of those. The stream's own header (VUI timing) says 90,000 frames a second, for
# libx264 writes the time base there. From the finished file, MP4 or MKV too, codec_context.framerate is 90000. In MPEG-TS and in a raw .h264, which have no other rate, each packet and each
# frame that is read then lasts 0 instead of 1/25 s. Times and average_rate of MP4, MKV and MPEG-TS stay right.
# Setting codec_context.framerate to 25 once more changes nothing: it is 25 all the time. The option x264-params
# force-cfr=1, for frames at even distances, does. With libx265 the same calls give 25.
#
# Why a good guess is wrong: PyAV keeps rate and time base apart, codec_context.framerate reads 25 before and after
# encoding, and libx265 uses it. codec_context.framerate is also the only right rate of a raw .h264 as usually written
# (average_rate is 25 for any). Who copies it from a file made this way opens the next encoder at 90,000 frames a
# second; who adds up durations of an MPEG-TS gets 0 s. For constant rates, leave the time base at 1/rate, or pass
# force-cfr=1. When reading, don't believe a rate that disagrees with the distances of pts.
#
# Output seen (rate in the header; duration of a frame in MPEG-TS, of a packet in raw video, in 1/90000 s):
#   libx264, time base 1/25: 25; 3600, 3600
#   libx264, time base 1/90000: 90000; 0, 0
#   libx264, time base 1/90000, framerate set again: 90000; 0, 0
#   libx264, time base 1/90000, force-cfr=1: 25; 3600, 3600
#   libx265, time base 1/90000: 25; 3600, 3600
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check av==17.1.0 numpy==2.2.6
cd "$folder"
"$python" - 2>"$folder/log" <<'PYTHON' || { tail -3 "$folder/log" >&2; exit 1; }
import sys
from fractions import Fraction

import av
import numpy as np

tick = Fraction(1, 90000)


def measure(codec: str, fine: bool = True, again: bool = False, **options: str) -> tuple:
    seen = []
    for suffix in ("mp4", "mkv", "ts", "h264" if codec == "libx264" else "hevc"):
        with av.open(f"video.{suffix}", "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = tick if fine else Fraction(1, 25)
            if again:
                stream.codec_context.framerate = Fraction(25)
            assert stream.codec_context.framerate == 25
            for number in range(50):
                frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 5 * number, np.uint8), format="rgb24")
                frame.pts, frame.time_base = 3600 * number, tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            assert stream.codec_context.framerate == 25
        with av.open(f"video.{suffix}") as container:
            stream = container.streams.video[0]
            seen.append(stream.codec_context.framerate)
            assert stream.average_rate == 25
            if suffix == "ts":
                frames = {frame.duration * frame.time_base / tick for frame in container.decode(stream)}
            elif suffix in ("h264", "hevc"):
                whole = (packet for packet in container.demux(stream) if packet.size)
                packets = {packet.duration * packet.time_base / tick for packet in whole}
    (rate,), (frame,), (packet,) = set(seen), frames, packets  # one value each
    return tuple(int(value) for value in (rate, frame, packet))


x265 = {"x265-params": "log-level=none"}
found = {
    "libx264, time base 1/25": measure("libx264", fine=False),
    "libx264, time base 1/90000": measure("libx264"),
    "libx264, time base 1/90000, framerate set again": measure("libx264", again=True),
    "libx264, time base 1/90000, force-cfr=1": measure("libx264", **{"x264-params": "force-cfr=1"}),
    "libx265, time base 1/90000": measure("libx265", **x265),
}
for name, (rate, frame, packet) in found.items():
    print(f"{name}: {rate}; {frame}, {packet}")
wrong = ("libx264, time base 1/90000", "libx264, time base 1/90000, framerate set again")
as_seen = all(values == ((90000, 0, 0) if name in wrong else (25, 3600, 3600)) for name, values in found.items())
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
