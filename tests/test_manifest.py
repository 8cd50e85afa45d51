"""The manifest tells what is in the photographs, and why one is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.color import rgb2gray, rgb2lab

from srstudy.errors import StudyError
from srstudy.files import write_csv
from srstudy.manifest import by_source, open_manifest, scan, usable
from srstudy.sources import Photo


def entry(path: Path, root: Path, split: str = "train", source: str = "camera", content: str = "tree") -> Photo:
    """A photo of the study for a file."""
    return Photo(
        id=path.stem,
        path=path.relative_to(root),
        split=split,
        source=source,
        content=content,
        title=path.stem,
        author="",
        licence="",
    )


@pytest.fixture
def album(save_image, tmp_path, photo) -> list[Photo]:
    """Two good photographs, one cut off, one too small, one text; HR tiles are 64 pixels here."""
    good = [save_image(photo[:90, :100], "good.png"), save_image(photo[100:164, 100:180], "test.png")]
    cut = save_image(photo[:90, :90], "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:900])
    small = save_image(photo[:63, :200], "small.png")
    (tmp_path / "text.jpg").write_text("no image")
    paths = [good[0], cut, small, tmp_path / "text.jpg"]
    return [*(entry(path, tmp_path) for path in paths), entry(good[1], tmp_path, "test")]


def test_photographs_that_cannot_serve_are_left_out_with_the_reason(album, tmp_path):
    manifest = scan(album, tmp_path, 16).set_index("id")
    assert list(manifest.index) == ["good", "cut", "small", "text", "test"]
    assert list(manifest.excluded[["good", "test"]]) == ["", ""]
    assert manifest.excluded["cut"].startswith("damaged image")
    assert manifest.excluded["small"] == "smaller than the HR tile of 64x64"
    assert manifest.excluded["text"].startswith("not an image")
    assert list(usable(manifest, "train").index) == ["good"]


def test_a_reason_names_no_folder_of_this_machine(album, tmp_path):
    assert not scan(album, tmp_path, 16).excluded.str.contains(tmp_path.name).any()


def test_a_photograph_of_just_the_tile_s_size_is_kept(save_image, tmp_path, photo):
    photos = [entry(save_image(photo[:64, :64], f"{split}.png"), tmp_path, split) for split in ("train", "test")]
    assert (scan(photos, tmp_path, 16).excluded == "").all()


@pytest.mark.parametrize("split", ["train", "test"])
def test_nothing_left_in_a_split_is_an_error_that_says_why(album, tmp_path, split):
    photos = [photo for photo in album if not (photo.split == split and photo.id in ("good", "test"))]
    with pytest.raises(StudyError, match=f"no usable photograph in the {split} split") as caught:
        scan(photos, tmp_path, 16)
    assert ("smaller than" in str(caught.value)) == (split == "train")


@pytest.mark.parametrize("colour", [(200, 40, 40), (40, 60, 200), (128, 128, 128)])
def test_the_mean_colour_of_a_plain_photograph_is_its_colour(save_image, tmp_path, colour):
    plain = np.full((80, 70, 3), colour, np.uint8)
    photos = [entry(save_image(plain, f"{split}.png"), tmp_path, split) for split in ("train", "test")]
    row = scan(photos, tmp_path, 16).iloc[0]
    expected = rgb2lab(np.array([[colour]], np.uint8)).ravel()
    assert (row.mean_l, row.mean_a, row.mean_b) == pytest.approx(tuple(expected), abs=1e-6)
    assert row.contrast == pytest.approx(0, abs=1e-9)
    assert (row.width, row.height) == (70, 80)


def test_the_mean_colour_of_a_photograph_is_that_of_all_its_pixels(save_image, tmp_path, photo):
    photos = [entry(save_image(photo, f"{split}.png"), tmp_path, split) for split in ("train", "test")]
    row = scan(photos, tmp_path, 16).iloc[0]
    # every 4th pixel each way is read: 16,384 samples here
    assert np.abs(rgb2lab(photo).mean(axis=(0, 1)) - [row.mean_l, row.mean_a, row.mean_b]).max() < 0.5
    assert row.contrast == pytest.approx(255 * rgb2gray(photo).std(), rel=0.02)


def test_a_manifest_is_read_as_it_was_written(album, tmp_path):
    manifest = scan(album, tmp_path, 16)
    write_csv(tmp_path / "manifest.csv", manifest)
    opened = open_manifest(tmp_path / "manifest.csv")
    pd.testing.assert_frame_equal(opened, manifest, check_dtype=False, rtol=1e-5)
    assert len(usable(opened, "train")) == 1


def test_a_manifest_with_nothing_left_out_is_read_as_such(save_image, tmp_path, photo):
    photos = [entry(save_image(photo[:64, :64], f"{split}.png"), tmp_path, split) for split in ("train", "test")]
    write_csv(tmp_path / "manifest.csv", scan(photos, tmp_path, 16))
    assert len(usable(open_manifest(tmp_path / "manifest.csv"), "train")) == 1


def test_a_title_that_looks_like_nothing_stays_text(save_image, tmp_path, photo):
    photos = [entry(save_image(photo[:64, :64], f"{name}.png"), tmp_path, name) for name in ("train", "test")]
    photos += [entry(save_image(photo[:64, :64], "NA.png"), tmp_path)]
    write_csv(tmp_path / "manifest.csv", scan(photos, tmp_path, 16))
    assert list(open_manifest(tmp_path / "manifest.csv").title) == ["train", "test", "NA"]


def test_a_missing_manifest_is_asked_for(tmp_path):
    with pytest.raises(StudyError, match=r"manifest\.csv: no manifest yet; run `dvc repro data`"):
        open_manifest(tmp_path / "manifest.csv")


def test_counts_per_source_add_up(album, tmp_path, save_image, photo):
    other = entry(save_image(photo[:70, :70], "other.png"), tmp_path, "validation", "film", "face")
    table = by_source(scan([*album, other], tmp_path, 16)).set_index("source")
    assert table.loc["camera", ["photographs", "excluded", "train", "validation", "test"]].tolist() == [5, 3, 4, 0, 1]
    assert table.loc["film", ["photographs", "excluded", "train", "validation", "test"]].tolist() == [1, 0, 0, 1, 0]
    assert table.loc["camera", "contents"] == "tree 5"
