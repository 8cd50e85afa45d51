"""How good an SR image is: fidelity (PSNR, SSIM), colour and sharpness (paper IV-C).

Images are uint8 [H, W, 3] RGB, SR as large as HR; a border of 4 pixels is left out, as the field does.
"""

from collections.abc import Callable

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab, rgb2ycbcr
from skimage.metrics import structural_similarity

from srstudy.degrade.bicubic import SCALE

EQUAL_DB = 100.0  # PSNR of equal images, which would be infinite and spoil every mean
BAND = 2**18  # pixels of an image that are measured at once: some of the measures take 200 bytes for each
ROUNDING = 0.25  # mean step from pixel to pixel, in 8-bit levels, that rounding to levels makes of a flat image

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
MAIN_MEASURES = ("psnr_y", "ssim_y", "perceptual", "delta_e")  # where there is room for a few


class Picture:
    """An image without its border, in the colour spaces of the measures: that of HR serves all SR images."""

    def __init__(self, image: np.ndarray):
        self.rgb = inner(image)
        parts = [self.rgb[rows] for rows in bands(self.rgb)]
        self.luma, self.lab = (np.concatenate([convert(part) for part in parts]) for convert in (luma, rgb2lab))
        self.slope = np.hypot(*np.gradient(self.luma)).mean()


def measures(hr: Picture, sr: Picture) -> dict[str, float]:
    """All of `MEASURES` but the perceptual distance. Gray images are judged as RGB like all others.

    Published figures for Set14 compare its one file that is stored as gray on its own 256 levels instead of Y's 220:
    bicubic is 26.00 dB there and 26.09 dB here.
    """
    shift_a, shift_b = colour_shift(hr, sr)
    return {
        "psnr_y": psnr(hr.luma, sr.luma), "psnr_rgb": psnr(hr.rgb, sr.rgb),
        "ssim_y": by_bands(ssim, hr.luma, sr.luma, 10), "ssim_rgb": by_bands(rgb_ssim, hr.rgb, sr.rgb, 10),
        "shift_a": shift_a, "shift_b": shift_b, "delta_e": by_bands(delta_e, hr.lab, sr.lab),
        "sharpness": ratio(sr.slope, hr.slope),  # below 1 is softer than the original, above 1 harsher
    }  # fmt: skip


def ratio(steps: float, others: float) -> float:
    """Of two mean differences in 8-bit levels; those below ROUNDING, which rounding alone could make, count as it."""
    return float(max(steps, ROUNDING) / max(others, ROUNDING))


def psnr(hr: np.ndarray, sr: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 255]; 100 for equal ones."""
    error = by_bands(lambda hr, sr: np.mean((hr.astype(float) - sr) ** 2), hr, sr)
    return float(min(10 * np.log10(255**2 / error), EQUAL_DB)) if error else EQUAL_DB


def ssim(hr: np.ndarray, sr: np.ndarray, **axis: int) -> float:
    """Structural similarity of values in [0, 255] (Wang et al. 2004): Gaussian windows of 11x11 pixels, sigma 1.5."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(hr, sr, **options, **axis))


def rgb_ssim(hr: np.ndarray, sr: np.ndarray) -> float:
    """`ssim`, mean over the channels of RGB."""
    return ssim(hr, sr, channel_axis=2)


def delta_e(hr: np.ndarray, sr: np.ndarray) -> float:
    """Mean difference of two images in CIELAB (CIEDE2000)."""
    return float(deltaE_ciede2000(hr, sr).mean())


def bands(image: np.ndarray, overlap: int = 0) -> list[slice]:
    """Rows of an image that cover it part by part, with so many rows in common."""
    rows, height = max(1, BAND // image.shape[1]), len(image) - overlap
    return [slice(top, min(top + rows, height) + overlap) for top in range(0, height, rows)]


def by_bands(measure: Callable[..., float], hr: np.ndarray, sr: np.ndarray, overlap: int = 0) -> float:
    """A mean over the places of an image, which leaves out half of `overlap` at each border, added up from bands."""
    parts, height = [(hr[rows], sr[rows]) for rows in bands(hr, overlap)], len(hr) - overlap
    return sum(measure(*part) * ((len(part[0]) - overlap) / height) for part in parts)


def colour_shift(hr: Picture, sr: Picture) -> tuple[float, float]:
    """Mean signed shift SR - HR in CIELAB a* (green to magenta) and b* (blue to yellow)."""
    _, shift_a, shift_b = (sr.lab - hr.lab).reshape(-1, 3).mean(axis=0)
    return float(shift_a), float(shift_b)


def luma(image: np.ndarray) -> np.ndarray:
    """Y of ITU-R BT.601 in [16, 235], as MATLAB's rgb2ycbcr: uint8 [H, W, 3] -> float [H, W]."""
    return rgb2ycbcr(image)[..., 0]


def inner(image: np.ndarray) -> np.ndarray:
    """The image without its border of 4 pixels."""
    return image[SCALE:-SCALE, SCALE:-SCALE]
