"""LR images as a surveillance camera and its recorder make them, beside the paper's bicubic reduction.

A practical degradation model (BSRGAN, Zhang et al. 2021, arXiv:2103.14006; Real-ESRGAN, Wang et al. 2021,
arXiv:2107.10833): each step is taken with a probability, its figures are drawn from ranges, and `params.yaml` has both.
First comes what happens to light, blur by the lens and by motion; then sampling, by a random kernel; then what happens
to the signal, in random order; and storing, mostly last. An image and a seed decide everything. As in both papers, and
in bicubic reduction, blur and sampling are computed on sRGB's levels; noise and gain on linear light.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from srstudy.degrade import codecs, sensor
from srstudy.degrade.bicubic import SCALE, downscale
from srstudy.settings_camera import (
    H264,
    Camera,
    Downscaling,
    Gain,
    Interlacing,
    Jpeg,
    Motion,
    Noise,
    Optics,
    Sharpening,
)

LIGHT, SIGNAL, STORING = ("optics", "motion"), ("noise", "gain", "sharpening", "interlacing"), ("jpeg", "h264")
BLOCK = 16  # px: codecs lay a grid of blocks over their frame, and a crop may come from anywhere on it


def degrade(hr: np.ndarray, camera: Camera, random: np.random.Generator) -> np.ndarray:
    """LR of an HR image: uint8 [H, W, 3] -> uint8 [H/4, W/4, 3].

    Raises ValueError if a side is not a multiple of 4.
    """
    *_, (_, lr) = through(hr, camera, random)
    return lr


def lr_to_judge(id: str, hr: np.ndarray, camera: Camera | None, seed: int) -> np.ndarray:
    """The one LR of the photograph `id` on which all are judged: as `degrade` makes it, or bicubic without a camera."""
    if camera is None:
        return downscale(hr)
    return degrade(hr, camera, np.random.default_rng([seed, 5, zlib.crc32(id.encode())]))


def through(hr: np.ndarray, camera: Camera, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """The steps of `degrade` in the order taken: each by name, with the image after it; the last one is LR."""
    if hr.shape[0] % SCALE or hr.shape[1] % SCALE:
        raise ValueError(f"{hr.shape[0]}x{hr.shape[1]} is not a multiple of {SCALE}")
    image = hr
    for name in order(camera, random):
        image = STEPS[name](image, getattr(camera, name), random)
        yield name, image


def order(camera: Camera, random: np.random.Generator) -> list[str]:
    """Names of the steps to be taken, one after the other.

    Two blurs in a row are one, whatever their order, so these are not shuffled. Storing comes last, or else anywhere
    after sampling, as when footage is stored, shown, and recorded again.
    """
    taken = {name: random.random() < getattr(camera, name).probability for name in LIGHT + SIGNAL + STORING}
    groups = (SIGNAL, STORING) if random.random() < camera.storing_last else (SIGNAL + STORING,)
    later = [str(name) for group in groups for name in random.permutation(group)]
    return [name for name in (*LIGHT, "downscaling", *later) if taken.get(name, True)]


def with_every_step(camera: Camera) -> Camera:
    """The camera that takes each of its steps, storing last: to look at them."""
    steps = {name: replace(getattr(camera, name), probability=1.0) for name in LIGHT + SIGNAL + STORING}
    return replace(camera, **steps, storing_last=1.0)


def _optics(image: np.ndarray, optics: Optics, random: np.random.Generator) -> np.ndarray:
    return sensor.convolve(image, sensor.gaussian_kernel(*random.uniform(*optics.sigma, 2), _angle(random)))


def _motion(image: np.ndarray, motion: Motion, random: np.random.Generator) -> np.ndarray:
    return sensor.convolve(image, sensor.motion_kernel(random.uniform(*motion.length), _angle(random)))


def _downscaling(image: np.ndarray, downscaling: Downscaling, random: np.random.Generator) -> np.ndarray:
    kernel = downscaling.kernels[random.integers(len(downscaling.kernels))]
    size = image.shape[1] // SCALE, image.shape[0] // SCALE
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling[kernel.upper()]))


def _noise(image: np.ndarray, noise: Noise, random: np.random.Generator) -> np.ndarray:
    white = math.exp(random.uniform(*map(math.log, noise.white)))  # so that 500 to 1000 is as likely as 1000 to 2000
    return sensor.add_noise(image, white, random.uniform(*noise.read), random)


def _gain(image: np.ndarray, gain: Gain, random: np.random.Generator) -> np.ndarray:
    red, blue = random.uniform(*gain.balance, 2)
    return sensor.amplify(image, random.uniform(*gain.gain) * np.array([red, 1.0, blue]))


def _sharpening(image: np.ndarray, sharpening: Sharpening, random: np.random.Generator) -> np.ndarray:
    return sensor.sharpen(image, random.uniform(*sharpening.amount), random.uniform(*sharpening.sigma))


def _interlacing(image: np.ndarray, interlacing: Interlacing, random: np.random.Generator) -> np.ndarray:
    return sensor.interlace(image, round(random.uniform(*interlacing.shift)) * int(random.choice([-1, 1])))


def _jpeg(image: np.ndarray, jpeg: Jpeg, random: np.random.Generator) -> np.ndarray:
    frame, inside = _frame(image, random)
    return codecs.jpeg(frame, round(random.uniform(*jpeg.quality)))[inside]


def _h264(image: np.ndarray, h264: H264, random: np.random.Generator) -> np.ndarray:
    frame, inside = _frame(image, random)
    return codecs.h264(frame, round(random.uniform(*h264.quantiser)))[inside]


def _angle(random: np.random.Generator) -> float:
    return random.uniform(0, 2 * math.pi)


def _frame(image: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The image somewhere on a frame's grid of blocks, its border repeated around it, and where it is in there."""
    (top, left), (height, width) = random.integers(0, BLOCK, 2), image.shape[:2]
    below, right = (top + height) % 2, (left + width) % 2
    frame = np.pad(image, ((top, below), (left, right), (0, 0)), mode="edge")
    return frame, (slice(top, top + height), slice(left, left + width))


STEPS = {
    "optics": _optics, "motion": _motion, "downscaling": _downscaling, "noise": _noise, "gain": _gain,
    "sharpening": _sharpening, "interlacing": _interlacing, "jpeg": _jpeg, "h264": _h264,
}  # fmt: skip
