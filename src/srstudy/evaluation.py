"""Judging a generator on test photographs, with bicubic in the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from srstudy.config import Study
from srstudy.degrade import SCALE, crop_to_multiple, downscale, upscale
from srstudy.errors import StudyError
from srstudy.images import list_images, read_rgb, write_png
from srstudy.manifest import open_manifest, usable
from srstudy.metrics import colour, fidelity, sharpness
from srstudy.perceptual import perceptual_distance

BICUBIC = "bicubic"


def test_images(study: Study, test_set: str | Path | None = None) -> dict[str, np.ndarray]:
    """HR test images by name: those of the study (its centres, when the profile says so), or a folder of images,
    whose path is absolute or starts at the project's folder.

    Images are cut to a multiple of 4; gray ones become RGB. Raises StudyError for an empty folder, or an image too
    small to judge.
    """
    if test_set is not None:
        images = {path.stem: read_rgb(path) for path in list_images(study.root / test_set)}
    else:
        rows = usable(open_manifest(study.root / "data" / "manifest.csv"), "test")
        images = {
            row.id: _centre(read_rgb(study.root / row.path), study.profile.test_crop) for row in rows.itertuples()
        }
    for name, hr in images.items():
        if min(hr.shape[:2]) < 16 * SCALE:
            raise StudyError(
                f"{name}: {hr.shape[1]}x{hr.shape[0]} pixels are too few to judge; use at least {16 * SCALE}."
            )
    return {name: crop_to_multiple(hr) for name, hr in images.items()}


def _centre(image: np.ndarray, side: int | None) -> np.ndarray:
    if side is None:
        return image
    top, left = ((length - side) // 2 if length > side else 0 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def evaluate(
    images: Mapping[str, np.ndarray],
    methods: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
    keep: str | Path | None = None,
) -> pd.DataFrame:
    """Score every method (LR -> SR, uint8) and bicubic on every image; one row per image and method.

    `keep`: folder in which the SR images of the first method are written as PNG.
    """
    rows = []
    methods = {**methods, BICUBIC: upscale}
    first = next(iter(methods))
    for name, hr in tqdm(images.items(), desc="evaluating", unit="photo"):
        lr = downscale(hr)
        for method, run in methods.items():
            sr = run(lr)
            rows.append({"photo": name, "method": method, **score(hr, sr)})
            if keep is not None and method == first:
                write_png(Path(keep) / f"{name}.png", sr)
    return pd.DataFrame(rows)


def scorer(network: str) -> Callable[[np.ndarray, np.ndarray], dict[str, float]]:
    """A function (hr, sr) -> all measures, for uint8 [H, W, 3]; `network` names the VGG of the perceptual distance."""
    distance = perceptual_distance(network)
    return lambda hr, sr: {
        **fidelity(hr, sr),
        "perceptual": distance(hr, sr),
        **colour(hr, sr),
        "sharpness": sharpness(hr, sr),
    }


def captions(scores: pd.DataFrame, photo: str) -> dict[str, str]:
    """Two figures for the caption of each method's picture of a photo."""
    rows = scores[scores.photo == photo].itertuples()
    return {row.method: f"PSNR-Y {row.psnr_y:.2f} dB\nVGG16-HED {row.perceptual:.3f}" for row in rows}
