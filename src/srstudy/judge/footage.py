"""Real footage, of which no original exists: its frames, how much synthetic LR looks like them, and enhancing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pandas as pd
from tqdm import tqdm

from srstudy.degrade.bicubic import SCALE, upscale
from srstudy.degrade.camera import degrade
from srstudy.errors import StudyError
from srstudy.judge.metrics import BICUBIC, luma
from srstudy.judge.noreference import LOOKS, looks, overlap
from srstudy.settings_camera import Camera

CLIP = Path("data") / "sample" / "cctv.avi"
FRAME = "the frame itself"
WARNING = "super-resolution invents detail: no face, person or number plate here can be identified by it"
SIDE = 64  # px of a frame's patches that are compared
FLAT_STD = 8.0  # where luma varies less, in 8-bit levels, there is nothing to measure


def read_frames(path: str | Path, count: int) -> list[np.ndarray]:
    """`count` frames spread evenly over a clip, the first and the last among them: uint8 [H, W, 3] each.

    Raises StudyError, naming the file, when it is missing, no video, or has fewer frames, or none of them has a patch
    that is not flat.
    """
    try:
        with av.open(str(path)) as container:
            total = sum(1 for _ in container.decode(video=0))
            wanted = {round(place) for place in np.linspace(0, total - 1, count)}
            container.seek(0)
            decoded = enumerate(container.decode(video=0))
            frames = [frame.to_ndarray(format="rgb24") for number, frame in decoded if number in wanted]
    except FileNotFoundError:
        raise StudyError(f"{path}: no such clip; check the path.") from None
    except (av.error.FFmpegError, IndexError) as error:
        raise StudyError(f"{path}: no video that FFmpeg can read ({error}); convert or replace it.") from error
    if len(frames) < count:
        raise StudyError(f"{path}: has only {total} frames; ask for fewer than {count}.")
    if not any(place for frame in frames for place in patches(frame)):
        raise StudyError(f"{path}: no square of {SIDE}x{SIDE} px in it has contrast; choose a larger or livelier clip.")
    return frames


def results_folder(root: Path, clip: str) -> Path:
    """Where the figures go: those of another clip than the committed one apart, in a folder of its name."""
    folder = root / "reports" / "footage"
    return folder if Path(clip) == CLIP else folder / Path(clip).stem


def patches(image: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Where the squares of `SIDE` pixels are that cover an image side by side, flat ones left out."""
    for top in range(0, image.shape[0] - SIDE + 1, SIDE):
        for left in range(0, image.shape[1] - SIDE + 1, SIDE):
            place = slice(top, top + SIDE), slice(left, left + SIDE)
            if luma(image[place]).std() >= FLAT_STD:
                yield place


def looks_of_patches(images: Iterable[np.ndarray]) -> pd.DataFrame:
    """Blockiness, noise and sharpness, a row for each patch of the images."""
    return looks(image[place] for image in images for place in patches(image))


def degraded(hrs: Iterable[np.ndarray], camera: Camera, seed: int) -> Iterator[np.ndarray]:
    """LR of HR tiles, uint8 [4s, 4s, 3] -> [s, s, 3], each by a seed of its own."""
    return (degrade(hr, camera, np.random.default_rng([seed, 6, number])) for number, hr in enumerate(hrs))


def overlaps(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """How far the figures of each group lie over those of the first, a row each."""
    (_, real), *others = groups.items()
    rows = [{"LR": name, **{look: overlap(real[look], found[look]) for look in LOOKS}} for name, found in others]
    return pd.DataFrame(rows)


def enhance(
    frames: Sequence[np.ndarray], methods: Mapping[str, Callable[[np.ndarray], np.ndarray]]
) -> dict[str, list[np.ndarray]]:
    """The frames enlarged as they are by bicubic and by each method (LR -> SR, uint8)."""
    runs = {BICUBIC: upscale, **methods}
    return {name: [run(frame) for frame in tqdm(frames, desc=name, unit="frame")] for name, run in runs.items()}


def looks_of_enhanced(frames: Sequence[np.ndarray], enhanced: Mapping[str, Sequence[np.ndarray]]) -> pd.DataFrame:
    """Mean blockiness, noise and sharpness of the same patches by each method, by pixels of the frame; a row each."""
    places = [list(patches(frame)) for frame in frames]
    rows = []
    for name, images in {FRAME: frames, **enhanced}.items():
        scale = 1 if name == FRAME else SCALE
        cut = (_enlarged(image, place, scale) for image, some in zip(images, places) for place in some)
        rows.append({"method": name, **looks(cut, scale).mean().to_dict()})
    return pd.DataFrame(rows)


def crops(frame: np.ndarray, enhanced: Mapping[str, np.ndarray], count: int) -> list[dict[str, np.ndarray]]:
    """The `count` patches of a frame with most contrast, as it is and by each method."""
    places = sorted(patches(frame), key=lambda place: -luma(frame[place]).std())[:count]
    return [
        {FRAME: frame[place], **{name: _enlarged(image, place, SCALE) for name, image in enhanced.items()}}
        for place in places
    ]


def _enlarged(image: np.ndarray, place: tuple[slice, slice], scale: int) -> np.ndarray:
    return image[tuple(slice(scale * part.start, scale * part.stop) for part in place)]
