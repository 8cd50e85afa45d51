"""What a photograph looks as if it had gone through: networks that learned from clean pictures take such traces for
detail, and are then worse than bicubic interpolation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

LOW = 60  # quality of JPEG below which psnr and fast gain nothing over bicubic interpolation; gan below 80
SHARP = -0.4  # log10 of energy near the pixels' limit by that of half as fine structures
SMALLEST, LARGEST = 64, 512  # px a side that are looked at
# ITU-T T.81, table K.1, on average: what quality 50 divides the luma's coefficients by.
HALF = 57.625


def looks_compressed(path: Path) -> str | None:
    """A sentence if the file is a JPEG of low quality, by its tables; else None."""
    try:
        with Image.open(path) as image:
            table = getattr(image, "quantization", {}).get(0)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if not table:
        return None
    scale = 100 * float(np.mean(table)) / HALF
    quality = round(5000 / scale if scale > 100 else 100 - scale / 2)
    if quality >= LOW:
        return None
    said = f"a JPEG of quality about {max(1, quality)}: its blocks may be taken for detail"
    return f"{said}; models general and cctv are for such"


def looks_aliased(lr: np.ndarray) -> str | None:
    """A sentence if a picture [h, w, C], levels, has much energy near the limit of its pixels; else None.

    Of 165 photographs that OpenCV's INTER_LINEAR and INTER_CUBIC made four times smaller, it is said of 40 and 62 %; of
    those by MATLAB's bicubic of none, by area of 4 %.
    """
    height, width = (min(side, LARGEST) for side in lr.shape[:2])
    if min(height, width) < SMALLEST:
        return None
    luma = lr[:height, :width, : min(3, lr.shape[2])].mean(axis=2, dtype=np.float64)
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.rfft2((luma - luma.mean()) * window)) ** 2
    rate = np.maximum(np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None])
    fine, coarse = (power[(low < rate) & (rate <= high)].mean() for low, high in ((0.4, 0.5), (0.2, 0.3)))
    if coarse < 1 or np.log10(fine / coarse) < SHARP:  # a flat picture has neither
        return None
    return (
        "made small without smoothing, sharpened or noisy, as it seems: edges may break up; model general is for such"
    )
