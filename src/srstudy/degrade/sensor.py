"""What a picture goes through between the scene and the recorder: blur, sensor noise, gain, sharpening, interlacing.

Each is a function of an image, uint8 [H, W, 3], and of plain figures; `camera.py` draws the figures.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft, ndimage


def gaussian_kernel(along: float, across: float, angle: float) -> np.ndarray:
    """Blur of a lens out of focus: a Gaussian of two standard deviations in pixels, turned by `angle` radians.

    Float [K, K], K odd, cut at 3 standard deviations of the larger; sums to 1.
    """
    reach = math.ceil(3 * max(along, across))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    kernel = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float) -> np.ndarray:
    """Blur of what moves evenly by `length` pixels while the shutter is open: float [K, K], K odd; sums to 1.

    Points along the way, four a pixel, each shared among the four pixels around it.
    """
    reach = math.ceil(length / 2) + 1
    points = 4 * max(1, math.ceil(length))
    way = length * ((np.arange(points) + 0.5) / points - 0.5)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    y, x = reach + way * math.sin(angle), reach + way * math.cos(angle)
    for dy in (0, 1):
        for dx in (0, 1):
            rows, columns = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            np.add.at(kernel, (rows, columns), (1 - abs(y - rows)) * (1 - abs(x - columns)))
    return kernel / kernel.sum()


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The image under a kernel, float [K, K] of odd K: beyond the border the image is mirrored."""
    reach = kernel.shape[0] // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    size = [fft.next_fast_len(length, real=True) for length in padded.shape[:2]]
    spectrum = fft.rfft2(padded.astype(float), size, axes=(0, 1)) * fft.rfft2(kernel, size)[..., None]
    blurred = fft.irfft2(spectrum, size, axes=(0, 1))
    return to_uint8(blurred[2 * reach : padded.shape[0], 2 * reach : padded.shape[1]])


def add_noise(image: np.ndarray, white: float, read: float, random: np.random.Generator) -> np.ndarray:
    """Noise of a sensor that counts `white` electrons where the image is white, with a read noise of `read` electrons.

    The count is Poisson's (shot noise), so in linear light its variance is (light * white + read^2) / white^2. The
    curve of sRGB is steep in the dark: there the same image shows most noise.
    """
    counted = random.poisson(to_linear(image) * white) + random.normal(0, read, image.shape)
    return from_linear(counted / white)


def amplify(image: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """Each channel's linear light times its gain, float [3]: exposure and white balance; too bright is cut off."""
    return from_linear(to_linear(image) * gains)


def sharpen(image: np.ndarray, amount: float, sigma: float) -> np.ndarray:
    """Unsharp mask: the image and `amount` times what a Gaussian of `sigma` pixels takes out of it. Leaves halos."""
    soft = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0))
    return to_uint8(image + amount * (image - soft))


def interlace(image: np.ndarray, shift: int) -> np.ndarray:
    """Odd rows of a later field, in which the scene has moved to the right by `shift` pixels, the left if below 0."""
    woven, columns = image.copy(), np.arange(image.shape[1]) - shift
    woven[1::2] = image[1::2][:, columns.clip(0, image.shape[1] - 1)]
    return woven


def to_linear(image: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of uint8 levels (IEC 61966-2-1, sRGB)."""
    return _LINEAR[image]


def from_linear(light: np.ndarray) -> np.ndarray:
    """uint8 levels of linear light; what is below 0 or above 1 is cut off."""
    light = light.clip(0, 1)
    return to_uint8(255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055))


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Levels rounded and cut off at 0 and 255."""
    return np.floor(values + 0.5).clip(0, 255).astype(np.uint8)


_LEVELS = np.arange(256) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
