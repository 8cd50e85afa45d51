"""From photographs to a training set: which photographs, where to cut, how to augment (paper IV-B, IV-D)."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from srstudy.degrade import SCALE, downscale
from srstudy.errors import StudyError
from srstudy.images import read_rgb
from srstudy.settings import Augmentation, Data, Selection, TileSet
from srstudy.tiles import Tiles

ATTEMPTS = 50  # places or transforms tried before giving up on a photograph


def select(train: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """Rows of the manifest that a selection admits. Raises StudyError for an unknown column, or if none is left."""
    rows = train
    if selection.source is not None:
        rows = rows[rows.source == selection.source]
    if selection.highest is not None:
        if selection.highest not in rows or not pd.api.types.is_numeric_dtype(rows[selection.highest]):
            raise StudyError(f"selections: '{selection.highest}' is no numeric column of the manifest.")
        keep = max(1, round(selection.share * len(rows)))
        rows = rows.sort_values([selection.highest, "id"], ascending=[False, True]).head(keep)
    if not len(rows):
        raise StudyError(f"selections: no training photograph satisfies {selection}; loosen it.")
    return rows.sort_values("id")


def cut_set(
    rows: pd.DataFrame, tile_set: TileSet, count: int, data: Data, seed: int, root: Path, largest: int
) -> tuple[Tiles, list[str]]:
    """Cut `count` tiles from the photographs in `rows`; return them with the photo id of each.

    Photographs take turns over the sources, one tile a turn; tile number n of a photograph is cut around the same
    centre in every set, whatever its size (`largest` is the largest LR size of the study). So the smaller of two
    sets is contained in the larger, and 32 and 64 pixels show the same things. Tiles flatter than
    `data.flat_std` are skipped.
    Raises StudyError when every photograph is too flat.
    """

    @lru_cache(maxsize=8)
    def read(path: str) -> np.ndarray:
        return read_rgb(root / path)

    hr, ids = [], []
    with tqdm(total=count, desc="cutting", unit="tile") as bar:
        for row, number in _turns(rows, seed, count):
            tile = cut_tile(read(row.path), row.id, number, tile_set, data, seed, SCALE * largest)
            if tile is not None:
                hr.append(tile)
                ids.append(row.id)
                bar.update()
            if len(hr) == count:
                break
    if len(hr) < count:
        raise StudyError(f"only {len(hr)} of {count} tiles are not flat; lower data.flat_std or add photographs.")
    return Tiles(hr=np.stack(hr), lr=np.stack([downscale(tile) for tile in hr])), ids


def _turns(rows: pd.DataFrame, seed: int, count: int) -> Iterator[tuple[object, int]]:
    """(photograph, tile number) in turn: sources alternate, so that a curated set is balanced over them."""
    random = np.random.default_rng([seed, 2])
    queues = [random.permutation(len(group)) for _, group in rows.groupby("source")]
    groups = [list(group.itertuples()) for _, group in rows.groupby("source")]
    for turn in range(2 * count + ATTEMPTS):
        for queue, group in zip(queues, groups):
            number, place = divmod(turn, len(group))
            yield group[queue[place]], number


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
