"""Training sets: where photographs are cut, how tiles are turned, and that preparing leaves all or nothing."""

import hashlib
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from tests.pixels import coordinates, places

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale
from srstudy.sets import cut
from srstudy.sets.cut import cut_set, cut_tile, prepare_set
from srstudy.sets.disk import set_bytes
from srstudy.settings import Augmentation, TileSet
from srstudy.study import Study


def tile_set(lr_size: int, augment: bool = False, **changes: str) -> TileSet:
    """A set of tiles of 4*lr_size pixels."""
    return TileSet(**{"selection": "all", "images": "some", "lr_size": lr_size, "augment": augment, **changes})


PLAIN, AUGMENTED = tile_set(16), tile_set(16, augment=True)  # HR tiles of 64 pixels


def with_largest(study: Study, lr_size: int, **data: object) -> Study:
    """The study with another seed and these values of its data section; its largest set has that LR size."""
    return replace(study, seed=1, sets={"largest": tile_set(lr_size)}, data=study.data.model_copy(update=data))


def hashed(rows: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Rows of a manifest with the hashes of their files, which lie in folders relative to `root`."""
    files = [(root / row.archive / row.member).read_bytes() for row in rows.itertuples()]
    return rows.assign(sha256=[hashlib.sha256(file).hexdigest() for file in files])


@pytest.fixture
def rows(root) -> pd.DataFrame:
    """A manifest of six photographs of the sample, three sources; their paths hold in any folder."""
    ids = ["a-posing-kitten", "american-bison", "aitzgorri", "astronaut", "coffee", "rocket"]
    sources = ["gcompris", "gcompris", "lomiri", "skimage", "skimage", "skimage"]
    rows = pd.DataFrame({"id": ids, "source": sources, "archive": str(root / "data" / "sample" / "photos")})
    return hashed(rows.assign(member=rows.id + ".jpg"), root)


@pytest.fixture
def flat(save_image) -> pd.DataFrame:
    """A manifest of one photograph without any contrast."""
    path = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    return hashed(pd.DataFrame([{"id": "flat", "source": "x", "archive": str(path.parent), "member": path.name}]), path)


def tiles_of(study: Study, rows: pd.DataFrame, kind: TileSet, count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """What `cut_set` gives, all at once: the photograph of each tile, HR and LR."""
    ids, hr, lr = zip(*cut_set(study, rows, kind, count))
    return list(ids), np.stack(hr), np.stack(lr)


@pytest.mark.parametrize("kind", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
def test_lr_is_the_reduced_hr_tile_and_plain_tiles_are_cut_unchanged(study, rows, root, kind):
    ids, hr, lr = tiles_of(with_largest(study, 32), rows, kind, 7)
    assert (hr.shape, lr.shape, hr.dtype, lr.dtype) == ((7, 64, 64, 3), (7, 16, 16, 3), np.uint8, np.uint8)
    np.testing.assert_array_equal(lr, [downscale(tile) for tile in hr])
    for tile, id in zip(hr, ids):
        with Image.open(root / "data" / "sample" / "photos" / f"{id}.jpg") as image:
            assert len(places(np.asarray(image), tile)) == (0 if kind.augment else 1)


@pytest.mark.parametrize("kind", [PLAIN, AUGMENTED], ids=["plain", "augmented"])
def test_equal_seeds_give_equal_tiles_and_the_smaller_set_is_contained_in_the_larger(study, rows, kind):
    small = with_largest(study, 32)
    (few_ids, few, _), (ids, many, _) = (tiles_of(small, rows, kind, count) for count in (5, 10))
    assert few_ids == ids[:5]
    np.testing.assert_array_equal(few, many[:5])
    assert not np.array_equal(few, tiles_of(replace(small, seed=2), rows, kind, 5)[1])


def test_tiles_of_32_pixels_are_the_centres_of_those_of_64(study, rows):
    (_, small, _), (_, large, _) = (tiles_of(study, rows, study.sets[f"curated-5k-{side}"], 5) for side in (32, 64))
    assert (small.shape[1], large.shape[1]) == (128, 256)
    np.testing.assert_array_equal(small, large[:, 64:192, 64:192])


def test_a_tile_s_place_hangs_on_its_photograph_s_id_and_its_number(study):
    anywhere = with_largest(study, 16, flat_std=0)
    tiles = [cut_tile(anywhere, coordinates(), id, number, PLAIN) for id in ("a", "b") for number in range(3)]
    assert len({tile.tobytes() for tile in tiles}) == 6


def test_sources_take_turns_however_many_photographs_they_have_in_an_order_that_the_seed_decides(study, rows):
    ids, *_ = tiles_of(with_largest(study, 32), rows, PLAIN, 9)
    assert list(rows.set_index("id").source[ids]) == ["gcompris", "lomiri", "skimage"] * 3
    assert set(ids) >= set(rows.id[rows.source == "skimage"])
    orders = {tuple(tiles_of(replace(study, seed=seed), rows, PLAIN, 3)[0]) for seed in range(6)}
    assert len(orders) > 1


def test_flat_photographs_are_passed_over_and_nothing_but_flat_ones_is_an_error(study, rows, flat):
    small = with_largest(study, 32)
    ids, hr, _ = tiles_of(small, pd.concat([rows[rows.id == "astronaut"], flat]), PLAIN, 3)
    assert ids == ["astronaut"] * 3
    assert all((tile @ np.array([0.299, 0.587, 0.114])).std() >= study.data.flat_std for tile in hr)
    with pytest.raises(StudyError, match=r"selections\.all: only 0 of 2 tiles .* lower data\.flat_std"):
        tiles_of(small, flat, PLAIN, 2)


def test_batches_change_nothing_but_how_much_is_in_memory(study, rows, flat, monkeypatch):
    some = pd.concat([rows, flat.assign(source="skimage")])
    ids, hr, _ = tiles_of(with_largest(study, 32), some, PLAIN, 20)
    monkeypatch.setattr(cut, "BATCH", 4)
    again, same, _ = tiles_of(with_largest(study, 32), some, PLAIN, 20)
    assert again == ids
    np.testing.assert_array_equal(same, hr)
    cuts = cut_set(study, rows[rows.id == "astronaut"], tile_set(64), 64)
    next(cuts)
    tracemalloc.start()
    size = sum(hr.nbytes + lr.nbytes for _, hr, lr in cuts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 12_000_000
    assert peak < size / 2


@pytest.fixture
def small_study(study, tmp_path):
    """The sample profile with two small sets, in a folder of its own."""
    sets = {"plain": tile_set(16, images="paper-5k"), "augmented": tile_set(16, augment=True, images="paper-10k")}
    profile = study.profile.model_copy(update={"images": {"paper-5k": 4, "paper-10k": 7}})
    return replace(study, root=tmp_path, sets=sets, profile=profile)


def test_a_set_is_prepared_as_it_is_cut_and_the_photograph_of_each_tile_is_listed(small_study, rows, capsys):
    folder = small_study.root / "data" / "prepared"
    for name, count in (("plain", 4), ("augmented", 7)):
        prepare_set(small_study, name, rows)
        ids, hr, lr = tiles_of(small_study, rows, small_study.sets[name], count)
        np.testing.assert_array_equal(np.load(folder / name / "hr.npy"), hr)
        np.testing.assert_array_equal(np.load(folder / name / "lr.npy"), lr)
        assert pd.read_csv(folder / f"{name}.csv").to_numpy().tolist() == [list(row) for row in enumerate(ids)]
        size = sum(path.stat().st_size for path in (folder / name).iterdir())
        assert size == set_bytes(small_study, name)
        assert f"{name}: {size / 1e9:.3f} GB" in capsys.readouterr().out
    assert len(list(folder.rglob("*"))) == 2 * 4


def test_a_set_that_fails_leaves_its_older_files_and_other_sets(small_study, rows, flat):
    folder = small_study.root / "data" / "prepared"
    for name in small_study.sets:
        prepare_set(small_study, name, rows)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(StudyError, match=r"selections\.all: only 0 of 4 tiles"):
        prepare_set(replace(small_study, seed=1), "plain", flat)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert not list(folder.glob(".*"))


ON_A_SMALL_DISK = """
import sys
from dataclasses import replace
from pathlib import Path
from srstudy import StudyError
from srstudy.sets.cut import prepare_set
from srstudy.study import load_study

study = replace(load_study("sample"), root=Path(sys.argv[1]))
try:
    prepare_set(study, "curated-10k-64", None)
except StudyError as error:
    print(error)
print(list(study.root.iterdir()))
"""


def test_a_set_for_which_there_is_no_room_is_not_begun(small_disk):
    *_, message, left = small_disk(ON_A_SMALL_DISK).splitlines()
    assert message == (
        "curated-10k-64: needs 0.010 GB, 0.000 GB are free; lower the profile's `images`, or free some space."
    )
    assert left == "[]"


def test_augmentation_leaves_no_empty_corner(study):
    bright = np.random.default_rng(0).integers(200, 256, (80, 90, 3), np.uint8)  # little larger than its tile of 64
    wild = Augmentation(rotation=45.0, shear=30.0, translation=0.5)
    wild = with_largest(study, 16, flat_std=0, augmentation=wild)
    plain, turned = (
        np.stack([cut_tile(wild, bright, "a", number, kind) for number in range(40)]) for kind in (PLAIN, AUGMENTED)
    )
    assert turned.min() > 150  # the kernel overshoots a little; an empty corner would be 0
    assert (turned != plain).any(axis=(1, 2, 3)).mean() > 0.5  # most were turned all the same, if less


def test_a_photograph_no_larger_than_the_tile_is_taken_as_it_is_but_not_kept(study, photo):
    exact = photo[100:164, 150:214]
    for kind in (PLAIN, AUGMENTED):
        tile = cut_tile(with_largest(study, 16, flat_std=0), exact, "a", 0, kind)
        np.testing.assert_array_equal(tile, exact)
        assert tile.base is None


def affine_of(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset that take (x, y) of a tile of `coordinates` to (x, y) of the photograph, by least squares."""
    row, column = np.mgrid[: len(tile), : len(tile)]
    terms = np.stack([column.ravel(), row.ravel(), np.ones(row.size)], axis=-1)
    red, green, blue = tile.reshape(-1, 3).astype(float).T
    rounding = np.mean(red + blue - 255) / 2  # what rounding takes from every channel
    measured = np.stack([(red - blue + 255) / 2, green - rounding], axis=-1)
    solution, *_ = np.linalg.lstsq(terms, measured, rcond=None)
    assert np.abs(terms @ solution - measured).max() < 1  # it is an affine map, up to rounding to 8 bits
    return solution[:2].T, solution[2]


def test_augmentation_turns_shears_and_shifts_within_its_limits(study):
    angles, shears, shifts, anywhere = [], [], [], with_largest(study, 40, flat_std=0)
    for number in range(30):
        plain, augmented = (cut_tile(anywhere, coordinates(), "a", number, kind) for kind in (PLAIN, AUGMENTED))
        matrix, offset = affine_of(augmented)
        assert np.linalg.norm(matrix[:, 0]) == pytest.approx(1, abs=0.003)  # no enlargement...
        assert np.linalg.det(matrix) == pytest.approx(1, abs=0.003)  # ...and areas are kept
        angles.append(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
        shears.append(math.degrees(math.atan(matrix[:, 0] @ matrix[:, 1])))
        shifts += [*(matrix @ [31.5, 31.5] + offset - plain[0, 0, :2] - 31.5)]
    for values, limit, slack in ((angles, 15, 0.2), (shears, 8, 0.2), (shifts, 6.4, 0.1)):
        assert -limit - slack <= min(values) < -0.5 * limit  # both ways, and nearly as far as allowed
        assert 0.5 * limit < max(values) <= limit + slack


def test_an_augmented_tile_shows_what_another_library_s_transform_shows_and_is_no_darker(study, photo):
    """SciPy's, on a photograph without fine detail, on which all cubic interpolations agree."""
    anywhere, differences = with_largest(study, 40, flat_std=0), []
    smooth = np.round(ndimage.gaussian_filter(photo[:256, 128:384].astype(float), (2, 2, 0))).astype(np.uint8)
    for number in range(6):
        matrix, offset = affine_of(cut_tile(anywhere, coordinates(), "a", number, AUGMENTED))
        tile = cut_tile(anywhere, smooth, "a", number, AUGMENTED)  # the same draw: seed, name and size are the same
        turned = matrix[::-1, ::-1], offset[::-1], (64, 64)  # SciPy counts rows first
        channels = [ndimage.affine_transform(smooth[..., c] * 1.0, *turned, order=3) for c in range(3)]
        expected = np.stack(channels, axis=-1)
        assert np.sqrt(np.mean((expected - tile) ** 2)) < 1  # levels of 255
        assert np.sqrt(np.mean((np.roll(expected, 1, axis=0) - tile) ** 2)) > 1.5  # a pixel off would show
        differences.append(tile - expected)
    assert np.abs(np.mean(differences, axis=(0, 1, 2))).max() < 0.1
