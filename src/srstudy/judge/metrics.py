"""How good an SR image is: fidelity (PSNR, SSIM), colour and sharpness (paper IV-C).

Images are uint8 [H, W, 3] RGB, SR as large as HR; a border of 4 pixels is left out, as the field does.
`protocols.md` says for each measure what it counts.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab, rgb2ycbcr
from skimage.metrics import structural_similarity

from srstudy.degrade.bicubic import SCALE, downscale

EQUAL_DB = 100.0  # PSNR of equal images, which would be infinite and spoil every mean
BAND = 2**18  # pixels of an image that are measured at once: some of the measures take 200 bytes for each
ROUNDING = 0.25  # mean step from pixel to pixel, in 8-bit levels, that rounding to levels makes of a flat image

# What the tables call them, and whether more is better (1), less (-1), or nearer to the target is (0).
MEASURES = {
    "psnr_y": ("PSNR-Y (dB)", 1),
    "psnr_rgb": ("PSNR-RGB (dB)", 1),
    "ssim_y": ("SSIM-Y", 1),
    "ssim_rgb": ("SSIM-RGB", 1),
    "lr_psnr": ("LR-PSNR (dB)", 1),
    "perceptual": ("VGG16-HED distance", -1),
    "shift_a": ("a* shift", 0),
    "shift_b": ("b* shift", 0),
    "delta_e": ("ΔE2000", -1),
    "sharpness": ("sharpness, HR = 1", 0),
}
MAIN_MEASURES = ("psnr_y", "ssim_y", "perceptual", "delta_e")  # where there is room for a few


class Picture:
    """An image without its border, in the colour spaces of the measures: those of HR serve all SR images. They take 32
    bytes a pixel, so those of a large image are made band by band, each time anew.
    """

    def __init__(self, image: np.ndarray):
        self.rgb = inner(image)
        self.small = self.rgb[..., 0].size <= BAND
        heights = [(rows, slice(max(0, rows.start - 1), rows.stop + 1)) for rows in bands(self.rgb)]  # and a neighbour
        slopes = (
            np.hypot(*np.gradient(self.part(more)[1]))[rows.start - more.start :][: size(rows)]
            for rows, more in heights
        )
        self.slope = sum(slope.mean() * (len(slope) / len(self.rgb)) for slope in slopes)

    @cached_property
    def luma(self) -> np.ndarray:
        """Y, float [H, W]."""
        return luma(self.rgb)

    @cached_property
    def lab(self) -> np.ndarray:
        """CIELAB, float [H, W, 3]."""
        return rgb2lab(self.rgb)

    def part(self, rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """RGB, Y and CIELAB of some rows."""
        if self.small:
            return self.rgb[rows], self.luma[rows], self.lab[rows]
        return self.rgb[rows], luma(self.rgb[rows]), rgb2lab(self.rgb[rows])


def measures(hr: Picture, sr: Picture) -> dict[str, float]:
    """All of `MEASURES` but `lr_psnr` and the perceptual distance. Gray images are judged as RGB like all others.

    Published figures for Set14 compare its one file that is stored as gray on its own 256 levels instead of Y's 220:
    bicubic is 26.00 dB there and 26.09 dB here.
    """
    error_y, error_rgb, far, shift_a, shift_b = by_bands(differences, hr, sr)
    ssim_y, ssim_rgb = by_bands(similarities, hr, sr, 10)
    return {
        "psnr_y": decibels(error_y), "psnr_rgb": decibels(error_rgb), "ssim_y": ssim_y, "ssim_rgb": ssim_rgb,
        "shift_a": shift_a, "shift_b": shift_b, "delta_e": far,
        "sharpness": ratio(sr.slope, hr.slope),  # below 1 is softer than the original, above 1 harsher
    }  # fmt: skip


def differences(hr: Sequence[np.ndarray], sr: Sequence[np.ndarray]) -> np.ndarray:
    """Means over a part of two pictures: squared differences of Y and of RGB, CIEDE2000, differences of a* and b*."""
    squares = [np.mean((a.astype(float) - b) ** 2) for a, b in zip((hr[1], hr[0]), (sr[1], sr[0]))]
    return np.array([*squares, deltaE_ciede2000(hr[2], sr[2]).mean(), *colour_shift(hr[2], sr[2])])


def similarities(hr: Sequence[np.ndarray], sr: Sequence[np.ndarray]) -> np.ndarray:
    """`ssim` of a part of two pictures, on Y, and on RGB as the mean over its channels."""
    return np.array([ssim(hr[1], sr[1]), ssim(hr[0], sr[0], channel_axis=2)])


def ratio(steps: float, others: float) -> float:
    """Of two mean differences in 8-bit levels; those below ROUNDING, which rounding alone could make, count as it."""
    return float(max(steps, ROUNDING) / max(others, ROUNDING))


def psnr(hr: np.ndarray, sr: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 255]; 100 for equal ones."""
    return decibels(np.mean((hr.astype(float) - sr) ** 2))


def lr_psnr(lr: np.ndarray, sr: np.ndarray) -> float:
    """LR-consistency in dB: PSNR in RGB, border and all, of LR [h, w, 3] and SR [4h, 4w, 3] reduced again, uint8.

    45 dB is what the NTIRE 2021 challenge on learning the SR space asked for; its ESRGAN baseline had 39.01 dB
    (Lugmayr et al. 2021).
    """
    return psnr(lr, downscale(sr))


def decibels(error: float) -> float:
    """The PSNR of a mean squared error."""
    return float(min(10 * np.log10(255**2 / error), EQUAL_DB)) if error else EQUAL_DB


def ssim(hr: np.ndarray, sr: np.ndarray, **axis: int) -> float:
    """Structural similarity of values in [0, 255] (Wang et al. 2004): Gaussian windows of 11x11 pixels, sigma 1.5."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    return float(structural_similarity(hr, sr, **options, **axis))


def bands(image: np.ndarray, overlap: int = 0) -> list[slice]:
    """Rows of an image that cover it part by part, with so many rows in common."""
    rows, height = max(1, BAND // image.shape[1]), len(image) - overlap
    return [slice(top, min(top + rows, height) + overlap) for top in range(0, height, rows)]


def by_bands(measure: Callable[..., np.ndarray], hr: Picture, sr: Picture, overlap: int = 0) -> list[float]:
    """Means over the places of two pictures, which leave out half of `overlap` at each border, added up from bands."""
    rows, height = bands(hr.rgb, overlap), len(hr.rgb) - overlap
    return sum(measure(hr.part(one), sr.part(one)) * ((size(one) - overlap) / height) for one in rows).tolist()


def size(rows: slice) -> int:
    return rows.stop - rows.start


def colour_shift(hr: np.ndarray, sr: np.ndarray) -> tuple[float, float]:
    """Mean signed shift SR - HR of CIELAB images [H, W, 3] in a* (green to magenta) and b* (blue to yellow)."""
    _, shift_a, shift_b = (sr - hr).reshape(-1, 3).mean(axis=0)
    return float(shift_a), float(shift_b)


def luma(image: np.ndarray) -> np.ndarray:
    """Y of ITU-R BT.601 in [16, 235], as MATLAB's rgb2ycbcr: uint8 [H, W, 3] -> float [H, W]."""
    return rgb2ycbcr(image)[..., 0]


def inner(image: np.ndarray) -> np.ndarray:
    """The image without its border of 4 pixels."""
    return image[SCALE:-SCALE, SCALE:-SCALE]
