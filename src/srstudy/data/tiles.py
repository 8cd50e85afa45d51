"""A training set: HR tiles and their LR images, as two arrays on disk.

NumPy's format rather than TFRecord: training takes tiles in a new random order in each epoch, and goes on in the middle
of one. That needs tile number n at once, which in an array is at a known place of a mapped file; TFRecord is read from
the front, and shuffled through a buffer that a resumed run can't have again. Two files hold any number of tiles, every
language reads them, and raw pixels cost no decoding; a PNG of a tile would save a third of the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srstudy.config import Study
from srstudy.data.images import read_rgb
from srstudy.data.sources import sample_photos
from srstudy.degrade.bicubic import SCALE, crop_to_multiple, downscale, resize
from srstudy.errors import StudyError
from srstudy.files import replacing
from srstudy.settings import GRID_LR


@dataclass(frozen=True)
class Tiles:
    """HR uint8 [N, S, S, 3] and its LR uint8 [N, S/4, S/4, 3]; in memory, or mapped from a file."""

    hr: np.ndarray
    lr: np.ndarray

    def __len__(self) -> int:
        return len(self.hr)


@contextmanager
def writing_tiles(folder: str | Path, count: int, lr_size: int) -> Iterator[Callable[[np.ndarray, np.ndarray], None]]:
    """Give a function that appends one tile, HR uint8 [S, S, 3] and LR uint8 [S/4, S/4, 3], to a set of `count`.

    The set takes the place of `folder` when the block ends, whole or not at all. No tile stays in memory. The files are
    written, not mapped: where a disk is full, writing into a mapped file kills the process.
    Raises StudyError when the disk is full.
    """
    with replacing(folder) as temporary:
        temporary.mkdir()
        with (temporary / "hr.npy").open("wb") as hr_file, (temporary / "lr.npy").open("wb") as lr_file:
            for file, side in ((hr_file, SCALE * lr_size), (lr_file, lr_size)):
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
                np.lib.format.write_array_header_1_0(file, header)

            def write(hr: np.ndarray, lr: np.ndarray) -> None:
                hr_file.write(hr.tobytes())
                lr_file.write(lr.tobytes())

            yield write


def open_tiles(folder: str | Path) -> Tiles:
    """Map a prepared set without reading it into memory. Raises StudyError if it is missing or damaged."""
    folder = Path(folder)
    try:
        return Tiles(hr=np.load(folder / "hr.npy", mmap_mode="r"), lr=np.load(folder / "lr.npy", mmap_mode="r"))
    except FileNotFoundError:
        raise StudyError(f"{folder}: this training set is not prepared yet; run `dvc repro prepare`.") from None
    except (ValueError, OSError, EOFError) as error:
        raise StudyError(f"{folder}: damaged training set ({error}); run `dvc repro -f prepare`.") from error


def grid_tiles(photos: list[np.ndarray], hr_size: int) -> Tiles:
    """Cover every photo (uint8 [H, W, 3]) with tiles, overlapping as little as they can.

    LR is made from the whole photo and then cut, so a tile's border knows its surroundings, as it does
    when a whole photo is enhanced. Photos smaller than a tile are left out.
    Raises StudyError if that leaves none.
    """
    hr_tiles, lr_tiles = [], []
    for photo in photos:
        hr = crop_to_multiple(photo)
        lr = downscale(hr)
        size = hr_size // SCALE
        for top in _starts(lr.shape[0], size):
            for left in _starts(lr.shape[1], size):
                lr_tiles.append(lr[top : top + size, left : left + size])
                top_hr, left_hr = top * SCALE, left * SCALE
                hr_tiles.append(hr[top_hr : top_hr + hr_size, left_hr : left_hr + hr_size])
    if not hr_tiles:
        raise StudyError(
            f"no photograph is as large as a tile of {hr_size}x{hr_size}; choose a smaller lr_size, or larger scales."
        )
    return Tiles(hr=np.stack(hr_tiles), lr=np.stack(lr_tiles))


def _starts(length: int, size: int) -> list[int]:
    if length < size:
        return []
    count = -(-length // size)
    return [round(start) for start in np.linspace(0, length - size, count)]


def training_tiles(study: Study, name: str) -> Tiles:
    """The tiles that a variant, a warm start or a released model trains on.

    Raises StudyError if the variant's set is not prepared yet, or all `scales` of the others are too small.
    """
    if name in study.on_sample:
        return sample_tiles(study.root, study.recipe(name).scales)
    return open_tiles(study.root / "data" / "prepared" / study.variant(name).set)


def sample_tiles(root: Path, scales: Sequence[float] = (1.0,)) -> Tiles:
    """All training photographs of `data/sample` as tiles, whatever the profile; nothing is prepared for them.

    With several `scales` each photograph is resized by each of these factors, and cut where it is large enough: more
    detail to a tile, from the same photographs (FSRCNN, Dong et al. 2016, arXiv:1608.00367, 4.1).
    Raises StudyError if none is large enough at any.
    """
    photos = [read_rgb(root / photo.path) for photo in sample_photos(root) if photo.split == "train"]
    side = SCALE * GRID_LR
    pairs = [(photo, factor) for factor in scales for photo in photos]
    sized = [resize(photo, factor) for photo, factor in pairs if round(min(photo.shape[:2]) * factor) >= side]
    return grid_tiles(sized, side)
