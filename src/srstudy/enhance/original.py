"""A photograph as it lies in its file, read from top to bottom by libvips: sRGB or gray, upright, 8 or 16 bits.

Colours are converted by the embedded profile; CMYK and palettes become RGB; of several pages or frames the first is
taken; EXIF's orientation is carried out.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyvips
from PIL import ImageCms

from srstudy import StudyError
from srstudy.enhance.looks import looks_compressed
from srstudy.photos.images import MOST_PIXELS, read_rgb

BY_PILLOW = {".bmp", ".jfif", ".jp2", ".jpg"}  # what libvips does not know, under the endings it may have
SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}  # what a colour profile has to be of, by the number of channels
pyvips.cache_set_max(0)  # no picture is read twice


@dataclass
class Source:
    """A photograph opened for reading from top to bottom: `image` has three bands of colour, and a fourth of alpha."""

    path: Path
    image: pyvips.Image
    alpha: bool
    gray: bool
    deep: bool  # 16 bits a sample
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of LR, upright."""
        return self.image.height, self.image.width


def open_photo(path: Path) -> Source:
    """Raises StudyError, naming the file, if it is no image, damaged, too large, or has samples of an unknown kind."""
    image, notes = _opened(path), [note for note in (looks_compressed(path),) if note]
    if not image.get_typeof("vips-loader"):
        notes.append("read as RGB of 8 bits, over white")
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width}x{image.height}"
        raise StudyError(f"{path}: {size} is too large (over {MOST_PIXELS:,} px); cut out a part.")
    if image.format not in ("uchar", "ushort"):
        raise StudyError(f"{path}: samples of kind '{image.format}', of unknown range; save it as 8 or 16 bits.")
    if image.get_typeof("orientation") and image.get("orientation") > 1:
        image = _opened(path, access="random").autorot()
        notes.append("turned as its orientation says")
    if image.get_typeof("n-pages") and image.get("n-pages") > 1:
        notes.append(f"the first of {image.get('n-pages')} pages or frames")
    deep, alpha = image.format == "ushort", None
    if image.hasalpha():
        alpha, image = image[image.bands - 1], image.extract_band(0, n=image.bands - 1)
    gray = image.bands == 1
    if image.bands not in SPACES:
        raise StudyError(f"{path}: has {image.bands} channels of colour; save it as gray, RGB or CMYK.")
    image = _as_srgb(image, 16 if deep else 8, notes)
    image = image if image.bands == 3 else image.bandjoin([image, image])
    return Source(path, image if alpha is None else image.bandjoin(alpha), alpha is not None, gray, deep, notes)


def _opened(path: Path, access: str = "sequential") -> pyvips.Image:
    pyvips.Error("")  # takes what libvips still has to say of another picture
    try:  # brackets at the end of a name would be options; at a lesser `fail_on`, what a TIFF lacks is black
        return pyvips.Image.new_from_file(f"{path}[]", access=access, fail_on="error")
    except pyvips.Error as error:
        if not path.is_file() or path.suffix.lower() not in BY_PILLOW:
            raise StudyError(f"{path}: {_reason(error, path)}.") from None
    return pyvips.Image.new_from_array(read_rgb(path)).copy(interpretation="srgb")


def _as_srgb(image: pyvips.Image, depth: int, notes: list[str]) -> pyvips.Image:
    """sRGB, or gray, of the same depth, by the embedded profile if that is sound; `notes` gets what was done."""
    how = {"intent": "relative", "black_point_compensation": True, "depth": depth}
    if image.get_typeof("icc-profile-data"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.get("icc-profile-data"))).profile
            if profile.xcolor_space.strip() == SPACES[image.bands]:
                converted = image.icc_transform("srgb", embedded=True, **how)
                notes.append("converted to sRGB by its colour profile")
                return converted
        except (pyvips.Error, ImageCms.PyCMSError, OSError):
            pass
        notes.append("its colour profile is damaged or of other channels, and was passed over")
    if image.bands == 4:
        notes.append("converted from CMYK by libvips's profile")
        return image.icc_transform("srgb", input_profile="cmyk", **how)
    if image.interpretation not in ("srgb", "rgb", "rgb16", "b-w", "grey16", "multiband"):
        return image.colourspace("rgb16" if depth == 16 else "srgb")
    return image


class Reader:
    """Rows of an image that is decoded from top to bottom; rows further down may overlap with those before."""

    def __init__(self, source: Source):
        self._region, self._source, self._first = pyvips.Region.new(source.image), source, 0
        self._kind = np.uint16 if source.deep else np.uint8
        self._rows = np.zeros((0, source.image.width, source.image.bands), np.float32 if source.deep else np.uint8)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Rows [last - first, W, bands], uint8, or float32 levels of 16-bit samples. Raises StudyError for damage."""
        kept, known = self._rows[first - self._first :], self._first + len(self._rows)
        if last > known:
            try:
                content = self._region.fetch(0, known, kept.shape[1], last - known)
            except pyvips.Error as error:
                raise StudyError(f"{self._source.path}: {_reason(error, self._source.path)}.") from None
            new = np.frombuffer(content, self._kind).reshape(last - known, *kept.shape[1:])
            kept = np.concatenate([kept, new / np.float32(257) if self._source.deep else new])
        self._rows, self._first = kept, first
        return kept


def _reason(error: pyvips.Error, path: Path) -> str:
    if not path.exists():
        return "no such image; check the path"
    if path.is_dir():
        return "a folder, no image; give a file"
    if any(words in str(error.detail) for words in ("not a known file format", "has not been built in")):
        return "not an image that can be read; convert it to .png, .jpg or .tif"
    said = " ".join(str(error.detail).split("\n")[0].split())
    return f"damaged image ({said or error.message}); replace it"
