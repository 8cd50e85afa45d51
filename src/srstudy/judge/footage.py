"""Real footage, of which no original exists: its frames, measures that need none, and how much synthetic LR is like it.

The measures describe, and do not judge: a picture with more detail may be a worse one.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE
from srstudy.files import own_folder, resolved
from srstudy.judge.metrics import luma, ratio
from srstudy.photos import clips
from srstudy.photos.facts import noise

CLIP = Path("data") / "sample" / "cctv.avi"
FRAME = "the frame itself"
WARNING = "super-resolution invents detail: no face, person or number plate here can be identified by it"
SIDE = 64  # px of a frame's patches that are compared
FLAT_STD = 8.0  # where luma varies less, in 8-bit levels, there is nothing to measure
BLOCK = 8  # px a side of a codec's blocks
BINS = 20  # of a histogram
Place = tuple[slice, slice]


def read_frames(path: str | Path, count: int) -> list[np.ndarray]:
    """`count` frames spread evenly over a clip, the first and the last among them: uint8 [H, W, 3] each.

    Raises StudyError, naming the file, when it is missing, no video, has fewer frames, or all their patches are flat.
    """
    frames = clips.read_frames(path, count)
    if not any(map(patches, frames)):
        raise StudyError(f"{path}: no square of {SIDE}x{SIDE} px in it has contrast; choose a larger or livelier clip.")
    return frames


def results_folder(root: Path, clip: str | Path) -> Path:
    """Where the figures go: those of another clip than the committed one in a folder of its name, see `own_folder`."""
    folder, clip = root / "reports" / "footage", resolved(root, clip)
    return folder if clip == resolved(root, CLIP) else own_folder(folder / clip.stem, clip)


def patches(image: np.ndarray) -> list[Place]:
    """Where the squares of `SIDE` pixels are that cover an image side by side, flat ones left out."""
    tops, lefts = (range(0, length - SIDE + 1, SIDE) for length in image.shape[:2])
    places = [(slice(top, top + SIDE), slice(left, left + SIDE)) for top in tops for left in lefts]
    return [place for place in places if luma(image[place]).std() >= FLAT_STD]


def blockiness(grey: np.ndarray) -> float:
    """Mean step between neighbouring pixels of luma [H, W] across a grid of 8, over that elsewhere; 1 without a grid.

    The grid may begin anywhere: rows and columns each count where the figure is largest, and the two are averaged. So a
    picture without a grid has somewhat more than 1.
    """
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        on = [steps[start::BLOCK].mean() for start in range(BLOCK)]
        best = int(np.argmax(on))
        ratios.append(ratio(on[best], np.delete(steps, np.s_[best::BLOCK]).mean()))
    return float(np.mean(ratios))


def frequency(grey: np.ndarray) -> float:
    """Root-mean-square spatial frequency of luma [H, W], in radians per pixel: its slope over its standard deviation.

    Contrast cancels out. A sine wave of frequency f has 2 sin(f / 2).
    """
    slope = np.mean(np.diff(grey, axis=0) ** 2) + np.mean(np.diff(grey, axis=1) ** 2)
    return float(np.sqrt(slope) / max(grey.std(), 1e-9))


def no_reference_measures(images: Iterable[np.ndarray], scale: int = 1) -> pd.DataFrame:
    """Blockiness, noise and frequency of the luma of images, uint8 [H, W, 3]; a row each.

    Of images that were enlarged `scale` times, all are by pixels of what they were before: blockiness and noise are
    what is left of both in means of `scale` x `scale` pixels.
    """
    rows = []
    for image in images:
        reduced = luma(np.asarray(Image.fromarray(image).reduce(scale)))
        rows.append((blockiness(reduced), noise(reduced), scale * frequency(luma(image))))
    return pd.DataFrame(rows, columns=["blockiness", "noise", "frequency"])


def measures_of_patches(images: Iterable[np.ndarray]) -> pd.DataFrame:
    """The measures of each patch of the images that is not flat; a row each."""
    return no_reference_measures(image[place] for image in images for place in patches(image))


def overlaps(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How far the measures of each group overlap those of the first, a row each."""
    (_, real), *others = groups.items()
    return pd.DataFrame([{"LR": name, **{key: overlap(real[key], rows[key]) for key in real}} for name, rows in others])


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection of two distributions' histograms, 0 to 1 where they are equal (Swain and Ballard 1991).

    20 bins from the 1st to the 99th percentile of both together; what lies beyond is in the outer bins.
    """
    low, high = np.percentile(np.concatenate([one, other]), [1, 99])
    edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
    shares = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values) for values in (one, other)]
    return float(np.minimum(*shares).sum())


def measures_of_enlarged(frame: np.ndarray, enlarged: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The measures of the same patches of a frame as it is and by each method, named in `method`; a row a patch."""
    tables = [measures_of_patches([frame]).assign(method=FRAME)]
    for name, image in enlarged.items():
        cut = (image[_scaled(place)] for place in patches(frame))
        tables.append(no_reference_measures(cut, SCALE).assign(method=name))
    return pd.concat(tables)


def crops(frame: np.ndarray, enlarged: Mapping[str, np.ndarray], count: int) -> list[dict[str, np.ndarray]]:
    """The `count` patches of a frame with most contrast, as it is and by each method; fewer if it has fewer."""
    places = sorted(patches(frame), key=lambda place: -luma(frame[place]).std())[:count]
    return [{FRAME: frame[at], **{name: image[_scaled(at)] for name, image in enlarged.items()}} for at in places]


def _scaled(place: Place) -> Place:
    """The place in an image that was enlarged."""
    return tuple(slice(SCALE * part.start, SCALE * part.stop) for part in place)
