"""Training sets: where photographs are cut, how tiles are turned, and that preparing leaves all or nothing."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab
from tests.pixels import coordinates, places

from srstudy.data import prepare
from srstudy.data.images import read_photo
from srstudy.data.prepare import cut_set, cut_tile, prepare_sets
from srstudy.data.tiles import Tiles
from srstudy.degrade.bicubic import downscale
from srstudy.errors import StudyError
from srstudy.settings import Augmentation, Data, Duplicates, Scan, TileSet

PAPER_LIMITS = Augmentation(rotation=15, shear=8, translation=0.1)
WHERE_FROM = {"sources": {}, "scan": Scan(512), "duplicates": Duplicates(10, 0.9, 2.0), "held_out": 50}
DATA = Data(**WHERE_FROM, flat_std=8, augmentation=PAPER_LIMITS)
# No place is too flat, so every photograph is cut at the same one.
ANY = Data(**WHERE_FROM, flat_std=0, augmentation=PAPER_LIMITS)


def tile_set(lr_size: int, augment: bool = False) -> TileSet:
    """A set of tiles of 4*lr_size pixels."""
    return TileSet(selection="all", images="some", lr_size=lr_size, augment=augment)


PLAIN, AUGMENTED = tile_set(16), tile_set(16, augment=True)  # HR tiles of 64 pixels


def cut(*arguments) -> tuple[Tiles, list[str]]:
    """What `cut_set` gives, all at once: the tiles, and the photograph of each."""
    cuts = list(cut_set(*arguments))
    tiles = Tiles(hr=np.stack([cut.hr for cut in cuts]), lr=np.stack([cut.lr for cut in cuts]))
    return tiles, [cut.id for cut in cuts]


def hashed(rows: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Rows of a manifest with the hashes of their files, which lie in folders relative to `root`."""
    files = [(root / row.archive / row.member).read_bytes() for row in rows.itertuples()]
    return rows.assign(sha256=[hashlib.sha256(file).hexdigest() for file in files])


@pytest.fixture
def rows(root) -> pd.DataFrame:
    """A manifest of six photographs of the sample, three sources."""
    rows = pd.DataFrame(
        [
            ("a-posing-kitten", "gcompris", 4.0, "cat"),
            ("american-bison", "gcompris", 9.0, "cow"),
            ("aitzgorri", "lomiri", 9.0, "hill"),
            ("astronaut", "skimage", 1.0, "face"),
            ("coffee", "skimage", 7.0, "cup"),
            ("rocket", "skimage", -3.0, "sky"),
        ],
        columns=["id", "source", "mean_b", "content"],
    ).assign(archive="data/sample/photos", member=lambda table: table.id + ".jpg")
    return hashed(rows, root)


def test_plain_tiles_are_cut_from_their_photograph_unchanged(rows, root):
    tiles, ids = cut(rows, PLAIN, 7, DATA, 1, root, 32)
    assert tiles.hr.shape == (7, 64, 64, 3)
    assert tiles.hr.dtype == tiles.lr.dtype == np.uint8
    for tile, id in zip(tiles.hr, ids):
        with Image.open(root / "data" / "sample" / "photos" / f"{id}.jpg") as image:
            assert len(places(np.asarray(image), tile)) == 1


@pytest.mark.parametrize("augment", [False, True])
def test_lr_is_the_reduced_hr_tile(rows, root, augment):
    tiles, _ = cut(rows, tile_set(16, augment), 3, DATA, 1, root, 32)
    assert tiles.lr.shape == (3, 16, 16, 3)
    for hr, lr in zip(tiles.hr, tiles.lr):
        assert np.array_equal(lr, downscale(hr))


@pytest.mark.parametrize("augment", [False, True])
def test_the_smaller_set_is_contained_in_the_larger(rows, root, augment):
    few, few_ids = cut(rows, tile_set(16, augment), 5, DATA, 1, root, 32)
    many, many_ids = cut(rows, tile_set(16, augment), 10, DATA, 1, root, 32)
    assert np.array_equal(few.hr, many.hr[:5])
    assert few_ids == many_ids[:5]


def test_tiles_of_32_pixels_are_the_centres_of_those_of_64(rows, root, study):
    small, large = (
        cut(rows, study.sets[name], 5, study.data, study.seed, root, study.largest_lr_size)[0]
        for name in ("curated-5k-32", "curated-5k-64")
    )
    assert (small.hr.shape[1], large.hr.shape[1]) == (128, 256)
    assert np.array_equal(small.hr, large.hr[:, 64:192, 64:192])


def test_equal_seeds_give_equal_tiles_and_others_other_ones(rows, root):
    first, again, other = (cut(rows, AUGMENTED, 4, DATA, seed, root, 32)[0].hr for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_tiles_of_one_photograph_differ(rows, root):
    tiles, ids = cut(rows[rows.id == "astronaut"], PLAIN, 6, DATA, 1, root, 32)
    assert ids == ["astronaut"] * 6
    assert len({tile.tobytes() for tile in tiles.hr}) == 6


def test_photographs_of_one_size_are_cut_at_different_places():
    first, second = (cut_tile(coordinates(), id, 0, PLAIN, ANY, 1, 64) for id in ("a", "b"))
    assert not np.array_equal(first, second)


def test_the_seed_decides_the_order_of_the_photographs(rows, root):
    orders = {tuple(cut(rows, PLAIN, 3, DATA, seed, root, 32)[1]) for seed in range(6)}
    assert len(orders) > 1


def test_sources_take_turns_however_many_photographs_they_have(rows, root):
    _, ids = cut(rows, PLAIN, 9, DATA, 1, root, 32)
    sources = rows.set_index("id").source[ids]
    assert list(sources) == ["gcompris", "lomiri", "skimage"] * 3
    assert set(ids) >= set(rows.id[rows.source == "skimage"])


def test_flat_photographs_are_passed_over(rows, root, save_image, photo):
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    lively = save_image(photo, "lively.png")
    names = {"id": ["flat", "lively"], "archive": ".", "member": [flat.name, lively.name]}
    rows = hashed(pd.DataFrame(names | {"source": ["a", "b"]}), flat.parent)
    tiles, ids = cut(rows, PLAIN, 3, DATA, 1, flat.parent, 32)
    assert ids == ["lively"] * 3
    weights = np.array([0.299, 0.587, 0.114])
    assert all((tile @ weights).std() >= DATA.flat_std for tile in tiles.hr)


def test_nothing_but_flat_photographs_is_an_error(save_image):
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    rows = pd.DataFrame({"id": ["flat"], "archive": ".", "member": [flat.name], "source": ["a"]})
    rows = hashed(rows, flat.parent)
    with pytest.raises(StudyError, match=r"selections\.all: only 0 of 2 tiles .* lower data\.flat_std"):
        cut(rows, PLAIN, 2, DATA, 1, flat.parent, 32)


def test_batches_are_no_limits(rows, root, monkeypatch, save_image):
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    dull = {"id": ["flat"], "archive": [str(flat.parent)], "member": [flat.name], "source": ["skimage"]}
    rows = pd.concat([rows, hashed(pd.DataFrame(dull), root)])
    whole, whole_ids = cut(rows, PLAIN, 20, DATA, 1, root, 32)
    monkeypatch.setattr(prepare, "BATCH", 3)
    parts, part_ids = cut(rows, PLAIN, 20, DATA, 1, root, 32)
    assert part_ids == whole_ids
    assert np.array_equal(parts.hr, whole.hr)


def test_a_photograph_is_decoded_once_for_all_its_tiles_of_a_batch(rows, root, monkeypatch):
    decoded = []
    monkeypatch.setattr(prepare, "read_photo", lambda root, row: decoded.append(row.id) or read_photo(root, row))
    _, ids = cut(rows, PLAIN, 30, DATA, 1, root, 32)
    assert sorted(decoded) == sorted(set(ids))


def test_no_more_than_a_batch_of_tiles_is_in_memory(rows, root, monkeypatch):
    monkeypatch.setattr(prepare, "BATCH", 4)
    cuts = cut_set(rows[rows.id == "astronaut"], tile_set(64), 64, DATA, 1, root, 64)
    next(cuts)
    tracemalloc.start()
    size = sum(cut.hr.nbytes + cut.lr.nbytes for cut in cuts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 12_000_000
    assert peak < size / 2


@pytest.fixture
def small_study(study, tmp_path):
    """The sample profile with two small sets, in a folder of its own."""
    sets = {"plain": replace(PLAIN, images="5k"), "augmented": replace(AUGMENTED, images="10k")}
    profile = replace(study.profile, images={"5k": 4, "10k": 7})
    return replace(study, root=tmp_path, sets=sets, profile=profile)


@pytest.fixture
def anywhere(rows, root) -> pd.DataFrame:
    """The manifest's rows with a path that holds in any folder."""
    return rows.assign(archive=str(root / "data" / "sample" / "photos"))


def test_every_set_is_prepared_as_it_is_cut(small_study, anywhere):
    table = prepare_sets(small_study, {"all": anywhere}).set_index("set")
    folder = small_study.root / "data" / "prepared"
    assert sorted(path.name for path in folder.parent.rglob("*")) == sorted(
        ["prepared", "selections.csv", "tiles.csv", "plain", "augmented", *2 * ["hr.npy", "lr.npy"]]
    )
    listed = pd.read_csv(folder / "tiles.csv")
    for name, count in (("plain", 4), ("augmented", 7)):
        tiles, ids = cut(anywhere, small_study.sets[name], count, small_study.data, small_study.seed, Path(), 16)
        assert np.array_equal(np.load(folder / name / "hr.npy"), tiles.hr)
        assert np.array_equal(np.load(folder / name / "lr.npy"), tiles.lr)
        assert listed[listed.set == name][["tile", "id"]].to_numpy().tolist() == [list(row) for row in enumerate(ids)]
        lab = rgb2lab(tiles.lr).mean(axis=(0, 1, 2))
        assert tuple(table.loc[name, ["tiles", "photographs", "LR px", "HR px"]]) == (count, len(set(ids)), 16, 64)
        assert (table["mean a*"][name], table["mean b*"][name]) == (f"{lab[1]:.1f}", f"{lab[2]:.1f}")


def test_what_was_chosen_is_kept_as_ids(small_study, anywhere):
    prepare_sets(small_study, {"all": anywhere, "cups": anywhere[anywhere.content == "cup"]})
    kept = pd.read_csv(small_study.root / "data" / "prepared" / "selections.csv")
    assert list(kept) == ["selection", "source", "id"]
    assert list(kept.id[kept.selection == "all"]) == list(anywhere.id)
    assert kept[kept.selection == "cups"].to_numpy().tolist() == [["cups", "skimage", "coffee"]]


def test_a_set_that_fails_leaves_the_older_ones(small_study, anywhere, save_image):
    folder = small_study.root / "data" / "prepared"
    prepare_sets(small_study, {"all": anywhere})
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    flat = save_image(np.full((300, 300, 3), 90, np.uint8), "flat.png")
    dull = hashed(anywhere.assign(archive=str(flat.parent), member=flat.name), flat.parent)
    sets = {**small_study.sets, "last": replace(PLAIN, selection="flat", images="5k")}
    with pytest.raises(StudyError, match=r"selections\.flat: only 0 of 4 tiles"):
        prepare_sets(replace(small_study, sets=sets, seed=1), {"all": anywhere, "flat": dull})
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert [path.name for path in folder.parent.iterdir()] == ["prepared"]


PREPARE = """
import sys
from dataclasses import replace
from pathlib import Path
import pandas as pd
from tests.data.test_prepare import hashed
from srstudy.config import load_study
from srstudy.data.prepare import prepare_sets
from srstudy.settings import TileSet

study = load_study("sample", sys.argv[2])
sets = {name: TileSet("all", name, 16, augment=True) for name in ("few", "many")}
profile = replace(study.profile, images={"few": 6, "many": 50_000})
rows = pd.DataFrame({"id": ["coffee"], "source": ["skimage"], "archive": [sys.argv[3]], "member": ["coffee.jpg"]})
rows = hashed(rows, Path())
prepare_sets(replace(study, root=Path(sys.argv[1]), sets=sets, profile=profile), {"all": rows})
"""


def test_a_killed_preparation_leaves_nothing_half_written_and_can_be_run_again(small_study, anywhere, root, tmp_path):
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", PREPARE, str(folder), str(root), anywhere.archive.iloc[0]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=root)
    assert any("/50000" in line for line in process.stderr)  # the first set is written, the second has begun
    process.kill()
    process.communicate()
    assert [path.name for path in (folder / "data").iterdir()] == [".prepared.part"]
    kept = []
    for place in (folder, tmp_path / "straight"):
        prepare_sets(replace(small_study, root=place), {"all": anywhere})
        kept.append({path.relative_to(place): path.read_bytes() for path in place.rglob("*.*")})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 6


def test_augmentation_within_zero_limits_changes_no_pixel(photo):
    none = Data(**WHERE_FROM, flat_std=8, augmentation=Augmentation(rotation=0, shear=0, translation=0))
    for number in range(8):
        plain, augmented = (cut_tile(photo, "a", number, kind, none, 1, 128) for kind in (PLAIN, AUGMENTED))
        assert np.array_equal(plain, augmented)


def test_augmentation_leaves_no_empty_corner():
    bright = np.random.default_rng(0).integers(200, 256, (80, 90, 3), np.uint8)  # little larger than its tile of 64
    wild = Data(**WHERE_FROM, flat_std=0, augmentation=Augmentation(rotation=45, shear=30, translation=0.5))
    tiles = np.stack([cut_tile(bright, "a", number, AUGMENTED, wild, 1, 64) for number in range(40)])
    assert tiles.min() > 150  # the kernel overshoots a little; an empty corner would be 0
    plain = np.stack([cut_tile(bright, "a", number, PLAIN, wild, 1, 64) for number in range(40)])
    changed = (tiles != plain).any(axis=(1, 2, 3))
    assert changed.mean() > 0.5  # most were turned all the same, if less


def test_a_photograph_no_larger_than_the_tile_is_taken_as_it_is(photo):
    exact = photo[100:164, 150:214]
    for kind in (PLAIN, AUGMENTED):
        assert np.array_equal(cut_tile(exact, "a", 0, kind, ANY, 1, 64), exact)


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
