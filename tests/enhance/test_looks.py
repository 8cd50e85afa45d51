"""What a photograph looks as if it had gone through is said, and of a clean one nothing."""

import numpy as np
import pytest
from PIL import Image

from srstudy.degrade.signal import reduce
from srstudy.enhance.looks import looks_aliased, looks_compressed
from srstudy.enhance.original import open_photo
from srstudy.photos.images import read_rgb

PHOTOS = ("berlin-cathedral", "flower")


@pytest.mark.parametrize("quality", [25, 50, 59, 61, 75, 95])
def test_a_jpeg_of_low_quality_is_told_with_its_quality(tmp_path, quality):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=quality)
    said = looks_compressed(tmp_path / "a.jpg")
    assert (said is None) == (quality >= 60)
    assert said is None or abs(int(said.split("about ")[1].split(":")[0]) - quality) <= 2
    assert open_photo(tmp_path / "a.jpg").notes == ([said] if said else [])


def test_a_picture_reduced_without_smoothing_is_told(root):
    photos = [read_rgb(root / "data" / "sample" / "photos" / f"{name}.jpg") for name in PHOTOS]
    photos = [photo[: len(photo) // 4 * 4, : photo.shape[1] // 4 * 4] for photo in photos]
    assert [looks_aliased(reduce(photo, "matlab")) for photo in photos] == [None, None]
    assert all("without smoothing" in looks_aliased(photo[::4, ::4]) for photo in photos[:1])


@pytest.mark.parametrize("picture", [np.full((200, 200, 3), 7), np.zeros((3, 500, 3)), np.zeros((64, 64, 1))])
def test_of_a_flat_or_tiny_picture_nothing_is_said(picture):
    assert looks_aliased(picture) is None
