#!/usr/bin/env bash
# Title: Grey frames that libx264 encodes without loss come back from PyAV with 220 of 256 levels and more contrast.
#
# Versions: PyAV 17.1.0 (18.1.0 does the same) with the libx264, libx265 and FFV1 in its wheel, NumPy 2.2.6, Python
# 3.10 to 3.12.
#
# Behaviour: frames of format "gray" with the levels 0 to 255, a stream of libx264 with pix_fmt = "gray" and qp=0,
# which is lossless. The levels are in the file as they were, but H.264 without a range tag counts as limited range,
# and the decoder gives such a stream as yuv420p, not as gray. So to_ndarray(format="gray") and "rgb24" stretch 16 to
# 235 onto 0 to 255: 0 to 16 become black, 235 to 255 white, and the levels in between move apart, by up to 20. With
# codec_context.color_range = 2 (full) before the first frame, all levels come back. FFV1 and libx265 need no tag:
# they come back as gray, which PyAV reads as full range whatever is tagged. pix_fmt = "yuv420p" is right to one
# level: there, PyAV converts the frames to the limited range while encoding.
#
# Why a good guess is wrong: no conversion is asked for, the codec is told to lose nothing, and gray is full range on
# the way in, as in FFV1 on the way out. Cameras for infrared, microscopes and X-ray give grey pictures in which the
# darkest and the lightest levels matter. A ground truth kept this way is clipped, a network trained on it learns to
# add contrast, and a PSNR against the frames that went in is 27.6 dB for a "lossless" file. Tag the range, or take
# FFV1.
#
# Output seen (format read; different levels of 256; largest difference; PSNR):
#   libx264 gray: yuv420p; 220; 20; 27.6 dB
#   libx264 gray, full range tagged: yuvj420p; 256; 0; inf dB
#   libx264 yuv420p: yuv420p; 220; 1; 56.7 dB
#   libx265 gray: gray; 256; 0; inf dB
#   ffv1 gray: gray; 256; 0; inf dB
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check av==17.1.0 numpy==2.2.6
"$python" - 2>"$folder/log" <<'PYTHON' || { tail -3 "$folder/log" >&2; exit 1; }
import io
import sys

import av
import numpy as np

levels = np.repeat(np.arange(256, dtype=np.uint8)[None], 64, axis=0)


def measure(codec: str, form: str, color_range: int | None = None, **options: str) -> tuple[str, int, int, float]:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 64, form
        if color_range is not None:
            stream.codec_context.color_range = color_range
        container.mux(stream.encode(av.VideoFrame.from_ndarray(levels, format="gray")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        frame = next(container.decode(video=0))
    grey = frame.to_ndarray(format="gray")
    assert abs(frame.to_ndarray(format="rgb24").astype(int) - grey[..., None]).max() <= 2
    if form == "gray":
        assert (np.frombuffer(frame.planes[0], np.uint8)[:256] == levels[0]).all()  # the file holds them all
    difference = grey.astype(int) - levels
    with np.errstate(divide="ignore"):
        psnr = float(10 * np.log10(255**2 / np.mean(difference**2)))
    return frame.format.name, len(np.unique(grey)), int(abs(difference).max()), psnr


x265 = {"x265-params": "log-level=none:lossless=1"}
found = {
    "libx264 gray": measure("libx264", "gray", qp="0"),
    "libx264 gray, full range tagged": measure("libx264", "gray", color_range=2, qp="0"),
    "libx264 yuv420p": measure("libx264", "yuv420p", qp="0"),
    "libx265 gray": measure("libx265", "gray", **x265),
    "ffv1 gray": measure("ffv1", "gray"),
}
for name, (form, count, largest, psnr) in found.items():
    print(f"{name}: {form}; {count}; {largest}; {psnr:.1f} dB")
_, count, largest, psnr = found.pop("libx264 gray")
as_seen = count < 222 and largest > 15 and psnr < 30 and all(row[2] <= 1 for row in found.values())
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
