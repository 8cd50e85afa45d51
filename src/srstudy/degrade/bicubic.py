"""The field's low-resolution images: MATLAB's `imresize(hr, 1/4, 'bicubic')`, reproduced to the last pixel.

Super-resolution figures are comparable only if LR is made in the same way. Pillow and `tf.image.resize`
differ from MATLAB by up to 14 grey levels on Set14; the recipe here differs by none.
"""

from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

SCALE = 4


def downscale(hr: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """LR of an HR image: uint8 [H, W, C] -> uint8 [H/scale, W/scale, C] (paper IV-B, r = 4).

    Raises ValueError if a side is not a multiple of `scale`: crop with `crop_to_multiple` first.
    """
    height, width = hr.shape[:2]
    if height % scale or width % scale:
        raise ValueError(f"{height}x{width} is not a multiple of {scale}")
    return _resize(hr, height // scale, width // scale)


def upscale(lr: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """Bicubic enlargement, the baseline of every table: uint8 [h, w, C] -> uint8 [h*scale, w*scale, C]."""
    return _resize(lr, lr.shape[0] * scale, lr.shape[1] * scale)


def resize(image: np.ndarray, factor: float) -> np.ndarray:
    """uint8 [H, W, C] -> uint8 [H * factor, W * factor, C], to whole pixels, by the same interpolation.

    `factor` leaves a pixel at least.
    """
    height, width = (round(side * factor) for side in image.shape[:2])
    return image if factor == 1 else _resize(image, height, width)


def crop_to_multiple(hr: np.ndarray, scale: int = SCALE) -> np.ndarray:
    """Cut the right and lower edge so that both sides are multiples of `scale`."""
    height, width = hr.shape[:2]
    return hr[: height - height % scale, : width - width % scale]


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Levels of any shape, rounded half up and cut off at 0 and 255."""
    return np.floor(values + 0.5).clip(0, 255).astype(np.uint8)


def _resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Rows first, then columns, rounded and clipped to 8 bits after each pass, as MATLAB does."""
    tall = _resize_rows(image, height)
    return _resize_rows(tall.swapaxes(0, 1), width).swapaxes(0, 1)


def _resize_rows(image: np.ndarray, height: int) -> np.ndarray:
    rows = image.reshape(image.shape[0], -1).astype(float)
    return to_uint8(resize_matrix(image.shape[0], height) @ rows).reshape(height, *image.shape[1:])


@lru_cache(maxsize=64)
def resize_matrix(size_in: int, size_out: int) -> csr_array:
    """Weights [size_out, size_in] of one pass; each row sums to 1.

    Keys' cubic kernel (a = -0.5), widened by the factor when reducing (antialiasing); beyond the border the last pixel
    is repeated. Sparse, because of a row's weights few are not zero, and because a dense product starts threads of its
    own, which from several threads at once is many times slower.
    """
    shrink = min(size_out / size_in, 1.0)
    centres = (np.arange(size_out) + 0.5) * size_in / size_out - 0.5
    reach = 2.0 / shrink
    matrix = np.zeros((size_out, size_in))
    for row, centre in enumerate(centres):
        taps = np.arange(int(np.floor(centre - reach)), int(np.ceil(centre + reach)) + 1)
        weights = _cubic((taps - centre) * shrink)
        np.add.at(matrix[row], taps.clip(0, size_in - 1), weights / weights.sum())
    return csr_array(matrix)


def _cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
