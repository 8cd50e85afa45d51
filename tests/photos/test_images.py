"""Whatever a file holds, the study sees 8-bit sRGB the right way up, or says which file is at fault."""

import hashlib
import os
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from tests.people import PROFILES, STORED, in_space, odd_exif

from srstudy import StudyError
from srstudy.photos.images import read_photo, read_rgb, readable_images


@pytest.fixture
def small(photo):
    return photo[100:160, 180:220]  # higher than it is wide


@pytest.mark.parametrize(("orientation", "stored"), enumerate(STORED, 2))
def test_a_turned_photograph_is_read_upright(save_image, small, orientation, stored):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(small).transpose(Image.Transpose[stored])
    assert np.array_equal(read_rgb(save_image(stored, "turned.png", exif=exif)), small)
    read = read_rgb(save_image(stored, "phone.jpg", exif=exif, quality=95, subsampling=0))
    assert np.abs(read.astype(int) - small).mean() < 4  # JPEG changes pixels a little; a wrong turn, by tens


ODD = [b"\xff" * 8, bytes(8), b"text\0\0\0\0", b"\1\0\0\0\0\0\0\0"]


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_a_portrait_is_turned_whatever_else_its_exif_holds(save_image, small, extension):
    stored = Image.fromarray(small[::4, ::4].copy()).transpose(Image.Transpose[STORED[4]])
    for tag in (0x0110, 0x011A, 0x0132, 0x8769, 0x8825, 0x9286, 0xA005):
        for kind in range(1, 14):
            for value in ODD:
                path = save_image(stored, f"a.{extension}", exif=odd_exif(6, tag, kind, value))
                assert read_rgb(path).shape == (15, 10, 3), (hex(tag), kind, value)


@pytest.mark.parametrize("tag", [(700, "I", 2, (1, 2)), (0xA005, "I", 1, 9), (0x8825, "i", 1, -1)])
def test_a_turned_tiff_may_hold_odd_tags(small, tmp_path, tag):
    extra = [(274, "H", 1, 6, True), (65000, *tag[1:], True)]  # some numbers tifffile would not write
    tifffile.imwrite(tmp_path / "a.tif", np.rot90(small).copy(), photometric="rgb", extratags=extra)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content.replace(struct.pack("<H", 65000), struct.pack("<H", tag[0]), 1))
    assert np.array_equal(read_rgb(tmp_path / "a.tif"), small)


@pytest.mark.parametrize("after", [False, True])
def test_a_png_may_hold_megabytes_of_text(save_image, small, after):
    notes = PngImagePlugin.PngInfo()
    notes.add(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3 << 20)), after)
    assert np.array_equal(read_rgb(save_image(small, "notes.png", pnginfo=notes)), small)


def test_what_is_too_large_or_not_readable_is_not_called_damaged(save_image, small, tmp_path, monkeypatch):
    for name in ("large.jpg", "large.tif"):
        path = save_image(small, name)
        with monkeypatch.context() as patch, pytest.raises(StudyError, match=r"large\.\w+: too large \(over"):
            patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
            read_rgb(path)
    if os.name == "posix":
        with pytest.raises(StudyError, match=r"not readable \(Is a directory\)"):
            read_rgb(tmp_path)


@pytest.mark.parametrize("space", ["p3", "adobe"])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "deep.tif", "glass.png"])
def test_a_photograph_in_another_colour_space_is_read_as_srgb(save_image, small, tmp_path, space, name):
    stored, options = in_space(small, space), {"lossless": True} if name == "a.webp" else {}
    if name == "deep.tif":
        stored = in_space(small, space, 65535)
        tifffile.imwrite(tmp_path / name, stored, photometric="rgb", iccprofile=PROFILES[space], compression="zlib")
    else:
        stored = np.dstack([stored, np.full(small.shape[:2], 255, np.uint8)]) if name == "glass.png" else stored
        save_image(stored, name, icc_profile=PROFILES[space], **options)
    off = np.abs(read_rgb(tmp_path / name).astype(int) - small)
    assert off.max() <= 2 and off.mean() < 0.3  # unconverted, it would be off by 14 or more, and by 3
    with ThreadPoolExecutor(4) as threads:
        assert len({read.tobytes() for read in threads.map(read_rgb, 8 * [tmp_path / name])}) == 1


def encoded(light: np.ndarray) -> np.ndarray:
    """Levels of sRGB for light from 0.01 to 1."""
    return 255 * (1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("profile", "gamma"), [("gray", 1.8), ("adobe", 563 / 256)])
def test_gray_is_read_by_a_profile_of_gray_or_of_colours_and_stays_gray(save_image, profile, gamma):
    levels = np.arange(64, 256, dtype=np.uint8).reshape(12, 16)
    for samples in (levels, levels.astype(np.uint16) * 256):
        read = read_rgb(save_image(samples, "gray.png", icc_profile=PROFILES[profile]))
        assert np.abs(read[..., 1] - encoded((levels / 255) ** gamma)).max() <= 1.5
        assert (read == read[..., :1]).all()


def test_inks_and_lab_are_read_by_what_they_look_like(save_image):
    cyan = save_image(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "cyan.tif", icc_profile=PROFILES["inks"])
    assert np.abs(read_rgb(cyan)[..., 1:].astype(int) - (158, 224)).max() <= 4  # Pillow alone makes it (0, 255, 255)
    red = save_image(Image.new("LAB", (8, 8), (138, 209, 198)), "red.tif")  # L* 54.3, a* 80.8, b* 69.9 under D50
    assert np.abs(read_rgb(red).astype(int) - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize("profile", ["srgb", "gray", "inks", "damaged", "text"])
def test_a_profile_that_is_srgb_or_can_not_be_used_changes_no_byte(save_image, small, profile):
    others = {"damaged": PROFILES["p3"][:200], "text": b"sRGB"}
    path = save_image(small, "a.png", icc_profile=others.get(profile) or PROFILES[profile])
    assert np.array_equal(read_rgb(path), small)


def test_gray_becomes_three_equal_channels_and_16_bits_keep_their_range(save_image, small):
    gray = small[..., 1]
    assert np.array_equal(read_rgb(save_image(gray, "gray.png")), np.stack([gray] * 3, axis=-1))
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    read = read_rgb(save_image(levels, "deep.png"))
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.stack([levels // 256] * 3, axis=-1))
    bits = np.array([[True, False], [False, True]])
    assert np.array_equal(read_rgb(save_image(bits, "fax.png"))[..., 0], bits * 255)


UNREAD = {
    "planes": {"planarconfig": "separate", "photometric": "rgb"},
    "inverted": {"photometric": "miniswhite"},
    **{kind: {"photometric": "minisblack", "byteorder": ">"} for kind in ("int8", "int16", "uint32", "float32")},
}


@pytest.mark.parametrize("kind", UNREAD)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiffs_that_pillow_would_read_wrongly_are_read_or_refused_for_what_they_are(small, tmp_path, kind, compression):
    deep = small.astype(np.uint16) * 257
    deep = np.moveaxis(deep, -1, 0) if kind == "planes" else deep[..., 1]
    samples = deep if kind in ("planes", "inverted") else deep.astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", samples, compression=compression, **UNREAD[kind])
    if kind == "planes" and compression:
        assert np.array_equal(read_rgb(tmp_path / "a.tif"), small)
    else:
        with pytest.raises(StudyError, match=r"a\.tif: samples of a kind that is not read|not an image that Pillow"):
            read_rgb(tmp_path / "a.tif")


def test_samples_of_12_bits_are_scaled_where_the_file_says_so_and_named_where_it_does_not(save_image, small, tmp_path):
    high, low = np.arange(512).reshape(2, 16, 16) * 8 % 4096
    packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], axis=-1).astype(np.uint8).reshape(16, 48)
    tifffile.imwrite(tmp_path / "12.tif", packed, photometric="minisblack", byteorder="<")
    with tifffile.TiffFile(tmp_path / "12.tif", mode="r+b") as file:
        for tag, value in ((256, 32), (258, 12)):
            file.pages[0].tags[tag].overwrite(value)
    assert np.array_equal(read_rgb(tmp_path / "12.tif")[..., 0], np.stack([high, low], axis=-1).reshape(16, 32) >> 4)
    dark = (small.astype(np.uint16) << 4) + 15
    tifffile.imwrite(tmp_path / "colour.tif", dark, photometric="rgb")
    for path in (tmp_path / "colour.tif", save_image(dark[..., 1], "gray.png")):
        with pytest.raises(StudyError, match=r"(colour\.tif|gray\.png): nearly black \(no sample reaches 1/16 of"):
            read_rgb(path)


def test_cmyk_jpeg_shows_the_colours_it_was_made_of(save_image):
    for ink, expected in (((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 255, 0), (255, 255, 0)), ((0, 0, 0, 255), (0,) * 3)):
        read = read_rgb(save_image(Image.new("CMYK", (32, 32), ink), "print.jpg", quality=95))
        assert np.abs(read.astype(int) - expected).max() <= 3


def test_a_palette_shows_its_colours_and_a_transparent_one_lies_over_white(save_image):
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2])
    assert read_rgb(save_image(image, "palette.png")).tolist() == [[[10, 20, 30], [200, 100, 50], [0, 255, 0]]]
    assert read_rgb(save_image(image, "key.png", transparency=0)).tolist() == [[[255] * 3, [200, 100, 50], [0, 255, 0]]]
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert read_rgb(save_image(pixels, "rgb.png", transparency=(1, 2, 3))).tolist() == [[[255] * 3, [4, 5, 6]]]


@pytest.mark.parametrize("colours", [1, 3])
def test_transparent_pixels_lie_over_white(save_image, colours):
    alpha = np.array([[0, 51, 255]], np.uint8)
    pixels = np.stack([np.full((1, 3), 100, np.uint8)] * colours + [alpha], axis=-1)
    assert np.abs(read_rgb(save_image(pixels, "glass.png")) - np.array([[[255], [224], [100]]])).max() <= 1


def test_of_an_animation_the_first_frame_is_read(save_image):
    first, second = (Image.new("RGB", (24, 16), colour) for colour in ("red", "blue"))
    for name, options in (("moving.gif", {}), ("moving.webp", {"lossless": True})):
        path = save_image(first, name, save_all=True, append_images=[second], duration=100, **options)
        assert (read_rgb(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("kept", [0, 0.3, 0.7])
def test_what_cannot_be_decoded_is_refused_with_its_name(save_image, small, extension, kept):
    path = save_image(small, f"cut.{extension}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(StudyError, match=rf"cut\.{extension}: (damaged|not an) image"):
        read_rgb(path)
    with pytest.raises(StudyError, match=r"float\.tif: samples .*floating-point"):
        read_rgb(save_image(np.zeros((8, 8), np.float32), "float.tif"))
    with pytest.raises(StudyError, match=r"nowhere\.png: no such image"):
        read_rgb("nowhere.png")


@pytest.mark.skipif(os.name != "posix", reason="Windows replaces no open file")
def test_a_photograph_is_read_from_its_archive_as_it_is_now(save_image, small, tmp_path):
    (tmp_path / "raw").mkdir()
    rows = []
    for time, pixels in enumerate((small, small[::-1])):  # the archive is replaced by another one
        content = save_image(np.ascontiguousarray(pixels), "a.png").read_bytes()
        with zipfile.ZipFile(tmp_path / "new.zip", "w") as file:
            file.writestr("x/a.png", content)
        os.utime(tmp_path / "new.zip", (time, time))
        (tmp_path / "new.zip").replace(tmp_path / "raw" / "album.zip")
        sha256 = hashlib.sha256(content).hexdigest()
        rows.append(SimpleNamespace(archive="raw/album.zip", member="x/a.png", sha256=sha256))
        assert np.array_equal(read_photo(tmp_path, rows[-1]), pixels)
    with pytest.raises(StudyError, match=r"raw/album\.zip: 'x/a\.png' has changed since .* run `dvc repro -f scan`"):
        read_photo(tmp_path, rows[0])
    with pytest.raises(StudyError, match=r"raw/gone: is gone; put it back"):
        read_photo(tmp_path, SimpleNamespace(archive="raw/gone", member="a.png"))


def test_images_are_listed_by_name_and_what_is_left_out_is_said(save_image, small, tmp_path):
    for name in ("b.JPG", "a.png", "c.TIFF", "c.webp", "d.jfif"):
        save_image(small, name, format="JPEG" if name == "d.jfif" else None)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._a.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "thumbnails.png").mkdir()
    save_image(small[:20], "e.png")
    images, left_out = readable_images(tmp_path, smallest=21)
    assert [(name, path.name) for name, path in images.items()] == [
        ("a", "a.png"), ("b", "b.JPG"), ("c", "c.TIFF"), ("d", "d.jfif")
    ]  # fmt: skip
    twice, few, notes, folder = left_out
    assert "e.png: 40x20 are too few pixels; use at least 21 a side." in few
    assert "c.webp: there is another image called 'c'; rename" in twice
    assert "notes.txt: no ending of an image" in notes
    assert "thumbnails.png: a folder" in folder
    with pytest.raises(StudyError, match=r"thumbnails\.png: no image in this folder"):
        readable_images(tmp_path / "thumbnails.png")
    with pytest.raises(StudyError, match="holidya: no such folder"):
        readable_images(tmp_path / "holidya")
