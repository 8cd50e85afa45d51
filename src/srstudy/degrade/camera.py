"""LR images as a surveillance camera and its recorder make them, beside the paper's bicubic reduction.

A practical degradation model (BSRGAN, Zhang et al. 2021, arXiv:2103.14006; Real-ESRGAN, Wang et al. 2021,
arXiv:2107.10833): each step is taken with a probability, its figures are drawn from ranges, and `params.yaml` has both.
First comes what happens to light, blur by the lens and by motion; then sampling, by a random kernel; then what happens
to the signal, in random order; and storing, mostly last. An image and a seed decide everything. As in both papers, and
in bicubic reduction, blur and sampling are computed on sRGB's levels; noise and gain on linear light.
"""

import math
import zlib
from collections.abc import Iterator

import numpy as np

from srstudy.degrade import signal
from srstudy.degrade.bicubic import SCALE, downscale
from srstudy.settings import Camera

LIGHT, SIGNAL, STORING = ("optics", "motion"), ("noise", "gain", "sharpening", "interlacing"), ("jpeg", "h264", "webp")
BLOCK = 16  # px: codecs lay a grid of blocks over their frame, and a crop may come from anywhere on it


def degrade(hr: np.ndarray, camera: Camera, random: np.random.Generator) -> np.ndarray:
    """LR of an HR image: uint8 [H, W, 3] -> uint8 [H/4, W/4, 3].

    Raises ValueError if a side is not a multiple of 4.
    """
    *_, (_, lr) = degradation_steps(hr, camera, random)
    return lr


def lr_for_scoring(id: str, hr: np.ndarray, camera: Camera | None, seed: int) -> np.ndarray:
    """The one LR of the photograph `id` on which all are scored: as `degrade` makes it, or bicubic without a camera."""
    if camera is None:
        return downscale(hr)
    return degrade(hr, camera, np.random.default_rng([seed, 5, zlib.crc32(id.encode())]))


def degradation_steps(hr: np.ndarray, camera: Camera, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """The steps of `degrade` in the order taken: each by name, with the image after it; the last one is LR."""
    if hr.shape[0] % SCALE or hr.shape[1] % SCALE:
        raise ValueError(f"{hr.shape[0]}x{hr.shape[1]} is not a multiple of {SCALE}")
    image = hr
    for name in draw_steps(camera, random):
        image = _take(name, image, getattr(camera, name), random)
        yield name, image


def draw_steps(camera: Camera, random: np.random.Generator) -> list[str]:
    """Names of the steps to be taken, one after the other.

    Two blurs in a row are one, whatever their order, so these are not shuffled. Storing comes last, or else anywhere
    after sampling, as when footage is stored, shown, and recorded again.
    """
    storing = tuple(name for name in STORING if getattr(camera, name))
    taken = {name: random.random() < getattr(camera, name).probability for name in LIGHT + SIGNAL + storing}
    groups = (SIGNAL, storing) if random.random() < camera.storing_last else (SIGNAL + storing,)
    later = [str(name) for group in groups for name in random.permutation(group)]
    return [name for name in (*LIGHT, "downscaling", *later) if taken.get(name, True)]


def with_every_step(camera: Camera) -> Camera:
    """The camera that takes each of its steps, storing last: to look at them."""
    sure = {"probability": 1.0}
    steps = {name: step.model_copy(update=sure) for name in LIGHT + SIGNAL + STORING if (step := getattr(camera, name))}
    return camera.model_copy(update={**steps, "storing_last": 1.0})


def _take(name: str, image: np.ndarray, step, random: np.random.Generator) -> np.ndarray:
    """The image after one step, a part of the camera's settings; its figures are drawn in the order written here."""
    draw = random.uniform
    match name:
        case "optics":
            along, across = draw(*step.sigma, 2)
            return signal.convolve(image, signal.gaussian_kernel(along, across, draw(0, 2 * math.pi)))
        case "motion":
            return signal.convolve(image, signal.motion_kernel(draw(*step.length), draw(0, 2 * math.pi)))
        case "downscaling":
            return signal.reduce(image, step.kernels[random.integers(len(step.kernels))])
        case "noise":
            white = math.exp(draw(*map(math.log, step.white)))  # so that 500 to 1000 is as likely as 1000 to 2000
            return signal.add_noise(image, white, draw(*step.read), random)
        case "gain":
            red, blue = draw(*step.balance, 2)
            return signal.amplify(image, draw(*step.gain) * np.array([red, 1.0, blue]))
        case "sharpening":
            return signal.sharpen(image, draw(*step.amount), draw(*step.sigma))
        case "interlacing":
            return signal.interlace(image, round(draw(*step.shift)) * int(random.choice([-1, 1])))
        case "jpeg":
            frame, inside = _framed(image, random)
            return signal.jpeg(frame, round(draw(*step.quality)))[inside]
        case "webp":
            frame, inside = _framed(image, random)
            return signal.webp(frame, round(draw(*step.quality)))[inside]
        case "h264":
            frame, inside = _framed(image, random)
            return signal.h264(frame, round(draw(*step.quantiser)))[inside]
    raise ValueError(f"no step of a camera is called {name}")


def _framed(image: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, tuple[slice, slice]]:
    """The image somewhere on a frame's grid of blocks, its border repeated around it, and where it is in there."""
    (top, left), (height, width) = random.integers(0, BLOCK, 2), image.shape[:2]
    below, right = (top + height) % 2, (left + width) % 2
    frame = np.pad(image, ((top, below), (left, right), (0, 0)), mode="edge")
    return frame, (slice(top, top + height), slice(left, left + width))
