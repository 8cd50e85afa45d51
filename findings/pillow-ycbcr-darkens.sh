#!/usr/bin/env bash
# Title: Pillow's RGB to YCbCr and back darkens by 1.3 levels each time, red and blue by more than green.
#
# Versions: Pillow 12.3.0 (13.0.0 does the same), NumPy 2.2.6, Python 3.10 to 3.12.
#
# Behaviour: Image.convert("YCbCr") cuts off the fraction of Y, Cb and Cr instead of rounding it, and convert("RGB")
# of such an image cuts off once more. In an image of weak colours, red falls by 1.56 levels, green by 0.49 and blue
# by 1.77 on average, which is darker and greener; some values fall by 3. The same formulas, rounded, are off by 1 at
# most and by 0 on average. Five times to and fro darken by 5.7 on average. convert("L") rounds: it is half a level
# above the Y of the same formula. Pure grey stays as it is but for 22 of 256 levels, which hides the shift from the
# simplest check.
#
# Why a good guess is wrong: a conversion to and fro in 8 bits loses something, but one expects errors to both sides,
# as in JPEG, and "L" and "Y" of one library to be equal. Enlarging Y alone by a network, and Cb and Cr by bicubic, is
# the classic recipe, and "YCbCr" of Pillow its usual code: even a perfect network's result is then darker than the
# original, at 44.6 dB in RGB instead of 53, and augmentation that passes through YCbCr shifts the training data.
# Compute YCbCr as floats and round once, at the end.
#
# Output seen (mean of red, green, blue, in levels; largest difference; PSNR):
#   Pillow once: -1.56 -0.49 -1.77; 3; 44.6 dB
#   the formulas, rounded: 0.00 0.00 0.00; 1; 53.0 dB
#   Pillow five times: -6.25 -3.84 -7.00; 14; 32.5 dB
#   Pillow's L minus Pillow's Y: 0.49
#   levels of grey that change: 22 of 256
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

# JPEG's matrix (full range), which Pillow names as its own.
matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
offset = np.array([0, 128, 128])
random = np.random.default_rng(0)
brightness = random.integers(50, 206, (500, 500, 1))
pixels = np.clip(np.rint(brightness + random.normal(0, 15, (500, 500, 3))), 0, 255).astype(np.uint8)


def to_and_fro(pixels: np.ndarray, times: int = 1) -> np.ndarray:
    image = Image.fromarray(pixels)
    for _ in range(times):
        image = image.convert("YCbCr").convert("RGB")
    return np.asarray(image)


def rounded(pixels: np.ndarray) -> np.ndarray:
    ycbcr = np.clip(np.rint(pixels @ matrix.T + offset), 0, 255)
    return np.clip(np.rint((ycbcr - offset) @ np.linalg.inv(matrix).T), 0, 255)


found = {}
for name, result in {
    "Pillow once": to_and_fro(pixels),
    "the formulas, rounded": rounded(pixels),
    "Pillow five times": to_and_fro(pixels, 5),
}.items():
    difference = result.astype(float) - pixels
    means, psnr = difference.mean((0, 1)), 10 * np.log10(255**2 / np.mean(difference**2))
    found[name] = means, abs(difference).max()
    print(f"{name}:", *(f"{mean + 0.0:.2f}" for mean in means.round(2)), end="")
    print(f"; {abs(difference).max():.0f}; {psnr:.1f} dB")
image = Image.fromarray(pixels)
luma = float(np.mean(np.asarray(image.convert("L")).astype(int) - np.asarray(image.convert("YCbCr"))[..., 0]))
print(f"Pillow's L minus Pillow's Y: {luma:.2f}")
grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
changed = int((to_and_fro(grey) != grey).any(2).sum())
print(f"levels of grey that change: {changed} of 256")
once, ideal, five = found.values()
as_seen = (
    np.all(abs(once[0] - [-1.56, -0.49, -1.77]) < 0.1)
    and np.all(abs(ideal[0]) < 0.05)
    and (once[1], ideal[1]) == (3, 1)
    and five[0].mean() < -5
    and abs(luma - 0.49) < 0.05
    and changed < 40
)
sys.exit(0 if as_seen else "the behaviour has changed")
PYTHON
