"""From photographs to training sets: where to cut, how to augment (paper IV-B, IV-D)."""

from __future__ import annotations

import math
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage.color import rgb2lab
from tqdm import tqdm

from srstudy.config import Study
from srstudy.data.images import read_photo
from srstudy.data.selections import selection_ids
from srstudy.data.tiles import writing_tiles
from srstudy.degrade.bicubic import SCALE, downscale
from srstudy.errors import StudyError
from srstudy.files import replacing, write_csv
from srstudy.settings import Augmentation, Data, TileSet

ATTEMPTS = 50  # places or transforms tried before giving up on a photograph
BATCH = 256  # turns taken together: their tiles, 50 MB of 256 px, are in memory at once


@dataclass(frozen=True)
class Cut:
    """One tile: the id of its photograph, HR uint8 [S, S, 3], LR uint8 [S/4, S/4, 3]."""

    id: str
    hr: np.ndarray
    lr: np.ndarray


def prepare_sets(study: Study, selections: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Cut every set of the study into `data/prepared`, all or none, beside `selections.csv`, the ids of each selection,
    and `tiles.csv`, the id of the photograph that each tile of a set is of.

    Returns a row for each set: how many tiles, of how many photographs, their sides, the mean colour of the LR tiles.
    Raises StudyError as `cut_set` does, or when the disk is full.
    """
    summary, tiles = [], []
    with replacing(study.root / "data" / "prepared") as folder:
        write_csv(folder / "selections.csv", selection_ids(selections))
        for name, tile_set in study.sets.items():
            rows, count = selections[tile_set.selection], study.images(name)
            ids, colours = [], []
            with writing_tiles(folder / name, count, tile_set.lr_size) as write:
                for cut in cut_set(rows, tile_set, count, study.data, study.seed, study.root, study.largest_lr_size):
                    write(cut.hr, cut.lr)
                    ids.append(cut.id)
                    colours.append(rgb2lab(cut.lr).mean(axis=(0, 1)))
            _, a, b = np.mean(colours, axis=0)
            sides = {"LR px": tile_set.lr_size, "HR px": SCALE * tile_set.lr_size}
            colour = {"mean a*": f"{a:.1f}", "mean b*": f"{b:.1f}"}
            summary.append({"set": name, "tiles": count, "photographs": len(set(ids)), **sides, **colour})
            tiles.append(pd.DataFrame({"set": name, "tile": range(count), "id": ids}))
        write_csv(folder / "tiles.csv", pd.concat(tiles))
    return pd.DataFrame(summary)


def cut_set(
    rows: pd.DataFrame, tile_set: TileSet, count: int, data: Data, seed: int, root: Path, largest: int
) -> Iterator[Cut]:
    """Cut `count` tiles from the photographs in `rows`, one after the other; a batch of them is in memory at a time.

    Photographs take turns over the sources, one tile a turn; tile number n of a photograph is cut around the same
    centre in every set, whatever its size (`largest` is the largest LR size of the study). So the smaller of two
    sets is contained in the larger, and 32 and 64 pixels show the same things. Tiles flatter than
    `data.flat_std` are skipped.
    Raises StudyError when the photographs have too few places that are not flat.
    """

    def cut_photo(turns: list[tuple[int, object, int]]) -> list[tuple[int, Cut]]:
        """Place in the batch and tile of one photograph's turns, decoded once for all; flat ones left out."""
        row = turns[0][1]
        photo = read_photo(root, row)
        tiles = {place: cut_tile(photo, row.id, n, tile_set, data, seed, SCALE * largest) for place, _, n in turns}
        return [(place, Cut(row.id, hr, downscale(hr))) for place, hr in tiles.items() if hr is not None]

    turns, missing = _turns(rows, seed, count), count
    description = f"{tile_set.selection}, {tile_set.lr_size} px"
    # Threads, because they start at once, and decoding, NumPy and SciPy run side by side in them. Pillow's transform,
    # most of the work of an augmented tile, does not; processes would pay from tens of thousands of such tiles on.
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=count, desc=description, unit="tile") as bar:
        while batch := list(islice(turns, min(missing, BATCH))):
            by_photo = defaultdict(list)
            chosen, numbers = zip(*batch)
            for place, (row, number) in enumerate(zip(rows.iloc[list(chosen)].itertuples(), numbers)):
                by_photo[row.id].append((place, row, number))
            found = {}
            for cuts in pool.map(cut_photo, by_photo.values()):
                found.update(cuts)
                bar.update(len(cuts))
            yield from (found[place] for place in sorted(found))
            missing -= len(found)
    if missing:
        raise StudyError(
            f"the profile's selections.{tile_set.selection}: only {count - missing} of {count} tiles are not flat; "
            "admit more photographs or lower data.flat_std."
        )


def _turns(rows: pd.DataFrame, seed: int, count: int) -> Iterator[tuple[int, int]]:
    """(position of a photograph in `rows`, tile number) in turn: sources alternate, so that a curated set is balanced
    over them.
    """
    random = np.random.default_rng([seed, 2])
    queues = [random.permutation(positions) for _, positions in sorted(rows.groupby("source").indices.items())]
    for turn in range(2 * count + ATTEMPTS):
        for queue in queues:
            number, place = divmod(turn, len(queue))
            yield int(queue[place]), number


def cut_tile(
    photo: np.ndarray, id: str, number: int, tile_set: TileSet, data: Data, seed: int, largest: int
) -> np.ndarray | None:
    """HR tile uint8 [4*lr_size, 4*lr_size, 3] of a photograph, or None if no place in it is lively enough.

    Augmentation (paper IV-D) turns, shears and shifts the tile within its photograph, so that no corner is ever empty.
    It resamples the HR image, and so softens it a little.
    """
    size = SCALE * tile_set.lr_size
    random = np.random.default_rng([seed, 3, zlib.crc32(id.encode()), number])
    centre = _lively_centre(photo, largest, data.flat_std, random)
    if centre is None:
        return None
    if not tile_set.augment:
        top, left = centre[0] - size // 2, centre[1] - size // 2
        return photo[top : top + size, left : left + size].copy()  # a view would keep the whole photograph
    return _augmented(photo, centre, size, data.augmentation, random)


def _lively_centre(
    photo: np.ndarray, largest: int, flat_std: float, random: np.random.Generator
) -> tuple[int, int] | None:
    """A place where the largest tile fits and the inner half of it is not flat.

    The rule is the same for tiles of all sizes, so that sets of 32 and of 64 px show the same places.
    """
    height, width = photo.shape[:2]
    half, core = largest // 2, largest // 4
    for _ in range(ATTEMPTS):
        row, column = random.integers(half, height - half + 1), random.integers(half, width - half + 1)
        window = photo[row - core : row + core, column - core : column + core]
        if (window @ np.array([0.299, 0.587, 0.114])).std() >= flat_std:
            return int(row), int(column)
    return None


def _augmented(
    photo: np.ndarray, centre: tuple[int, int], size: int, limits: Augmentation, random: np.random.Generator
) -> np.ndarray:
    """The tile around `centre`, turned, sheared and shifted; less and less, until all of it lies inside the photo.

    So large tiles near an edge are augmented less than small ones (a reading, listed in the report).
    """
    angle, shear, down, right = random.uniform(-1, 1, 4)
    for strength in np.linspace(1, 0, ATTEMPTS):
        turn = math.radians(strength * angle * limits.rotation)
        slant = math.tan(math.radians(strength * shear * limits.shear))
        rotate = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        matrix = rotate @ np.array([[1, slant], [0, 1]])
        middle = np.array(
            [
                centre[1] + strength * right * limits.translation * size,
                centre[0] + strength * down * limits.translation * size,
            ]
        )
        corners = (np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * size / 2) @ matrix.T + middle
        # two pixels of margin: the bicubic kernel must not reach over the border
        if (corners >= 2).all() and (corners <= np.array([photo.shape[1], photo.shape[0]]) - 2).all():
            offset = middle - matrix @ np.array([size / 2, size / 2])
            affine = (matrix[0, 0], matrix[0, 1], offset[0], matrix[1, 0], matrix[1, 1], offset[1])
            # As floats: on 8 bits Pillow cuts fractions off, which darkens by half a level.
            channels = [
                Image.fromarray(photo[..., channel].astype(np.float32)).transform(
                    (size, size), Image.Transform.AFFINE, affine, Image.Resampling.BICUBIC
                )
                for channel in range(3)
            ]
            return np.floor(np.stack(channels, axis=-1) + 0.5).clip(0, 255).astype(np.uint8)
    top, left = centre[0] - size // 2, centre[1] - size // 2  # the tile touches the border
    return photo[top : top + size, left : left + size]
