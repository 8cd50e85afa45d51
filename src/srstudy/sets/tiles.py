"""A training set: HR tiles and their LR images, as two NumPy arrays on disk.

No TFRecord, because training takes tiles in a new random order in each epoch, and goes on in the middle of one. Tile
number n is at a known place of an array; TFRecord is read from the front, through a buffer that a resumed run has not.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE, crop_to_multiple, downscale, resize
from srstudy.files import replacing
from srstudy.photos.archives import open_archive
from srstudy.photos.images import decode, read_rgb
from srstudy.photos.sources import listed_files, locate, sample_photos
from srstudy.settings import GRID_LR, SAMPLE
from srstudy.study import Run, Study


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
    written, not mapped: where a disk is full, writing into a mapped file kills the process, and this raises StudyError.
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
    try:
        return Tiles(*(np.load(Path(folder) / name, mmap_mode="r") for name in ("hr.npy", "lr.npy")))
    except FileNotFoundError:
        name = Path(folder).name
        raise StudyError(f"{folder}: this training set is not prepared yet; run `dvc repro cut@{name}`.") from None
    except (ValueError, OSError, EOFError) as error:
        way_out = f"run `dvc repro -f -s cut@{Path(folder).name}`"
        raise StudyError(f"{folder}: damaged training set ({error}); {way_out}.") from error


def training_tiles(study: Study, run: Run) -> Tiles:
    """The tiles that a run trains on. Raises StudyError if its set is not prepared yet, or as `scaled_tiles` does."""
    if run.tile_set is None:
        return scaled_tiles(training_photos(study, run.recipe.photographs), run.recipe.scales)
    return open_tiles(study.folder("data") / "prepared" / run.tile_set)


def training_photos(study: Study, sources: Sequence[str]) -> list[np.ndarray]:
    """The training photographs, uint8 [H, W, 3], of data/sample (SAMPLE) and of sources that list their files, whatever
    the profile.

    Raises StudyError for a source without any, a table or photograph that can't be read, and as `locate` does.
    """
    photos = []
    for name in sources:
        if name == SAMPLE:
            photos += sample_training_photos(study.root)
            continue
        archive, rows = open_archive(locate(study, name)), listed_files(study.root, name, study.data.sources[name])
        files = rows.file[rows.split == "train"]
        if files.empty:
            raise StudyError(f"data.sources.{name}: its list has no photograph of the split train; add some.")
        photos += [decode(archive.read(file), f"{archive.path}: '{file}'") for file in files]
    return photos


def sample_training_photos(root: Path) -> list[np.ndarray]:
    """The training photographs of data/sample, uint8 [H, W, 3]."""
    return [read_rgb(root / photo.path) for photo in sample_photos(root) if photo.split == "train"]


def scaled_tiles(photos: Sequence[np.ndarray], scales: Sequence[float] = (1.0,)) -> Tiles:
    """Photographs, uint8 [H, W, 3], as tiles of GRID_LR.

    Each is resized by each of the `scales`, and cut where it is then large enough: more detail to a tile, from the same
    photographs (FSRCNN, Dong et al. 2016, arXiv:1608.00367, 4.1). Raises StudyError if none is at any.
    """
    side = SCALE * GRID_LR
    large = ((photo, factor) for factor in scales for photo in photos if round(min(photo.shape[:2]) * factor) >= side)
    return grid_tiles((resize(photo, factor) for photo, factor in large), side)


def grid_tiles(photos: Iterable[np.ndarray], hr_size: int) -> Tiles:
    """Cover every photo (uint8 [H, W, 3]) with tiles, overlapping as little as they can; too small ones are left out.

    LR is made from the whole photo and then cut, so a tile's border knows its surroundings, as it does when a whole
    photo is enhanced. Raises StudyError if no photo is large enough.
    """
    hr_tiles, lr_tiles, size = [], [], hr_size // SCALE
    for hr in (crop_to_multiple(photo) for photo in photos if min(photo.shape[:2]) >= hr_size):
        lr = downscale(hr)
        tops, lefts = (np.linspace(0, side - size, -(-side // size)).round().astype(int) for side in lr.shape[:2])
        for top, left in product(tops, lefts):
            lr_tiles.append(lr[top : top + size, left : left + size])
            hr_tiles.append(hr[SCALE * top : SCALE * top + hr_size, SCALE * left : SCALE * left + hr_size])
    if not hr_tiles:
        raise StudyError(f"no photograph is as large as a tile of {hr_size}x{hr_size}; choose larger scales.")
    return Tiles(hr=np.stack(hr_tiles), lr=np.stack(lr_tiles))
