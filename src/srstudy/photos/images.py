"""Reading and writing photographs: whatever the file holds, the study sees 8-bit sRGB the right way up."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageChops, ImageCms, PngImagePlugin, UnidentifiedImageError

from srstudy import StudyError
from srstudy.files import replacing
from srstudy.photos.archives import Archive, is_hidden, open_archive, printable

EXTENSIONS = {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
MOST_PIXELS = 1 << 29  # phones make 200 million; Pillow takes 4 bytes for each
# Pillow's limits, the whole process's, are too low for phones' photographs and editors' notes: raised, not lifted.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # it warns from here on, and refuses twice as many
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
TURNS = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"
UPRIGHT = {orientation: Image.Transpose[turn] for orientation, turn in enumerate(TURNS.split(), 2)}
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
    return decode(content, name)


def decode(content: bytes, name: str) -> np.ndarray:
    """The bytes of an image file as uint8 [H, W, 3], by `upright_rgb`. Raises StudyError, which begins with `name`."""
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
    except StudyError as error:
        raise StudyError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise StudyError(f"{name}: no such image; check the path.") from None
    except UnidentifiedImageError:
        raise StudyError(f"{name}: not an image that Pillow can read; remove it or convert it.") from None
    except (Image.DecompressionBombError, MemoryError):
        raise StudyError(f"{name}: too large (over {MOST_PIXELS:,} pixels, or for the memory); reduce it.") from None
    except Exception as error:  # broken bytes can lead Pillow's readers to any
        if getattr(error, "filename", None):  # the system did not open it
            raise StudyError(f"{name}: not readable ({error.strerror}); check its permissions and disk.") from error
        raise StudyError(f"{name}: damaged image ({error}); replace it or remove it.") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """The opened image decoded as sRGB, EXIF orientation applied: gray, palette, CMYK, Lab, and what an embedded ICC
    profile describes, converted (damaged ones are passed over, as by browsers); transparent pixels laid over white; of
    16-bit samples the high byte; of an animation the first frame. Several threads may call this. Raises StudyError, to
    which `opened` adds the name, for samples of which nobody can say how bright they are.
    """
    image = _decoded(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    other = image.mode if image.mode in ("CMYK", "LAB") else "RGB"
    for mode in ("L", "RGB") if image.mode in ("1", "L", "LA") else (other,):  # profiles of colours also describe gray
        if transform := _to_srgb(mode, image.info.get("icc_profile")):
            image = transform.apply(image.convert(mode))  # whose profile is that of sRGB
    image = image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
    return image if alpha is None else Image.composite(image, Image.new("RGB", image.size, "white"), alpha)


def _decoded(image: Image.Image) -> Image.Image:
    """Its pixels the right way up, with 8 bits a sample."""
    tags, stored, turn = getattr(image, "tag_v2", {}), str(image.tile), None
    # BitsPerSample, SampleFormat, PlanarConfiguration and PhotometricInterpretation of a TIFF
    bits, signed, planes, photometric = (np.max(tags.get(tag, 1)) for tag in (258, 339, 284, 262))
    wrong = bits == 16 and ((planes == 2 and "raw" in stored) or photometric == 0)  # in Pillow 12.3, without a word
    if image.mode == "F" or signed > 1 or bits > 16 or wrong:
        kinds = "signed, floating-point, of 32 bits, or of 16 in separate planes or with white as 0"
        raise StudyError(f"samples of a kind that is not read ({kinds}); save it as plain gray or RGB.")
    if image.format != "TIFF":  # which is turned while it is decoded, or fails at an odd tag elsewhere
        image.load()
    with suppress(Exception):  # EXIF may be damaged; nothing but the orientation matters
        exif = image.getexif()
        turn = UPRIGHT.get(exif.get(ExifTags.Base.Orientation))
        exif.clear()
    image.load()
    upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith("I"):  # gray of 12 or 16 bits: Pillow would clip at 255 instead of scaling
        upright = Image.fromarray((np.asarray(upright) >> (4 if "I;12" in stored else 8)).astype(np.uint8))
        upright.info["icc_profile"] = image.info.get("icc_profile")
    elif ";16" not in stored:
        return upright
    if max(high for _, high in upright.convert("RGB").getextrema()) < 16:
        raise StudyError(
            "nearly black (no sample reaches 1/16 of its range, as if it had fewer bits); scale it or remove it."
        )
    return upright


@lru_cache(maxsize=16)
def _to_srgb(mode: str, profile: bytes | None) -> ImageCms.ImageCmsTransform | None:
    """What takes pixels of a mode to sRGB; None for a profile that is damaged or of other channels, or that is sRGB."""
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        source = ImageCms.createProfile("LAB") if mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)
    except (ImageCms.PyCMSError, OSError, TypeError):
        return None
    if mode == "LAB":
        return transform
    levels = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 15, np.uint8)]), axis=-1)
    colours = Image.fromarray(levels.reshape(1, -1, 3)).convert(mode)
    change = ImageChops.difference(transform.apply(colours), colours.convert("RGB")).getextrema()
    return transform if np.max(change) > 2 else None  # by fewer levels, two profiles of sRGB may differ


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write uint8 [H, W, 3] (or [H, W]) as PNG, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", optimize=True)


def readable_images(folder: str | Path, smallest: int = 1) -> tuple[dict[str, Path], list[str]]:
    """The photographs directly in `folder`, of at least `smallest` pixels a side, by their names without endings, and
    why each other thing there is left out, but for hidden files. Every photograph is decoded, one at a time.

    Raises StudyError if there is no folder, or no photograph in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder; give a folder of images.")
    images, taken, left_out = {}, set(), []
    for path in sorted(path for path in folder.iterdir() if not is_hidden(path.name)):
        try:
            if not path.is_file():
                raise StudyError(f"{path}: {'a folder' if path.is_dir() else 'a dead link'}; put images beside it.")
            if path.suffix.lower() not in EXTENSIONS:
                raise StudyError(f"{path}: no ending of an image that is read; convert it to .jpg, .png or .tif.")
            if printable(path.name) != path.name:
                raise StudyError(f"{path}: its name is not UTF-8; rename it.")
            height, width, _ = read_rgb(path).shape
            if min(height, width) < smallest:
                raise StudyError(f"{path}: {width}x{height} are too few pixels; use at least {smallest} a side.")
            if path.stem.casefold() in taken:  # SR files are named so, and not every disk tells case
                raise StudyError(f"{path}: there is another image called '{path.stem}'; rename one of them.")
            images[path.stem] = path
            taken.add(path.stem.casefold())
        except StudyError as error:
            left_out.append(printable(str(error)))
    if not images:
        raise StudyError("\n".join([f"{folder}: no image in this folder.", *left_out[:10]]))
    return images, left_out
