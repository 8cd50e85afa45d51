"""Near-duplicates are found over all pairs and grouped; different photographs are not thrown together."""

from __future__ import annotations

import io
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from srstudy.data import duplicates
from srstudy.data.duplicates import closest_pairs, correlation, duplicate_groups, near_pairs
from srstudy.data.facts import facts_of

RESIZED = {"half as large": 0.5, "a quarter as large": 0.25, "twice as large": 2}
CHANGES = {
    "saved at quality 30": lambda image: image,  # as all of them are
    **{
        name: lambda image, factor=factor: image.resize((int(image.width * factor), int(image.height * factor)))
        for name, factor in RESIZED.items()
    },
    "as a square": lambda image: image.resize((256, 256)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "with more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    "gray": lambda image: image.convert("L"),
    "cut by 1% on each side": lambda image: image.crop(
        (image.width // 100, image.height // 100, image.width - image.width // 100, image.height - image.height // 100)
    ),
}


def table(images: list[Image.Image], **options) -> pd.DataFrame:
    """The facts of images saved as JPEG."""
    rows = []
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        rows.append(asdict(facts_of(buffer.getvalue(), "a.jpg", 64)))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def photos(root) -> list[Image.Image]:
    """Sixteen photographs, at a third of their size."""
    paths = sorted((root / "data" / "sample" / "photos").glob("*.jpg"))[::4]
    return [Image.open(path).convert("RGB").reduce(3) for path in paths]


@pytest.fixture
def settings(study):
    """The committed thresholds."""
    return study.data.duplicates


@pytest.mark.parametrize("change", CHANGES)
def test_each_photograph_is_grouped_with_its_changed_copy_and_no_other(photos, settings, change):
    copies = [CHANGES[change](photo) for photo in photos]
    both = pd.concat([table(photos, quality=95), table(copies, quality=30)], ignore_index=True)
    groups = duplicate_groups(both, settings)
    assert np.array_equal(groups[: len(photos)], groups[len(photos) :])
    assert len(set(groups)) == len(photos)


def test_no_two_pieces_of_photographs_are_grouped(photos, settings):
    pieces = []
    for photo in photos:
        width, height = photo.width // 3, photo.height // 3
        corners = [(column * width, row * height) for row in range(3) for column in range(3)]
        pieces += [photo.crop((left, top, left + width, top + height)) for left, top in corners]
    assert len(set(duplicate_groups(table(pieces), settings))) == len(pieces) == 144


def test_what_is_linked_through_others_is_one_group(photos, settings):
    darkening = [ImageEnhance.Brightness(photos[0]).enhance(1 - 0.15 * step) for step in range(5)]
    assert len(set(duplicate_groups(table(darkening), settings))) == 1


def test_flat_pictures_are_like_none_but_equal_files(settings):
    random = np.random.default_rng(0)
    clouds = [Image.fromarray(random.normal(200, 2, (96, 96)).clip(0, 255).astype(np.uint8)) for _ in range(6)]
    groups = duplicate_groups(table([*clouds, clouds[0], Image.new("L", (96, 96), 30)]), settings)
    assert len(set(groups)) == 7
    assert groups[0] == groups[6]


def test_equal_files_are_grouped_even_if_nothing_decodes(settings):
    facts = [facts_of(content, "a.jpg", 64) for content in (b"text", b"other", b"text")]
    groups = duplicate_groups(pd.DataFrame(map(asdict, facts)), settings)
    assert groups[0] == groups[2] != groups[1]


def test_files_that_could_not_be_read_are_not_grouped(photos, settings):
    rows = pd.concat([table(photos[:1])] * 3, ignore_index=True).assign(sha256="", phash="", thumbnail=b"")
    assert len(set(duplicate_groups(rows, settings))) == 3


def test_equal_hashes_of_different_pictures_are_told_apart_by_their_thumbnails(photos, settings):
    rows = table(photos[:4]).assign(phash="0123456789abcdef")
    assert len(set(duplicate_groups(rows, settings))) == 4


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
    values = [int(value) for value in hashes]
    assert found == [
        (i, j) for i in range(100) for j in range(i + 1, 100) if (values[i] ^ values[j]).bit_count() <= distance
    ]
    assert found


def test_correlation_is_pearson_s():
    one, other = np.random.default_rng(2).integers(0, 256, (2, 5, 256), np.uint8)
    other[0] = one[0] // 2
    other[1] = 255 - one[1]
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, other)]
    assert correlation(one, other) == pytest.approx(expected)
    assert correlation(np.full((1, 256), 9, np.uint8), one[:1]) == [0]


def test_the_closest_pairs_are_those_whose_hashes_differ_least():
    rows = pd.DataFrame({"id": list("abcde"), "phash": ["00f0", "0000", "", "ffff", "0001"]})
    assert closest_pairs(rows, 2) == [("b", "e", 1), ("a", "b", 4)]


def test_of_many_photographs_the_closest_pairs_are_not_sought_among_the_first_alone():
    hashes = np.random.default_rng(4).integers(0, 2**64, 5000, dtype=np.uint64)
    hashes[4998] = hashes[2001]
    rows = pd.DataFrame({"id": map(str, range(5000)), "phash": [f"{value:016x}" for value in hashes]})
    assert closest_pairs(rows, 1) == [("2001", "4998", 0)]
