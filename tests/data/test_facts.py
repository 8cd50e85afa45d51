"""Facts of a file: that it decodes or why not, and measures that agree with closed forms and with scikit-image."""

from __future__ import annotations

import hashlib
import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import laplace
from scipy.signal import welch
from skimage.color import rgb2gray, rgb2lab

from srstudy.data.facts import Facts, colourfulness, facts_of, jpeg_quality, noise, phash, sharpness, upscaled


def encoded(pixels: np.ndarray | Image.Image, format: str = "PNG", **options) -> bytes:
    """An image file's bytes."""
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def look(content: bytes, name: str = "a.png") -> Facts:
    """Facts under the committed settings."""
    return facts_of(content, name, window=512)


def bits_apart(one: str, other: str) -> int:
    """Hamming distance of two hashes."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def resized(pixels: np.ndarray, factor: float, kernel=Image.Resampling.BICUBIC) -> np.ndarray:
    """A photograph resized by Pillow."""
    height, width = pixels.shape[:2]
    return np.asarray(Image.fromarray(pixels).resize((round(width * factor), round(height * factor)), kernel))


def test_a_file_is_known_by_its_bytes_size_and_format(photo):
    content = encoded(photo[:100, :140], "JPEG", quality=80)
    facts = look(content, "folder/a.JPG")
    assert (facts.bytes, facts.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (facts.width, facts.height, facts.format, facts.mode, facts.excluded) == (140, 100, "JPEG", "RGB", "")


def test_size_is_that_of_the_upright_picture(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    facts = look(encoded(photo[:100, :140], "JPEG", exif=exif), "a.jpg")
    assert (facts.width, facts.height) == (100, 140)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty file"), (b"a shopping list\n", "not an image that Pillow can read")],
    ids=["zero bytes", "text"],
)
def test_what_is_no_image_is_excluded_with_the_reason(content, reason):
    facts = look(content)
    assert facts.excluded == reason
    assert (facts.width, facts.phash, facts.thumbnail) == (0, "", b"")
    assert math.isnan(facts.mean_l)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_image_is_excluded_but_known_by_its_bytes(photo, format):
    content = encoded(photo[:90, :90], format)
    facts = look(content[: len(content) // 2], f"a.{format.lower()}")
    assert facts.excluded.startswith("damaged image: ")
    assert facts.sha256 == hashlib.sha256(content[: len(content) // 2]).hexdigest()


def test_an_image_named_like_another_format_is_excluded(photo):
    assert look(encoded(photo[:64, :64]), "a.jpg").excluded == "wrong extension: PNG named '.jpg'"
    assert look(encoded(photo[:64, :64]), "a").excluded == "wrong extension: PNG named ''"


@pytest.mark.parametrize(
    ("format", "name"), [("JPEG", "a.jpeg"), ("MPO", "a.jpg"), ("TIFF", "a.tif"), ("BMP", "a.BMP")]
)
def test_every_usual_name_of_a_format_is_right(photo, format, name):
    facts = look(encoded(photo[:64, :64], format), name)
    assert (facts.excluded, facts.animated) == ("", False)


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (Image.new("L", (70, 70), 90), "L"),
        (Image.new("CMYK", (70, 70)), "CMYK"),
        (Image.new("P", (70, 70)), "P"),
        (Image.new("RGBA", (70, 70)), "RGBA"),
        (Image.fromarray(np.zeros((70, 70), np.uint16)), "I;16"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_mode_is_that_of_the_file(image, mode):
    format = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    facts = look(encoded(image, format), f"a.{format.lower()}")
    assert (facts.mode, facts.excluded, facts.width) == (mode, "", 70)


def test_an_animation_is_noted_and_judged_by_its_first_frame(photo):
    first, second = Image.new("RGB", (70, 70), "red"), Image.fromarray(photo[:70, :70])
    facts = look(encoded(first, "GIF", save_all=True, append_images=[second]), "a.gif")
    assert facts.animated
    assert facts.mean_a == pytest.approx(rgb2lab(np.array([[[255, 0, 0]]], np.uint8))[0, 0, 1], abs=1e-3)


@pytest.mark.parametrize("name", ["astronaut", "gravel", "two-wings"])
def test_colour_and_contrast_are_those_of_every_fourth_pixel(root, name):
    content = (root / "data" / "sample" / "photos" / f"{name}.jpg").read_bytes()
    coarse = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[::4, ::4]
    facts = look(content, "a.jpg")
    assert [facts.mean_l, facts.mean_a, facts.mean_b] == pytest.approx(rgb2lab(coarse).mean(axis=(0, 1)), abs=6e-5)
    assert facts.contrast == pytest.approx(255 * rgb2gray(coarse).std(), abs=6e-5)


def test_the_mean_colour_of_a_photograph_is_that_of_all_its_pixels(photo):
    facts = look(encoded(photo))
    assert np.abs(rgb2lab(photo).mean(axis=(0, 1)) - [facts.mean_l, facts.mean_a, facts.mean_b]).max() < 0.5


def test_the_mean_of_every_gray_is_exact():
    levels = np.repeat(np.arange(256, dtype=np.uint8), 16 * 16).reshape(16, -1)  # dark ones too
    gray = np.stack([np.kron(levels, np.ones((4, 4), np.uint8))] * 3, axis=-1)
    assert look(encoded(gray)).mean_l == pytest.approx(rgb2lab(gray).mean(axis=(0, 1))[0], abs=6e-5)


def test_equal_pixels_have_equal_facts_whatever_the_file(photo):
    png, bmp = (look(encoded(photo, format), f"a.{format.lower()}") for format in ("PNG", "BMP"))
    for name in ("phash", "thumbnail", "sharpness", "noise", "mean_b", "upscaled", "colourfulness"):
        assert getattr(png, name) == getattr(bmp, name)


@pytest.mark.parametrize("quality", range(1, 101))
def test_the_quality_at_which_a_jpeg_was_saved_is_found(photo, quality):
    with Image.open(io.BytesIO(encoded(photo[:16, :16], "JPEG", quality=quality))) as image:
        assert jpeg_quality(image.quantization) == quality


def test_only_a_jpeg_has_a_quality(photo):
    assert math.isnan(look(encoded(photo[:64, :64])).jpeg_quality)
    assert look(encoded(photo[:64, :64], "JPEG", quality=70), "a.jpg").jpeg_quality == 70


def test_sharpness_is_the_variance_of_the_laplacian(photo):
    luma = photo[..., 1].astype(np.int16)
    assert sharpness(luma) == pytest.approx(laplace(luma.astype(float))[1:-1, 1:-1].var())


def test_a_blurred_photograph_is_less_sharp(photo):
    soft = resized(resized(photo, 0.5), 2)
    assert look(encoded(soft)).sharpness < 0.5 * look(encoded(photo)).sharpness


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_noise_of_a_known_strength_is_found(sigma):
    ramp = np.linspace(60, 190, 400)[None] * np.ones((300, 1))  # a smooth scene counts for nothing
    noisy = np.round(ramp + np.random.default_rng(0).normal(0, sigma, ramp.shape)).astype(np.int16)
    assert noise(noisy) == pytest.approx(math.hypot(sigma, math.sqrt(1 / 12)), rel=0.02)  # rounding is noise too


def test_colourfulness_of_two_colours_is_that_of_its_formula():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0] = (200, 100, 0)  # rg 100, yb 150; the other two are black
    assert colourfulness(pixels) == pytest.approx(math.hypot(50, 75) + 0.3 * math.hypot(50, 75))
    assert colourfulness(np.full((4, 4, 3), 130, np.uint8)) == 0


def test_the_share_of_coarse_detail_is_that_of_welch_s_spectrum(photo):
    luma = photo[..., 1].astype(np.int16)
    total = sum(
        welch(lines.astype(float), window="hann", nperseg=64, noverlap=0, detrend=False, scaling="spectrum")[1]
        .sum(axis=0)
        for lines in (luma[::8], luma.T[::8])
    )  # fmt: skip
    total[-1] *= 2  # welch counts frequencies on both sides of 0, of which Nyquist has one
    assert upscaled(luma) == pytest.approx(total[5:17].sum() / total[5:].sum())


@pytest.mark.parametrize("name", ["astronaut", "coffee", "china", "goat"])
def test_an_enlarged_photograph_shows(root, name):
    pixels = np.asarray(Image.open(root / "data" / "sample" / "photos" / f"{name}.jpg").convert("RGB"))
    twice = resized(resized(pixels, 0.5), 2)
    assert look(encoded(pixels)).upscaled < 0.96 < look(encoded(twice)).upscaled
    assert look(encoded(twice, "JPEG", quality=75), "a.jpg").upscaled > 0.96


CHANGES = {
    "saved at quality 30": lambda pixels: np.asarray(Image.open(io.BytesIO(encoded(pixels, "JPEG", quality=30)))),
    "half as large": lambda pixels: resized(pixels, 0.5),
    "darker": lambda pixels: (pixels * 0.7).astype(np.uint8),
    "gray": lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_hash_hardly_changes_with_the_file(photo, change):
    assert bits_apart(look(encoded(photo)).phash, look(encoded(CHANGES[change](photo))).phash) <= 6


def test_hashes_of_different_photographs_are_far_apart(root):
    paths = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))[:12]
    hashes = [look(path.read_bytes(), path.name).phash for path in paths]
    assert min(bits_apart(a, b) for i, a in enumerate(hashes) for b in hashes[:i]) > 10


def test_a_bit_of_the_hash_is_set_where_a_low_frequency_is_above_the_median(photo):
    small = resized(photo, 1 / 16, Image.Resampling.BOX)[..., 1]
    low = dctn(small.astype(float))[1:9, 1:9]
    assert phash(small) == np.packbits(low > np.median(low)).tobytes().hex()


def test_the_hash_of_a_flat_picture_is_zero():
    assert phash(np.full((32, 32), 77, np.uint8)) == 16 * "0"


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (3, 3), (63, 63)])
def test_what_a_small_picture_is_too_small_for_is_not_known(size):
    facts = look(encoded(np.full((*size, 3), 99, np.uint8)))
    assert (facts.height, facts.width, facts.excluded) == (*size, "")
    assert math.isnan(facts.upscaled)
    assert math.isnan(facts.sharpness) == (min(size) < 3)


def test_a_large_picture_is_measured_at_its_centre(photo):
    middle = photo[128:384, 128:384]
    whole, part = facts_of(encoded(photo), "a.png", 256), facts_of(encoded(middle), "a.png", 256)
    assert (whole.sharpness, whole.noise, whole.upscaled) == (part.sharpness, part.noise, part.upscaled)
    assert whole.mean_l != part.mean_l
