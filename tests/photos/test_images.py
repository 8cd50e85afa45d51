"""Whatever a file holds, the study sees 8-bit RGB the right way up, or says which file is at fault."""

import hashlib
import os
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from srstudy import StudyError
from srstudy.photos.images import list_images, read_photo, read_rgb

# What a camera stored for each EXIF orientation, made out of the upright picture (EXIF 2.32, tag 274).
STORED = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_90", "TRANSVERSE", "ROTATE_270"]


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


def test_gray_becomes_three_equal_channels_and_16_bits_keep_their_range(save_image, small):
    gray = small[..., 1]
    assert np.array_equal(read_rgb(save_image(gray, "gray.png")), np.stack([gray] * 3, axis=-1))
    levels = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    read = read_rgb(save_image(levels, "deep.png"))
    assert read.dtype == np.uint8
    assert np.array_equal(read, np.stack([levels // 256] * 3, axis=-1))
    bits = np.array([[True, False], [False, True]])
    assert np.array_equal(read_rgb(save_image(bits, "fax.png"))[..., 0], bits * 255)


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
    with pytest.raises(StudyError, match=r"float\.tif: .*no stated range"):
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


def test_images_are_listed_by_name_whatever_the_case_of_their_ending(save_image, small, tmp_path):
    for name in ("b.JPG", "a.png", "c.TIFF"):
        save_image(small, name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "thumbnails.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.png", "b.JPG", "c.TIFF"]
    with pytest.raises(StudyError, match=r"thumbnails\.png: no image in this folder"):
        list_images(tmp_path / "thumbnails.png")
    with pytest.raises(StudyError, match="holidya: no such folder"):
        list_images(tmp_path / "holidya")
