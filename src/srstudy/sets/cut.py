"""From photographs to training sets: where tiles are cut, and how they are augmented (paper IV-B, IV-D)."""

import math
import os
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE, downscale, to_uint8
from srstudy.files import write_csv
from srstudy.parsing import pick
from srstudy.photos.images import read_photo
from srstudy.photos.manifest import open_manifest
from srstudy.sets.disk import require_space
from srstudy.sets.select import choose
from srstudy.sets.tiles import writing_tiles
from srstudy.settings import Augmentation, TileSet
from srstudy.study import Study, load_study

ATTEMPTS = 50  # places or transforms tried before giving up on a photograph
BATCH = 256  # turns taken together: their tiles, 50 MB of 256 px, are in memory at once
Cut = tuple[str, np.ndarray, np.ndarray]  # id of the photograph, HR uint8 [S, S, 3], LR uint8 [S/4, S/4, 3]


def prepare_set(study: Study, name: str, rows: pd.DataFrame) -> None:
    """Cut a set from the photographs in `rows` of the manifest into `data/prepared/NAME`, whole or not at all; beside
    it, `NAME.csv` lists the photograph of each tile.

    Raises StudyError as `require_space`, `cut_set` and `replacing` do.
    """
    require_space(study, name)
    folder, count, ids = study.folder("data") / "prepared" / name, study.images(name), []
    with writing_tiles(folder, count, study.sets[name].lr_size) as write:
        for id, hr, lr in cut_set(study, rows, study.sets[name], count):
            write(hr, lr)
            ids.append(id)
    write_csv(folder.with_name(f"{name}.csv"), pd.DataFrame({"tile": range(count), "id": ids}))


def cut_set(study: Study, rows: pd.DataFrame, tile_set: TileSet, count: int) -> Iterator[Cut]:
    """Cut `count` tiles from the photographs in `rows` of the manifest; a batch of them is in memory at a time.

    Photographs take turns over the sources, one tile a turn, so that a set is balanced over them, and the smaller of
    two sets is contained in the larger. Raises StudyError when the photographs have too few places that are not flat.
    """

    def cut(row: object, number: int) -> Cut | None:
        hr = cut_tile(study, read_photo(study.root, row), row.id, number, tile_set)
        return None if hr is None else (row.id, hr, downscale(hr))

    random = np.random.default_rng([study.seed, 2])
    queues = [random.permutation(positions) for _, positions in sorted(rows.groupby("source").indices.items())]
    rounds = range(2 * count + ATTEMPTS)  # position of a photograph in `rows`, and how often it had its turn before
    turns = ((queue[turn % len(queue)], turn // len(queue)) for turn in rounds for queue in queues)
    missing, title = count, f"{tile_set.selection}, {tile_set.lr_size} px"
    # Threads, because they start at once, and decoding, NumPy and SciPy run side by side in them. Pillow's transform,
    # most of the work of an augmented tile, does not; processes would pay from tens of thousands of such tiles on.
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=count, desc=title, unit="tile") as bar:
        while batch := list(islice(turns, min(missing, BATCH))):
            positions, numbers = zip(*batch)
            for tile in pool.map(cut, rows.iloc[list(positions)].itertuples(), numbers):
                if tile is not None:
                    yield tile
                    missing -= 1
                    bar.update()
    if missing:
        lively = f"only {count - missing} of {count} tiles are not flat"
        where = f"the profile's selections.{tile_set.selection}"
        raise StudyError(f"{where}: {lively}; admit more photographs or lower data.flat_std.")


def cut_tile(study: Study, photo: np.ndarray, id: str, number: int, tile_set: TileSet) -> np.ndarray | None:
    """HR tile uint8 [4*lr_size, 4*lr_size, 3] of a photograph, or None if its luma is flat wherever one tries.

    The photograph's id and the tile's number alone draw its centre, where the study's largest tile fits: so it is the
    same in every set, and 32 and 64 px show the same things. Augmentation (paper IV-D) turns, shears and shifts the
    tile within its photograph, so that no corner is ever empty; it resamples HR, and so softens it a little.
    """
    random = np.random.default_rng([study.seed, 3, zlib.crc32(id.encode()), number])
    (height, width), half, core = photo.shape[:2], SCALE * study.largest_lr_size // 2, study.largest_lr_size
    for _ in range(ATTEMPTS):
        row, column = random.integers(half, height - half + 1), random.integers(half, width - half + 1)
        window = photo[row - core : row + core, column - core : column + core]  # the inner half of the largest tile
        if (window @ np.array([0.299, 0.587, 0.114])).std() >= study.data.flat_std:
            break
    else:
        return None
    size, limits = SCALE * tile_set.lr_size, study.data.augmentation
    tile = _augmented(photo, (row, column), size, limits, random) if tile_set.augment else None
    if tile is None:
        top, left = row - size // 2, column - size // 2
        tile = photo[top : top + size, left : left + size].copy()  # a view would keep the whole photograph
    return tile


def _augmented(
    photo: np.ndarray, centre: tuple[int, int], size: int, limits: Augmentation, random: np.random.Generator
) -> np.ndarray | None:
    """The tile around `centre`, turned, sheared and shifted; less and less, until all of it lies inside the photo. None
    if it touches the border as it is. So large tiles near an edge are augmented less than small ones (a reading).
    """
    angle, shear, down, right = random.uniform(-1, 1, 4)
    for strength in np.linspace(1, 0, ATTEMPTS):
        turn = math.radians(strength * angle * limits.rotation)
        slant = math.tan(math.radians(strength * shear * limits.shear))
        rotate = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        matrix = rotate @ np.array([[1, slant], [0, 1]])
        x, y = (at + strength * way * limits.translation * size for at, way in ((centre[1], right), (centre[0], down)))
        corners = (np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * size / 2) @ matrix.T + np.array([x, y])
        # two pixels of margin: the bicubic kernel must not reach over the border
        if (corners >= 2).all() and (corners <= np.array([photo.shape[1], photo.shape[0]]) - 2).all():
            offset = np.array([x, y]) - matrix @ np.array([size / 2, size / 2])
            affine = (*matrix[0], offset[0], *matrix[1], offset[1])
            # As floats: on 8 bits Pillow cuts fractions off, which darkens by half a level.
            channels = [Image.fromarray(photo[..., channel].astype(np.float32)) for channel in range(3)]
            how = (size, size), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
            return to_uint8(np.stack([channel.transform(*how) for channel in channels], axis=-1))
    return None


def main() -> None:
    """Prepare the sets named on the command line, or all."""
    study = load_study()
    manifest = open_manifest(study.folder("data") / "manifest.parquet")
    for name in sys.argv[1:] or study.sets:
        selection = pick(study.sets, name, "sets").selection
        prepare_set(study, name, choose(study, manifest, selection)[selection])


if __name__ == "__main__":  # `python -m srstudy.sets.cut curated-5k-32`
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
