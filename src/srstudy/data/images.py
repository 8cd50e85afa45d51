"""Reading and writing photographs: whatever the file holds, the study sees 8-bit RGB the right way up."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from srstudy.data.archives import Archive, open_archive
from srstudy.errors import StudyError
from srstudy.files import replacing

_until_the_end = ExitStack()
EXTENSIONS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


def read_rgb(path: str | Path) -> np.ndarray:
    """Read an image file as uint8 [H, W, 3] RGB by the rule of `upright_rgb`.

    Raises StudyError, naming the file, when it is missing, empty, truncated or no image at all.
    """
    with opened(Path(path), str(path)) as image:
        return np.asarray(upright_rgb(image))


def rgb_of(content: bytes, name: str) -> np.ndarray:
    """Decode the bytes of an image file as `read_rgb` does; errors call it `name`."""
    with opened(io.BytesIO(content), name) as image:
        return np.asarray(upright_rgb(image))


def read_photo(root: Path, row: object) -> np.ndarray:
    """The pixels uint8 [H, W, 3] of a row of the manifest, read from its archive; `root` is the project's folder.

    Raises StudyError, naming the archive and the file, when it can't be read, or is no longer the file that was
    scanned. May be called from several threads.
    """
    path = root / row.archive
    if not path.exists():
        raise StudyError(f"{row.archive}: is gone; put it back, or run `dvc repro -f scan`, then `dvc repro`.")
    content = _archive(path, path.stat().st_mtime_ns).read(row.member)
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise StudyError(
            f"{row.archive}: '{row.member}' has changed since it was scanned; put the old one back, or run "
            "`dvc repro -f scan`, then `dvc repro`."
        )
    return rgb_of(content, f"{row.archive}: {row.member}")


@lru_cache
def _archive(path: Path, changed: int) -> Archive:
    # Open until the end, because the list of a large archive's files takes long to read.
    return _until_the_end.enter_context(open_archive(path))


@contextmanager
def opened(file: Path | io.BytesIO, name: str) -> Iterator[Image.Image]:
    """An image that Pillow has opened, not yet decoded; what goes wrong inside the block becomes a StudyError that
    names `name`.
    """
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
    """The opened image decoded as RGB, EXIF orientation applied.

    Gray, palette and CMYK images are converted; transparent pixels are laid over white; of 16-bit
    samples the high byte is kept; of an animation the first frame. Raises ValueError for floating-point pixels.
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
