"""Facts of a file: that it decodes or why not, and measures that agree with closed forms and with scikit-image."""

import hashlib
import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import convolve, laplace
from scipy.signal import welch
from skimage.color import rgb2gray, rgb2lab

from srstudy.photos.facts import colourfulness, facts_of, focus, noise, phash, upscaled


def encoded(pixels: np.ndarray | Image.Image, format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, format, **options)
    return buffer.getvalue()


def look(content: bytes, name: str = "a.png", window: int = 512) -> dict:
    return facts_of(content, name, window)


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize([round(side * factor) for side in pixels.shape[1::-1]]))


def test_a_file_is_known_by_its_bytes_format_and_upright_size(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(photo[:100, :140], "JPEG", quality=80, exif=exif)
    facts = look(content, "folder/a.JPG")
    assert (facts["bytes"], facts["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    known = [facts[name] for name in ("width", "height", "format", "mode", "animated", "excluded")]
    assert known == [100, 140, "JPEG", "RGB", False, ""]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "zero bytes", "text"])
def test_what_does_not_decode_is_excluded_with_the_reason_but_known_by_its_bytes(photo, format):
    others = {"zero bytes": b"", "text": b"a shopping list\n"}
    content = others[format] if format in others else encoded(photo[:90, :90], format)[:600]
    facts = look(content, f"a.{format.lower()}")
    assert facts["excluded"].startswith("not an image" if format in others else "damaged image: ")
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert (facts["width"], facts["phash"], facts["thumbnail"]) == (0, "", b"")
    assert math.isnan(facts["mean_l"])


@pytest.mark.parametrize("name", ["PNG a.jpg", "PNG a", "JPEG a.jpeg", "MPO a.jpg", "TIFF a.tif", "BMP a.BMP"])
def test_an_image_named_like_another_format_is_excluded(photo, name):
    format, name = name.split()
    facts = look(encoded(photo[:64, :64], format), name)
    wrong = format == "PNG"
    assert facts["excluded"] == (f"wrong extension: PNG named '{name[1:]}'" if wrong else "")
    assert not facts["animated"]


def test_colour_and_contrast_are_those_of_every_fourth_pixel_and_nearly_of_all(photo):
    facts, coarse = look(encoded(photo)), photo[::4, ::4]
    lab = [facts["mean_l"], facts["mean_a"], facts["mean_b"]]
    assert lab == pytest.approx(rgb2lab(coarse).mean(axis=(0, 1)), abs=6e-5)
    assert facts["contrast"] == pytest.approx(255 * rgb2gray(coarse).std(), abs=6e-5)
    assert np.abs(rgb2lab(photo).mean(axis=(0, 1)) - lab).max() < 0.5


def test_focus_is_the_variance_of_the_laplacian_and_lower_where_it_is_blurred(photo):
    luma = photo[..., 1].astype(np.int16)
    assert focus(luma) == pytest.approx(laplace(luma.astype(float))[1:-1, 1:-1].var())
    assert look(encoded(resized(resized(photo, 0.5), 2)))["focus"] < 0.5 * look(encoded(photo))["focus"]


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_noise_of_a_known_strength_is_found_beside_edges(sigma):
    scene = np.linspace(60, 190, 400) - 50 * np.tri(300, 400)
    noisy = scene + np.random.default_rng(0).normal(0, sigma, scene.shape)
    assert noise(noisy) == pytest.approx(sigma, rel=0.02)
    assert noise(np.round(noisy).astype(np.int16)) == pytest.approx(sigma, abs=0.2)  # in steps of a quarter


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float64])
@pytest.mark.parametrize("shape", [(3, 3), (16, 21), (17, 21)])
def test_noise_is_the_median_under_immerkaer_s_mask_to_the_last_bit(photo, kind, shape):
    luma = (rgb2gray(photo) * 255).astype(kind)[: shape[0], : shape[1]]
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    left = convolve(luma.astype(float), mask, mode="nearest")[1:-1, 1:-1]
    assert noise(luma) == np.median(np.abs(left)) / (6 * 0.67449)


def test_colourfulness_of_two_colours_is_that_of_its_formula():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0] = (200, 100, 0)  # rg 100, yb 150; the other two are black
    assert colourfulness(pixels) == pytest.approx(math.hypot(50, 75) + 0.3 * math.hypot(50, 75))
    assert colourfulness(np.full((4, 4, 3), 130, np.uint8)) == 0


def test_the_share_of_coarse_detail_is_that_of_welch_s_spectrum(photo):
    luma = photo[..., 1].astype(np.int16)
    options = {"window": "hann", "nperseg": 64, "noverlap": 0, "detrend": False, "scaling": "spectrum"}
    total = sum(welch(lines.astype(float), **options)[1].sum(axis=0) for lines in (luma[::8], luma.T[::8]))
    total[-1] *= 2  # welch counts frequencies on both sides of 0, of which Nyquist has one
    assert upscaled(luma) == pytest.approx(total[5:17].sum() / total[5:].sum())


@pytest.mark.parametrize("name", ["astronaut", "coffee", "china", "goat"])
def test_an_enlarged_photograph_shows(root, name):
    pixels = np.asarray(Image.open(root / "data" / "sample" / "photos" / f"{name}.jpg").convert("RGB"))
    twice = resized(resized(pixels, 0.5), 2)
    assert look(encoded(pixels))["upscaled"] < 0.96 < look(encoded(twice))["upscaled"]
    assert look(encoded(twice, "JPEG", quality=75), "a.jpg")["upscaled"] > 0.96


def test_a_bit_of_the_hash_is_set_where_a_low_frequency_is_above_the_median(photo):
    small = resized(photo, 1 / 16)[..., 1]
    low = dctn(small.astype(float), norm="ortho")[1:9, 1:9]
    assert phash(small) == np.packbits(low > np.median(low)).tobytes().hex()
    assert phash(np.full((32, 32), 77, np.uint8)) == 16 * "0"


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (3, 3), (63, 63)])
def test_what_a_small_picture_is_too_small_for_is_not_known(size):
    facts = look(encoded(np.full((*size, 3), 99, np.uint8)))
    assert (facts["height"], facts["width"], facts["excluded"]) == (*size, "")
    assert math.isnan(facts["upscaled"])
    assert math.isnan(facts["focus"]) == math.isnan(facts["noise"]) == (min(size) < 3)


def test_a_large_picture_is_measured_at_its_centre(photo):
    whole, part = look(encoded(photo), window=256), look(encoded(photo[128:384, 128:384]), window=256)
    assert all(whole[name] == part[name] for name in ("focus", "noise", "upscaled"))
    assert whole["mean_l"] != part["mean_l"]
