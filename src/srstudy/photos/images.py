"""Reading and writing photographs: whatever the file holds, the study sees 8-bit RGB the right way up."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from srstudy import StudyError
from srstudy.files import replacing
from srstudy.photos.archives import Archive, open_archive

EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
SCAN_AGAIN = "run `dvc repro -f scan`, then `dvc repro`"


def read_rgb(path: str | Path) -> np.ndarray:
    """An image file as uint8 [H, W, 3], by `upright_rgb`. Raises StudyError if it is missing, damaged, or no image."""
    with opened(Path(path), str(path)) as image:
        return np.asarray(upright_rgb(image))


def read_photo(root: Path, row: object) -> np.ndarray:
    """The pixels uint8 [H, W, 3] of a row of the manifest, read from its archive; `root` is the project's folder.

    Raises StudyError if it can't be read, or is no longer the file that was scanned. Several threads may call this.
    """
    path, name = root / row.archive, f"{row.archive}: '{row.member}'"
    if not path.exists():
        raise StudyError(f"{row.archive}: is gone; put it back, or {SCAN_AGAIN}.")
    content = open_once(path, path.stat().st_mtime_ns).read(row.member)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise StudyError(f"{name} has changed since it was scanned; put the old one back, or {SCAN_AGAIN}.")
    with opened(io.BytesIO(content), name) as image:
        return np.asarray(upright_rgb(image))


@lru_cache
def open_once(path: Path, changed: int = 0) -> Archive:
    """`open_archive`, but once for each time at which the archive was changed: to list a large one takes long."""
    return open_archive(path)


@contextmanager
def opened(file: Path | io.BytesIO, name: str) -> Iterator[Image.Image]:
    """An image that Pillow has opened, not yet decoded. What goes wrong inside is a StudyError that names `name`."""
    try:
        with Image.open(file) as image:
            yield image
    except FileNotFoundError:
        raise StudyError(f"{name}: no such image; check the path.") from None
    except UnidentifiedImageError:
        raise StudyError(f"{name}: not an image that Pillow can read; remove it or convert it.") from None
    except Exception as error:  # broken bytes can lead Pillow's readers to any
        raise StudyError(f"{name}: damaged image ({error}); replace it or remove it.") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """The opened image decoded as RGB, EXIF orientation applied: gray, palette and CMYK converted, transparent pixels
    laid over white, of 16-bit samples the high byte, of an animation the first frame. Raises ValueError for floats.
    """
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16-bit gray: Pillow would clip at 255 instead of scaling
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no stated range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W, 3] (or [H, W]) as PNG, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", optimize=True)


def list_images(folder: str | Path) -> list[Path]:
    """Image files directly in `folder`, by name. Raises StudyError if there is no folder or no image in it."""
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; give a folder of images.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS and path.is_file())
    if not paths:
        raise StudyError(f"{folder}: no image in this folder ({', '.join(sorted(EXTENSIONS))}).")
    return paths
