"""What `degradations` of `params.yaml` holds, as frozen dataclasses: how a camera makes LR, step by step.

A step is taken with its probability; each figure is drawn evenly from its range, for each image anew, and rounded where
it must be whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from srstudy.schema import Range, Share


@dataclass(frozen=True)
class Optics:
    """Blur of the lens: standard deviations of a Gaussian in HR pixels, one for each of its axes."""

    probability: Share
    sigma: Annotated[tuple[float, float], (0.1, math.inf)]


@dataclass(frozen=True)
class Motion:
    """Blur of what moves: the way in HR pixels while the shutter is open."""

    probability: Share
    length: Range


@dataclass(frozen=True)
class Downscaling:
    """Sampling: kernels as Pillow knows them, one of which is taken."""

    kernels: tuple[Literal["box", "bilinear", "hamming", "bicubic", "lanczos"], ...]


@dataclass(frozen=True)
class Noise:
    """A sensor's noise: electrons where the image is white, evenly by their logarithm, and read noise in electrons."""

    probability: Share
    white: Annotated[tuple[float, float], (1, math.inf)]
    read: Range


@dataclass(frozen=True)
class Gain:
    """Factors of linear light: of all channels, and of red and blue against green (white balance)."""

    probability: Share
    gain: Range
    balance: Range


@dataclass(frozen=True)
class Sharpening:
    """Unsharp mask inside the camera: its share, and its Gaussian's standard deviation in LR pixels."""

    probability: Share
    amount: Range
    sigma: Range


@dataclass(frozen=True)
class Interlacing:
    """How far the scene moves from one field to the next, in LR pixels."""

    probability: Share
    shift: Range


@dataclass(frozen=True)
class Jpeg:
    """Pillow's quality."""

    probability: Share
    quality: Annotated[tuple[float, float], (1, 100)]


@dataclass(frozen=True)
class H264:
    """x264's constant quantiser."""

    probability: Share
    quantiser: Annotated[tuple[float, float], (0, 51)]


@dataclass(frozen=True)
class Camera:
    """All steps. `storing_last`: how likely JPEG and H.264 come after all else, and not anywhere after sampling."""

    optics: Optics
    motion: Motion
    downscaling: Downscaling
    noise: Noise
    gain: Gain
    sharpening: Sharpening
    interlacing: Interlacing
    jpeg: Jpeg
    h264: H264
    storing_last: Share
