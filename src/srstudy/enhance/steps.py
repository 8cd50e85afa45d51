"""What may be done besides the network, each a named step of the record: before it denoising, after it CLAHE; the blend
with a bicubic enlargement; the mark; and the measure of what the network changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from threading import get_ident
from typing import Any

import av
import numpy as np
import pyvips
from PIL import Image, ImageDraw, ImageFont

from srstudy.enhance.engine import SCALE

LIBVIPS = ".".join(str(pyvips.version(part)) for part in range(3))
MARK = "AI x4: no evidence"
WINDOW, SLOPE = 91, 3  # of CLAHE: px of SR a side, and how much steeper a level's step may become
DENOISE_REACH = 8  # px: half of the search window, and half a patch
REFERENCES = {
    "denoise": "non-local means, by FFmpeg's nlmeans (Buades, Coll and Morel 2005)",
    "enlarge": "the model's card; SRGAN's generator without batch norm (Ledig et al. 2017)",
    "strength": "linear blend with Pillow's bicubic enlargement (Keys 1981)",
    "clahe": "contrast-limited adaptive histogram equalisation of Lab's L, by libvips' hist_local (Zuiderveld 1994)",
    "mark": "a visible label in the lower right corner",
}


@dataclass(frozen=True)
class Steps:
    """`denoise`: the strength of non-local means, 0 for none. `strength`: from 0, bicubic, to 1, the network."""

    denoise: float = 0.0
    strength: float = 1.0
    clahe: bool = False
    mark: bool = True

    def recorded(self, model: str, marked: bool) -> list[dict[str, Any]]:
        """Each step in order, with its parameters and what explains it; `marked`: whether the mark had room."""
        libavfilter = ".".join(map(str, av.library_versions["libavfilter"]))
        done = [
            ("denoise", self.denoise, {"strength": self.denoise, "libavfilter": libavfilter}),
            ("enlarge", True, {"scale": SCALE, "model": model}),
            ("strength", self.strength < 1, {"share of the network": self.strength, "pillow": version("pillow")}),
            ("clahe", self.clahe, {"window, at most": WINDOW, "slope": SLOPE, "libvips": LIBVIPS}),
            ("mark", self.mark and marked, {"text": MARK}),
        ]
        return [{"step": name, "reference": REFERENCES[name], **more} for name, wanted, more in done if wanted]


@lru_cache(maxsize=8)
def _denoiser(height: int, width: int, strength: float, _thread: int) -> av.filter.Graph:  # each thread has its own
    graph = av.filter.Graph()
    nodes = (
        graph.add_buffer(width=width, height=height, format="gbrp", time_base=1),
        graph.add("nlmeans", f"s={strength}:p=5:r=11"),
        graph.add("buffersink"),
    )
    graph.link_nodes(*nodes).configure()
    return graph


def denoised(lr: np.ndarray, strength: float) -> np.ndarray:
    """uint8 [h, w, 3] -> the same without noise, by non-local means of each channel; by strength 0, as it is."""
    if not strength:
        return lr
    graph = _denoiser(*lr.shape[:2], strength, get_ident())
    graph.push(av.VideoFrame.from_ndarray(np.ascontiguousarray(lr), format="rgb24").reformat(format="gbrp"))
    return graph.pull().reformat(format="rgb24").to_ndarray()


def blended(lr: np.ndarray, sr: np.ndarray, strength: float) -> np.ndarray:
    """SR and the bicubic enlargement of LR, in proportion: uint8, or float32 levels."""
    if strength == 1:
        return sr
    mixed = np.float32(strength) * sr + np.float32(1 - strength) * bicubic(lr)
    return mixed if sr.dtype != np.uint8 else np.floor(mixed + 0.5).astype(np.uint8)


def bicubic(lr: np.ndarray) -> np.ndarray:
    """Keys' bicubic enlargement: uint8 or float32 [h, w, C] -> the same kind of numbers, [4h, 4w, C]."""
    size = (SCALE * lr.shape[1], SCALE * lr.shape[0])
    planes = (Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(lr, 2, 0))
    return np.stack([plane.resize(size, Image.Resampling.BICUBIC) for plane in planes], axis=2)


def difference(lr: np.ndarray, sr: np.ndarray) -> np.ndarray:
    """How far SR, made small again as MATLAB does, is from LR: levels, float32 [h, w, C]. What it is not, was invented
    within what LR allows.
    """
    kind = np.uint8 if sr.dtype == np.uint8 else np.float32
    small = pyvips.Image.new_from_array(np.ascontiguousarray(sr, kind)).reduce(SCALE, SCALE, kernel="cubic")
    return np.abs(small.numpy().reshape(lr.shape).astype(np.float32) - lr)


def with_clahe(image: pyvips.Image) -> pyvips.Image:
    """An sRGB or gray image of 8 bits with contrast raised where there is little, by `WINDOW`, or its sides if less."""
    width, height = min(WINDOW, image.width), min(WINDOW, image.height)
    most = max(1, SLOPE * width * height // 256)  # libvips' "slope" is how often a level may occur, up to 100 times
    lab = image.colourspace("labs")
    light = (lab[0] * (255 / 32767)).rint().cast("uchar").hist_local(width, height, max_slope=most)
    light = (light * (32767 / 255)).rint().cast("short")
    return light.bandjoin([lab[1], lab[2]]).copy(interpretation="labs").colourspace("srgb")


@lru_cache(maxsize=8)
def label(height: int, width: int) -> np.ndarray | None:
    """The mark for a picture of this size, uint8 [h, w], white on black; None where it would hide an eighth of it."""
    font = ImageFont.load_default(max(10, round(min(height, width) / 40)))
    left, top, right, bottom = font.getbbox(MARK)
    size = right + left + 8, bottom + top + 6
    if 2 * size[0] > width or 4 * size[1] > height:
        return None
    picture = Image.new("L", size, 0)
    ImageDraw.Draw(picture).text((4, 3), MARK, fill=255, font=font)
    return np.asarray(picture)


def marked(sr: np.ndarray) -> np.ndarray:
    """A frame uint8 [H, W, 3] with the mark, in place."""
    if (text := label(*sr.shape[:2])) is not None:
        sr[-text.shape[0] :, -text.shape[1] :] = text[..., None]
    return sr
