"""How good an SR image is: fidelity (PSNR, SSIM), colour and sharpness (paper IV-C).

All functions take uint8 [H, W, 3] RGB of equal size and leave out a border of 4 pixels, as the field does.
"""

from __future__ import annotations

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab, rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srstudy.degrade.bicubic import SCALE

EQUAL_DB = 100.0  # PSNR of equal images, which would be infinite and spoil every mean
RATES = ("images_per_second", "memory_gb")  # in a history, what differs between equal runs
BICUBIC = "bicubic"  # the method that stands in every table

# What the tables call them, and whether more is better (1), less (-1), or nearer to the target is (0).
MEASURES = {
    "psnr_y": ("PSNR-Y (dB)", 1),
    "psnr_rgb": ("PSNR-RGB (dB)", 1),
    "ssim_y": ("SSIM-Y", 1),
    "ssim_rgb": ("SSIM-RGB", 1),
    "perceptual": ("VGG16-HED distance", -1),
    "shift_a": ("a* shift", 0),
    "shift_b": ("b* shift", 0),
    "delta_e": ("ΔE2000", -1),
    "sharpness": ("sharpness, HR = 1", 0),
}
MAIN_MEASURES = ("psnr_y", "ssim_y", "perceptual", "delta_e")  # where there is room for a few alone


def fidelity(hr: np.ndarray, sr: np.ndarray) -> dict[str, float]:
    """PSNR in dB and SSIM (Wang et al. 2004: Gaussian window, sigma 1.5), on RGB and on Y of ITU-R BT.601.

    Gray images are judged as RGB like all others. Published figures for Set14 compare its one file that is stored as
    gray on its own 256 levels instead of Y's 220: bicubic is 26.00 dB there and 26.09 dB here.
    """
    hr, sr = inner(hr), inner(sr)
    hr_y, sr_y = luma(hr), luma(sr)
    ssim = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    with np.errstate(divide="ignore"):
        psnr_y, psnr_rgb = (peak_signal_noise_ratio(a, b, data_range=255) for a, b in ((hr_y, sr_y), (hr, sr)))
    return {
        "psnr_y": float(min(psnr_y, EQUAL_DB)),
        "psnr_rgb": float(min(psnr_rgb, EQUAL_DB)),
        "ssim_y": float(structural_similarity(hr_y, sr_y, **ssim)),
        "ssim_rgb": float(structural_similarity(hr, sr, channel_axis=2, **ssim)),
    }


def colour(hr: np.ndarray, sr: np.ndarray) -> dict[str, float]:
    """Mean signed shift SR - HR in CIELAB a* (green to red) and b* (blue to yellow), and mean ΔE2000."""
    hr, sr = rgb2lab(inner(hr)), rgb2lab(inner(sr))
    _, shift_a, shift_b = (sr - hr).reshape(-1, 3).mean(axis=0)
    return {"shift_a": float(shift_a), "shift_b": float(shift_b), "delta_e": float(deltaE_ciede2000(hr, sr).mean())}


def sharpness(hr: np.ndarray, sr: np.ndarray) -> float:
    """Mean gradient magnitude of SR's luma over HR's: below 1 is softer than the original, above 1 harsher."""
    energy = [np.hypot(*np.gradient(luma(inner(image)))).mean() for image in (sr, hr)]
    return float(energy[0] / max(energy[1], 1e-9))


def luma(image: np.ndarray) -> np.ndarray:
    """Y of ITU-R BT.601 in [16, 235], as MATLAB's rgb2ycbcr: uint8 [H, W, 3] -> float [H, W]."""
    return rgb2ycbcr(image)[..., 0]


def inner(image: np.ndarray) -> np.ndarray:
    """The image without its border of 4 pixels."""
    return image[SCALE:-SCALE, SCALE:-SCALE]
