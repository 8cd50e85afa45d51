"""Near-duplicates are found over all pairs and grouped; different photographs are not thrown together."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageOps

from srstudy.photos import duplicates
from srstudy.photos.duplicates import correlation, duplicate_groups, hash_numbers, near_pairs
from srstudy.photos.facts import facts_of

CHANGES = {
    "saved at quality 30": lambda image: image,  # as all of them are
    "a quarter as large": lambda image: image.reduce(4),
    "twice as large": lambda image: image.resize((2 * image.width, 2 * image.height)),
    "as a square": lambda image: image.resize((256, 256)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "with more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "gray": lambda image: image.convert("L"),
    "cut by 1% on each side": lambda image: ImageOps.crop(image, min(image.size) // 100),
}


def table(images: list[Image.Image], **options) -> pd.DataFrame:
    rows = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        rows.append(facts_of(buffer.getvalue(), "a.jpg", 64))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def photos(root) -> list[Image.Image]:
    """Sixteen photographs, at a third of their size."""
    paths = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))[::4]
    return [Image.open(path).convert("RGB").reduce(3) for path in paths]


@pytest.fixture
def groups(study):
    return lambda rows: duplicate_groups(rows, study.data.duplicates)


@pytest.mark.parametrize("change", CHANGES)
def test_each_photograph_is_grouped_with_its_changed_copy_and_no_other(photos, groups, change):
    copies = [CHANGES[change](photo) for photo in photos]
    both = groups(pd.concat([table(photos, quality=95), table(copies, quality=30)], ignore_index=True))
    assert np.array_equal(both[: len(photos)], both[len(photos) :])
    assert len(set(both)) == len(photos)


def test_no_two_pieces_of_photographs_are_grouped(photos, groups):
    pieces = []
    for photo in photos:
        width, height = photo.width // 3, photo.height // 3
        corners = [(column * width, row * height) for row in range(3) for column in range(3)]
        pieces += [photo.crop((left, top, left + width, top + height)) for left, top in corners]
    assert len(set(groups(table(pieces)))) == len(pieces) == 144


def test_what_is_linked_through_others_is_one_group(photos, groups):
    darkening = [ImageEnhance.Brightness(photos[0]).enhance(1 - 0.15 * step) for step in range(5)]
    assert len(set(groups(table(darkening)))) == 1


def test_flat_pictures_and_what_does_not_decode_are_like_none_but_equal_files(groups):
    random = np.random.default_rng(0)
    clouds = [Image.fromarray(random.normal(200, 2, (96, 96)).clip(0, 255).astype(np.uint8)) for _ in range(6)]
    found = groups(table([*clouds, clouds[0], Image.new("L", (96, 96), 30)]))
    assert len(set(found)) == 7
    assert found[0] == found[6]
    found = groups(pd.DataFrame([facts_of(content, "a.jpg", 64) for content in (b"text", b"other", b"text")]))
    assert found[0] == found[2] != found[1]


def test_files_that_could_not_be_read_and_equal_hashes_of_different_pictures_are_not_grouped(photos, groups):
    unread = pd.concat([table(photos[:1])] * 3, ignore_index=True).assign(sha256="", phash="", thumbnail=b"")
    assert len(set(groups(unread))) == 3
    assert len(set(groups(table(photos[:4]).assign(phash="0123456789abcdef")))) == 4


@pytest.mark.parametrize("distance", [0, 3, 10])
def test_all_pairs_within_the_distance_are_found_once(monkeypatch, distance):
    monkeypatch.setattr(duplicates, "ROWS", 7)
    monkeypatch.setattr(duplicates, "COLUMNS", 30)
    random = np.random.default_rng(1)
    hashes = random.integers(0, 2**64, 100, dtype=np.uint64)
    hashes[50:] = hashes[:50] ^ (np.uint64(1) << random.integers(0, 64, 50, dtype=np.uint64))  # 1 bit
    hashes[40:50] = hashes[:10]
    hashes[30:40] = hashes[:10] ^ np.uint64(0b1111111111)
    found = sorted((int(i), int(j)) for left, right in near_pairs(hashes, distance) for i, j in zip(left, right))
    pairs = itertools.combinations(enumerate(map(int, hashes)), 2)
    assert found == [(i, j) for (i, one), (j, other) in pairs if (one ^ other).bit_count() <= distance] != []


def test_hashes_are_numbers_and_correlation_is_pearson_s():
    assert list(hash_numbers(pd.Series(["00ff", "f" * 16]))) == [255, 2**64 - 1]
    one, other = np.random.default_rng(2).integers(0, 256, (2, 5, 256), np.uint8)
    other[0], other[1] = one[0] // 2, 255 - one[1]
    assert correlation(one, other) == pytest.approx([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other)])
    assert correlation(np.full((1, 256), 9, np.uint8), one[:1]) == [0]
