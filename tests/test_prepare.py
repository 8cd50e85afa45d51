"""Training sets: which photographs, where they are cut, how they are turned; and how they are kept on disk."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from srstudy.degrade import downscale
from srstudy.errors import StudyError
from srstudy.prepare import cut_set, cut_tile, select
from srstudy.settings import Augmentation, Data, Selection, TileSet
from srstudy.tiles import Tiles, grid_tiles, open_tiles, save_tiles, training_tiles

PAPER_LIMITS = Augmentation(rotation=15, shear=8, translation=0.1)
DATA = Data(sources={}, flat_std=8, augmentation=PAPER_LIMITS)
# No place is too flat, so every photograph is cut at the same one.
ANY = Data(sources={}, flat_std=0, augmentation=PAPER_LIMITS)


def tile_set(lr_size: int, augment: bool = False) -> TileSet:
    """A set of tiles of 4*lr_size pixels."""
    return TileSet(selection="all", images="some", lr_size=lr_size, augment=augment)


PLAIN, AUGMENTED = tile_set(16), tile_set(16, augment=True)  # HR tiles of 64 pixels


def places(photo: np.ndarray, tile: np.ndarray) -> list[tuple[int, int]]:
    """Where the tile is found in the photograph, pixel by pixel."""
    size = len(tile)
    corners = np.argwhere((photo[: 1 - size, : 1 - size] == tile[0, 0]).all(axis=-1))
    return [(y, x) for y, x in corners if np.array_equal(photo[y : y + size, x : x + size], tile)]


@pytest.fixture
def rows() -> pd.DataFrame:
    """A manifest of six photographs of the sample, three sources."""
    return pd.DataFrame(
        [
            ("a-posing-kitten", "gcompris", 4.0, "cat"),
            ("american-bison", "gcompris", 9.0, "cow"),
            ("aitzgorri", "lomiri", 9.0, "hill"),
            ("astronaut", "skimage", 1.0, "face"),
            ("coffee", "skimage", 7.0, "cup"),
            ("rocket", "skimage", -3.0, "sky"),
        ],
        columns=["id", "source", "mean_b", "content"],
    ).assign(path=lambda table: "data/sample/photos/" + table.id + ".jpg")


def test_no_condition_selects_all_by_id(rows):
    assert list(select(rows, Selection()).id) == sorted(rows.id)


def test_a_source_selects_its_photographs_only(rows):
    assert list(select(rows, Selection(source="skimage")).id) == ["astronaut", "coffee", "rocket"]


def test_the_highest_share_is_selected_and_ties_go_by_id(rows):
    assert list(select(rows, Selection(highest="mean_b", share=1 / 6)).id) == ["aitzgorri"]
    assert list(select(rows, Selection(highest="mean_b", share=0.5)).id) == ["aitzgorri", "american-bison", "coffee"]


def test_conditions_add_up(rows):
    assert list(select(rows, Selection(source="skimage", highest="mean_b", share=0.34)).id) == ["coffee"]


def test_a_small_share_keeps_at_least_one_photograph(rows):
    assert len(select(rows, Selection(highest="mean_b", share=0.01))) == 1


@pytest.mark.parametrize("column", ["mean_bb", "content"])
def test_a_column_that_cannot_rank_is_named(rows, column):
    with pytest.raises(StudyError, match=f"'{column}' is no numeric column"):
        select(rows, Selection(highest=column, share=0.5))


def test_a_selection_of_nothing_is_an_error(rows):
    with pytest.raises(StudyError, match=r"no training photograph satisfies .*'flickr'"):
        select(rows, Selection(source="flickr"))


def test_plain_tiles_are_cut_from_their_photograph_unchanged(rows, root):
    tiles, ids = cut_set(rows, PLAIN, 7, DATA, 1, root, 32)
    assert tiles.hr.shape == (7, 64, 64, 3)
    assert tiles.hr.dtype == tiles.lr.dtype == np.uint8
    for tile, id in zip(tiles.hr, ids):
        with Image.open(root / "data" / "sample" / "photos" / f"{id}.jpg") as image:
            assert len(places(np.asarray(image), tile)) == 1


@pytest.mark.parametrize("augment", [False, True])
def test_lr_is_the_reduced_hr_tile(rows, root, augment):
    tiles, _ = cut_set(rows, tile_set(16, augment), 3, DATA, 1, root, 32)
    assert tiles.lr.shape == (3, 16, 16, 3)
    for hr, lr in zip(tiles.hr, tiles.lr):
        assert np.array_equal(lr, downscale(hr))


@pytest.mark.parametrize("augment", [False, True])
def test_the_smaller_set_is_contained_in_the_larger(rows, root, augment):
    few, few_ids = cut_set(rows, tile_set(16, augment), 5, DATA, 1, root, 32)
    many, many_ids = cut_set(rows, tile_set(16, augment), 10, DATA, 1, root, 32)
    assert np.array_equal(few.hr, many.hr[:5])
    assert few_ids == many_ids[:5]


def test_tiles_of_32_pixels_are_the_centres_of_those_of_64(rows, root, study):
    small, large = (
        cut_set(rows, study.sets[name], 5, study.data, study.seed, root, study.largest_lr_size)[0]
        for name in ("curated-5k-32", "curated-5k-64")
    )
    assert (small.hr.shape[1], large.hr.shape[1]) == (128, 256)
    assert np.array_equal(small.hr, large.hr[:, 64:192, 64:192])


def test_equal_seeds_give_equal_tiles_and_others_other_ones(rows, root):
    first, again, other = (cut_set(rows, AUGMENTED, 4, DATA, seed, root, 32)[0].hr for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_tiles_of_one_photograph_differ(rows, root):
    tiles, ids = cut_set(rows[rows.id == "astronaut"], PLAIN, 6, DATA, 1, root, 32)
    assert ids == ["astronaut"] * 6
    assert len({tile.tobytes() for tile in tiles.hr}) == 6


def test_photographs_of_one_size_are_cut_at_different_places():
    first, second = (cut_tile(coordinates(), id, 0, PLAIN, ANY, 1, 64) for id in ("a", "b"))
    assert not np.array_equal(first, second)


def test_the_seed_decides_the_order_of_the_photographs(rows, root):
    orders = {tuple(cut_set(rows, PLAIN, 3, DATA, seed, root, 32)[1]) for seed in range(6)}
    assert len(orders) > 1


def test_sources_take_turns_however_many_photographs_they_have(rows, root):
    _, ids = cut_set(rows, PLAIN, 9, DATA, 1, root, 32)
    sources = rows.set_index("id").source[ids]
    assert list(sources) == ["gcompris", "lomiri", "skimage"] * 3
    assert set(ids) >= set(rows.id[rows.source == "skimage"])


def test_flat_photographs_are_passed_over(rows, root, save_image, photo):
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    lively = save_image(photo, "lively.png")
    rows = pd.DataFrame({"id": ["flat", "lively"], "path": [flat.name, lively.name], "source": ["a", "b"]})
    tiles, ids = cut_set(rows, PLAIN, 3, DATA, 1, flat.parent, 32)
    assert ids == ["lively"] * 3
    weights = np.array([0.299, 0.587, 0.114])
    assert all((tile @ weights).std() >= DATA.flat_std for tile in tiles.hr)


def test_nothing_but_flat_photographs_is_an_error(save_image):
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    rows = pd.DataFrame({"id": ["flat"], "path": [flat.name], "source": ["a"]})
    with pytest.raises(StudyError, match=r"only 0 of 2 tiles are not flat; lower data\.flat_std"):
        cut_set(rows, PLAIN, 2, DATA, 1, flat.parent, 32)


def test_augmentation_within_zero_limits_changes_no_pixel(photo):
    none = Data(sources={}, flat_std=8, augmentation=Augmentation(rotation=0, shear=0, translation=0))
    for number in range(8):
        plain, augmented = (cut_tile(photo, "a", number, kind, none, 1, 128) for kind in (PLAIN, AUGMENTED))
        assert np.array_equal(plain, augmented)


def test_augmentation_leaves_no_empty_corner():
    bright = np.random.default_rng(0).integers(200, 256, (80, 90, 3), np.uint8)  # little larger than its tile of 64
    wild = Data(sources={}, flat_std=0, augmentation=Augmentation(rotation=45, shear=30, translation=0.5))
    tiles = np.stack([cut_tile(bright, "a", number, AUGMENTED, wild, 1, 64) for number in range(40)])
    assert tiles.min() > 150  # the kernel overshoots a little; an empty corner would be 0
    plain = np.stack([cut_tile(bright, "a", number, PLAIN, wild, 1, 64) for number in range(40)])
    changed = (tiles != plain).any(axis=(1, 2, 3))
    assert changed.mean() > 0.5  # most were turned all the same, if less


def test_a_photograph_no_larger_than_the_tile_is_taken_as_it_is(photo):
    exact = photo[100:164, 150:214]
    for kind in (PLAIN, AUGMENTED):
        assert np.array_equal(cut_tile(exact, "a", 0, kind, ANY, 1, 64), exact)


def coordinates() -> np.ndarray:
    """A picture [256, 256] whose red says the column and green the row of each pixel; blue falls as red rises."""
    row, column = np.mgrid[:256, :256].astype(np.uint8)
    return np.stack([column, row, 255 - column], axis=-1)


def affine_of(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset that take (x, y) of a tile of `coordinates` to (x, y) of the photograph, by least squares."""
    row, column = np.mgrid[: len(tile), : len(tile)]
    terms = np.stack([column.ravel(), row.ravel(), np.ones(row.size)], axis=-1)
    red, green, blue = tile.reshape(-1, 3).astype(float).T
    rounding = np.mean(red + blue - 255) / 2  # what rounding takes from every channel
    found = np.stack([(red - blue + 255) / 2, green - rounding], axis=-1)
    solution, *_ = np.linalg.lstsq(terms, found, rcond=None)
    assert np.abs(terms @ solution - found).max() < 1  # it is an affine map, up to rounding to 8 bits
    return solution[:2].T, solution[2]


def test_augmentation_turns_shears_and_shifts_within_its_limits():
    angles, shears, shifts = [], [], []
    for number in range(30):
        plain, augmented = (cut_tile(coordinates(), "a", number, kind, ANY, 1, 160) for kind in (PLAIN, AUGMENTED))
        matrix, offset = affine_of(augmented)
        assert np.linalg.norm(matrix[:, 0]) == pytest.approx(1, abs=0.003)  # no enlargement...
        assert np.linalg.det(matrix) == pytest.approx(1, abs=0.003)  # ...and areas are kept
        angles.append(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
        shears.append(math.degrees(math.atan(matrix[:, 0] @ matrix[:, 1])))
        shifts += [*(matrix @ [31.5, 31.5] + offset - plain[0, 0, :2] - 31.5)]
    for values, limit, slack in ((angles, 15, 0.2), (shears, 8, 0.2), (shifts, 6.4, 0.1)):
        assert -limit - slack <= min(values) < -0.5 * limit  # both ways, and nearly as far as allowed
        assert 0.5 * limit < max(values) <= limit + slack


def scipy_tiles(photo: np.ndarray, count: int):
    """(augmented tile, the same made by SciPy) of a photograph [256, 256]."""
    for number in range(count):
        matrix, offset = affine_of(cut_tile(coordinates(), "a", number, AUGMENTED, ANY, 1, 160))
        tile = cut_tile(photo, "a", number, AUGMENTED, ANY, 1, 160)  # the same draw: seed, name and size are the same
        swapped, shift = matrix[::-1, ::-1], offset[::-1]  # SciPy counts rows first
        channels = [ndimage.affine_transform(photo[..., c] * 1.0, swapped, shift, (64, 64), order=3) for c in range(3)]
        yield tile, np.stack(channels, axis=-1)


@pytest.fixture
def smooth(photo) -> np.ndarray:
    """A photograph [256, 256] without fine detail, on which all cubic interpolations agree."""
    blurred = ndimage.gaussian_filter(photo[:256, 128:384].astype(float), (2, 2, 0))
    return np.round(blurred).astype(np.uint8)


def test_an_augmented_tile_shows_what_another_library_s_transform_shows(smooth):
    for tile, expected in scipy_tiles(smooth, 6):
        assert np.sqrt(np.mean((expected - tile) ** 2)) < 1  # levels of 255
        assert np.sqrt(np.mean((np.roll(expected, 1, axis=0) - tile) ** 2)) > 1.5  # a pixel off would show


def test_augmentation_does_not_darken(smooth):
    found = np.mean([tile - expected for tile, expected in scipy_tiles(smooth, 6)], axis=(0, 1, 2))
    assert np.abs(found).max() < 0.1  # levels of 255


def test_grid_tiles_show_every_pixel_of_a_photograph():
    photo = coordinates()[:150, :203]
    tiles = grid_tiles([photo], 64)
    shown = {(x, y) for x, y, _ in tiles.hr.reshape(-1, 3).tolist()}
    assert shown == {(x, y) for x in range(200) for y in range(148)}  # all but the cut to a multiple of 4
    assert len(tiles) == 3 * 4  # as few as can do


def test_grid_tiles_have_the_lr_of_the_whole_photograph(photo):
    whole = photo[:200, :180]
    tiles, lr = grid_tiles([whole], 64), downscale(whole)
    for hr_tile, lr_tile in zip(tiles.hr, tiles.lr):
        ((top, left),) = places(whole, hr_tile)
        assert top % 4 == left % 4 == 0
        assert np.array_equal(lr_tile, lr[top // 4 : top // 4 + 16, left // 4 : left // 4 + 16])


def test_grid_tiles_leave_out_photographs_that_are_too_small(photo):
    assert len(grid_tiles([photo[:63, :500], photo[:64, :64]], 64)) == 1
    with pytest.raises(StudyError, match="no photograph is as large as a tile of 64x64"):
        grid_tiles([photo[:63, :500]], 64)


@pytest.fixture
def saved(tmp_path, photo):
    """A saved set of two tiles, and its folder."""
    hr = np.stack([photo[:64, :64], photo[64:128, :64]])
    tiles = Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))
    save_tiles(tmp_path / "set", tiles)
    return tiles, tmp_path / "set"


def test_a_set_is_opened_as_it_was_saved_and_is_not_read_into_memory(saved):
    tiles, folder = saved
    opened = open_tiles(folder)
    assert isinstance(opened.hr, np.memmap)
    assert np.array_equal(opened.hr, tiles.hr)
    assert np.array_equal(opened.lr, tiles.lr)
    assert len(opened) == 2


def test_saving_again_replaces_the_whole_set(saved):
    tiles, folder = saved
    save_tiles(folder, Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1]))
    assert len(open_tiles(folder)) == 1
    assert sorted(path.name for path in folder.parent.iterdir()) == ["set"]


@pytest.mark.parametrize("missing", ["hr.npy", "lr.npy"])
def test_a_set_not_prepared_is_asked_for(saved, missing):
    (saved[1] / missing).unlink()
    with pytest.raises(StudyError, match="set: this training set is not prepared yet; run `dvc repro prepare`"):
        open_tiles(saved[1])


@pytest.mark.parametrize("kept", [0, 5, 100, 2000])
def test_a_damaged_set_is_named(saved, kept):
    content = (saved[1] / "hr.npy").read_bytes()
    (saved[1] / "hr.npy").write_bytes(content[:kept])
    with pytest.raises(StudyError, match="set: damaged training set"):
        open_tiles(saved[1])


def test_a_variant_trains_on_its_own_set(tiny_study, saved):
    study = tiny_study.load()
    with pytest.raises(StudyError, match="curated-10k-64-augmented: this training set is not prepared yet"):
        training_tiles(study, "10k-64-augmented")
    save_tiles(study.root / "data" / "prepared" / "curated-10k-64-augmented", saved[0])
    assert np.array_equal(training_tiles(study, "10k-64-augmented").hr, saved[0].hr)


def test_warm_starts_train_on_the_sample_s_training_photographs_only(tiny_study, save_image):
    lines = ["file,split,source,content,title,author,licence"]
    for split, colour in (("train", "red"), ("validation", "green"), ("test", "blue")):
        save_image(Image.new("RGB", (256, 300), colour), f"data/sample/photos/{split}.png")
        lines.append(f"photos/{split}.png,{split},camera,wall,{split},me,CC0-1.0")
    (tiny_study.root / "data" / "sample" / "SOURCES.csv").write_text("\n".join(lines) + "\n")
    tiles = training_tiles(tiny_study.load("paper"), "srgan")
    assert len(tiles) == 2
    assert (tiles.hr == (255, 0, 0)).all()
