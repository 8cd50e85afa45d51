#!/usr/bin/env bash
# Title: Pillow's rotate() and transform() darken 8-bit images by half a level each time; resize() doesn't.
#
# Versions: Pillow 12.3.0, NumPy 2.2.6, Python 3.10 to 3.12.
#
# Behaviour: Image.rotate and Image.transform (AFFINE) with BILINEAR or BICUBIC cut off the fraction of each interpolated
# value where pixels are 8 bits wide. The same call on the same picture as 32-bit floats has no such shift. So a rotated
# photograph is 0.5 levels darker on average, and one that is rotated four times 2 levels. A flat picture stays as it
# is, which hides the shift from the simplest check.
#
# Why a good guess is wrong: Image.resize, with filters of the same names, rounds to the nearest level (mean shift below
# 0.02). Augmentation by rotating Pillow images shifts every training tile to the dark: a network that learns from such
# HR images learns to darken, and a study of colour or brightness shifts measures its own augmentation. The way out is
# to transform the channels as floats (mode "F") and to round afterwards.
#
# Output seen (mean difference in levels, 8 bits minus floats):
#   rotate BILINEAR: -0.50
#   rotate BICUBIC: -0.50
#   rotate four times BICUBIC: -2.00
#   resize BILINEAR: 0.01
#   resize BICUBIC: 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
python="$folder/venv/bin/python"
[ -x "$python" ] || python="$folder/venv/Scripts/python.exe"
"$python" -m pip install -q --disable-pip-version-check pillow==12.3.0 numpy==2.2.6
"$python" - <<'PYTHON'
import sys

import numpy as np
from PIL import Image
from PIL.Image import Resampling

# Smooth texture between 40 and 215, so that no filter overshoots into clipping.
random = np.random.default_rng(0)
coarse = Image.fromarray(random.integers(60, 196, (32, 32)).astype(np.uint8))
picture = np.asarray(coarse.resize((256, 256), Resampling.BICUBIC))


def rotated(pixels: np.ndarray, kernel: Resampling, times: int = 1) -> np.ndarray:
    image = Image.fromarray(pixels)
    for _ in range(times):
        image = image.rotate(7, kernel)
    return np.asarray(image, dtype=float)[80:176, 80:176]  # the middle, which the corners never reach


def resized(pixels: np.ndarray, kernel: Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((197, 197), kernel), dtype=float)


def shift(function, *options) -> float:
    return float((function(picture, *options) - function(picture.astype(np.float32), *options)).mean())


found = {
    "rotate BILINEAR": shift(rotated, Resampling.BILINEAR),
    "rotate BICUBIC": shift(rotated, Resampling.BICUBIC),
    "rotate four times BICUBIC": shift(rotated, Resampling.BICUBIC, 4),
    "resize BILINEAR": shift(resized, Resampling.BILINEAR),
    "resize BICUBIC": shift(resized, Resampling.BICUBIC),
}
for name, value in found.items():
    print(f"{name}: {value:.2f}")
as_seen = (
    all(-0.55 < found[f"rotate {kernel}"] < -0.4 for kernel in ("BILINEAR", "BICUBIC"))
    and -2.2 < found["rotate four times BICUBIC"] < -1.6
    and all(abs(found[f"resize {kernel}"]) < 0.02 for kernel in ("BILINEAR", "BICUBIC"))
)
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
