"""Whatever a file holds, the study sees 8-bit RGB the right way up, or says which file is at fault."""

from __future__ import annotations

import hashlib
import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from srstudy.data.images import list_images, read_photo, read_rgb, rgb_of, write_png
from srstudy.errors import StudyError

# What a camera stored for each EXIF orientation, made out of the upright picture (EXIF 2.32, tag 274).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.fixture
def small(photo: np.ndarray) -> np.ndarray:
    """A piece of a photograph, higher than it is wide."""
    return photo[100:160, 180:220]


@pytest.mark.parametrize("orientation", STORED)
def test_a_turned_photograph_is_read_upright(save_image, small, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save_image(np.ascontiguousarray(STORED[orientation](small)), "turned.png", exif=exif)
    assert np.array_equal(read_rgb(path), small)


def test_a_phone_jpeg_is_read_upright(save_image, small):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save_image(np.rot90(small, 1), "phone.jpg", exif=exif, quality=95, subsampling=0)
    read = read_rgb(path)
    assert read.shape == small.shape
    assert np.abs(read.astype(int) - small).mean() < 4  # JPEG changes pixels a little; a wrong turn, by tens


def test_gray_becomes_three_equal_channels(save_image, small):
    gray = small[..., 1]
    assert np.array_equal(read_rgb(save_image(gray, "gray.png")), np.stack([gray] * 3, axis=-1))


def test_16_bit_gray_keeps_its_range_instead_of_turning_white(save_image):
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    read = read_rgb(save_image(levels, "deep.png"))
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.stack([levels // 256] * 3, axis=-1))


def test_cmyk_jpeg_shows_the_colours_it_was_made_of(save_image):
    cyan, magenta, yellow, black = np.zeros((4, 32, 96), np.uint8)
    cyan[:, :32] = yellow[:, 32:64] = black[:, 64:] = 255
    ink = Image.merge("CMYK", [Image.fromarray(plate) for plate in (cyan, magenta, yellow, black)])
    read = read_rgb(save_image(ink, "print.jpg", quality=95, subsampling=0))
    for column, expected in ((16, (0, 255, 255)), (48, (255, 255, 0)), (80, (0, 0, 0))):
        assert np.abs(read[16, column].astype(int) - expected).max() <= 3


def test_palette_png_shows_the_colours_of_its_palette(save_image):
    image = Image.new("P", (4, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2, 1])
    read = read_rgb(save_image(image, "palette.png"))
    assert read.tolist() == [[[10, 20, 30], [200, 100, 50], [0, 255, 0], [200, 100, 50]]]


def test_a_transparent_palette_colour_lies_over_white(save_image):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert read_rgb(save_image(image, "key.png", transparency=0)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_lie_over_white(save_image, mode):
    alpha = np.array([[0, 51, 255]], np.uint8)
    colour = np.full((1, 3), 100, np.uint8)
    channels = [colour] * (3 if mode == "RGBA" else 1) + [alpha]
    read = read_rgb(save_image(np.stack(channels, axis=-1), "glass.png"))
    over_white = 255 + (100 - 255) * (alpha[0] / 255)  # 255, 224, 100
    assert np.abs(read[0] - over_white[:, None]).max() <= 1


def test_a_transparent_colour_of_an_rgb_png_lies_over_white(save_image):
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    assert read_rgb(save_image(pixels, "key.png", transparency=(1, 2, 3))).tolist() == [[[255] * 3, [4, 5, 6]]]


def test_1_bit_becomes_black_and_white(save_image):
    bits = np.array([[True, False], [False, True]])
    assert np.array_equal(read_rgb(save_image(bits, "fax.png"))[..., 0], bits * 255)


@pytest.mark.parametrize("extension", ["gif", "webp"])
def test_of_an_animation_the_first_frame_is_read(save_image, extension):
    first, second = (Image.new("RGB", (24, 16), colour) for colour in ("red", "blue"))
    ImageDraw.Draw(second).rectangle((4, 4, 12, 12), fill="green")
    options = {"lossless": True} if extension == "webp" else {}
    path = save_image(first, f"moving.{extension}", save_all=True, append_images=[second], duration=100, **options)
    assert (read_rgb(path) == (255, 0, 0)).all()


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif", "gif", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_truncated_image_is_refused_with_its_name(save_image, small, extension, kept):
    path = save_image(small, f"cut.{extension}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(StudyError, match=rf"cut\.{extension}: (damaged|not an) image"):
        read_rgb(path)


@pytest.mark.parametrize("content", [b"", b"a shopping list\n"], ids=["zero bytes", "text"])
def test_a_file_that_is_no_image_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "list.jpg"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=r"list\.jpg: not an image"):
        read_rgb(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.png: no such image"):
        read_rgb(tmp_path / "nowhere.png")


def test_pixels_without_a_stated_range_are_refused(save_image):
    path = save_image(np.zeros((8, 8), np.float32), "float.tif")
    with pytest.raises(StudyError, match=r"float\.tif: .*no stated range"):
        read_rgb(path)


def test_the_bytes_of_a_file_are_read_like_the_file(save_image, small):
    path = save_image(small, "a.jpg")
    assert np.array_equal(rgb_of(path.read_bytes(), "a.jpg"), read_rgb(path))
    with pytest.raises(StudyError, match=r"album\.zip: b\.jpg: damaged image"):
        rgb_of(path.read_bytes()[:500], "album.zip: b.jpg")


@pytest.mark.skipif(os.name != "posix", reason="Windows replaces no open file")
def test_a_photograph_is_read_from_its_archive_as_it_is_now(save_image, small, tmp_path):
    (tmp_path / "raw").mkdir()
    rows = []
    for pixels in (small, small[::-1]):  # the archive is replaced by another one
        content = save_image(np.ascontiguousarray(pixels), "a.png").read_bytes()
        with zipfile.ZipFile(tmp_path / "raw" / "new.zip", "w") as file:
            file.writestr("x/a.png", content)
        os.utime(tmp_path / "raw" / "new.zip", ns=(0, int(pixels[0, 0, 0]) * 10**9))
        (tmp_path / "raw" / "new.zip").replace(tmp_path / "raw" / "album.zip")
        sha256 = hashlib.sha256(content).hexdigest()
        rows.append(SimpleNamespace(archive="raw/album.zip", member="x/a.png", sha256=sha256))
        assert np.array_equal(read_photo(tmp_path, rows[-1]), pixels)
    with pytest.raises(StudyError, match=r"raw/album\.zip: 'x/a\.png' has changed since .* run `dvc repro -f scan`"):
        read_photo(tmp_path, rows[0])
    with pytest.raises(StudyError, match=r"raw/gone: is gone; put it back"):
        read_photo(tmp_path, SimpleNamespace(archive="raw/gone", member="a.png"))


def test_png_gives_back_what_was_written(tmp_path, small):
    write_png(tmp_path / "new" / "folder" / "a.png", small)
    assert np.array_equal(read_rgb(tmp_path / "new" / "folder" / "a.png"), small)


def test_png_is_written_whole_or_not_at_all(tmp_path, small):
    path = tmp_path / "a.png"
    write_png(path, small)
    with pytest.raises(OSError, match="cannot write mode F"):
        write_png(path, np.zeros((4, 4), np.float32))  # Pillow finds out when the file is already open
    assert np.array_equal(read_rgb(path), small)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_images_are_listed_by_name_whatever_the_case_of_their_ending(save_image, small, tmp_path):
    for name in ("b.JPG", "a.png", "c.TIFF"):
        save_image(small, name)
    (tmp_path / "notes.txt").write_text("no image")
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG", "c.TIFF"]


def test_a_folder_called_like_an_image_is_not_listed(save_image, small, tmp_path):
    save_image(small, "a.png")
    (tmp_path / "thumbnails.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png"]


def test_an_empty_folder_is_refused_with_its_name(tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "notes.txt").write_text("no image")
    with pytest.raises(StudyError, match="holiday: no image in this folder"):
        list_images(tmp_path / "holiday")


def test_a_missing_folder_is_refused_with_its_name(tmp_path):
    with pytest.raises(StudyError, match="holidya: no such folder"):
        list_images(tmp_path / "holidya")
