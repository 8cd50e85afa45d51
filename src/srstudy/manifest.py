"""What is in the photographs: one row of facts each, and the reason why one is left out."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.color import rgb2gray, rgb2lab
from tqdm import tqdm

from srstudy.degrade import SCALE
from srstudy.errors import StudyError
from srstudy.images import read_rgb
from srstudy.sources import SPLITS, Photo


def scan(photos: Iterable[Photo], root: Path, lr_size: int) -> pd.DataFrame:
    """Read every photo; return a row each: its `Photo` fields, width, height, mean_l, mean_a, mean_b (CIELAB), contrast
    (standard deviation of luma, 8-bit levels) and `excluded` (the reason, or empty).

    A photo is excluded when it can't be read, or is smaller than the HR tile of 4*`lr_size` pixels.
    Raises StudyError when nothing is left in the training or the test split.
    """
    photos = list(photos)
    with ThreadPoolExecutor() as pool:
        facts = list(
            tqdm(
                pool.map(lambda photo: _facts(root / photo.path, SCALE * lr_size), photos),
                total=len(photos),
                desc="scanning",
            )
        )
    rows = [{**asdict(photo), "path": photo.path.as_posix(), **fact} for photo, fact in zip(photos, facts)]
    manifest = pd.DataFrame(rows)
    for split in ("train", "test"):
        if not len(usable(manifest, split)):
            reasons = "; ".join(sorted(set(manifest.excluded[manifest.split == split]))) or "none listed"
            raise StudyError(
                f"no usable photograph in the {split} split ({reasons}); add photographs or choose a smaller lr_size."
            )
    return manifest


def usable(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of one split that are not excluded."""
    return manifest[(manifest.split == split) & (manifest.excluded == "")]


def open_manifest(path: str | Path) -> pd.DataFrame:
    """Read a manifest of `scan`. Raises StudyError if it is missing."""
    if not Path(path).is_file():
        raise StudyError(f"{path}: no manifest yet; run `dvc repro data`.")
    return pd.read_csv(path, keep_default_na=False)


def by_source(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts per source: photographs, of these excluded, per split, and what they show."""
    rows = []
    for source, group in manifest.groupby("source"):
        splits = {split: int((group.split == split).sum()) for split in SPLITS}
        contents = ", ".join(
            f"{name} {count}" for name, count in group.content.value_counts(sort=False).sort_index().items()
        )
        rows.append(
            {
                "source": source,
                "photographs": len(group),
                "excluded": int((group.excluded != "").sum()),
                **splits,
                "contents": contents,
            }
        )
    return pd.DataFrame(rows)


def _facts(path: Path, hr_size: int) -> dict[str, object]:
    unknown = {"width": 0, "height": 0, "mean_l": 0.0, "mean_a": 0.0, "mean_b": 0.0, "contrast": 0.0}
    try:
        pixels = read_rgb(path)
    except StudyError as error:
        return {**unknown, "excluded": str(error).removeprefix(f"{path}: ").split(";")[0]}
    height, width = pixels.shape[:2]
    # Every fourth pixel is enough for means, and keeps the scan bound by decoding.
    coarse = pixels[::SCALE, ::SCALE]
    lightness, a, b = rgb2lab(coarse).reshape(-1, 3).mean(axis=0)
    small = f"smaller than the HR tile of {hr_size}x{hr_size}" if min(height, width) < hr_size else ""
    return {
        "width": width, "height": height, "mean_l": lightness, "mean_a": a, "mean_b": b,
        "contrast": 255 * float(np.std(rgb2gray(coarse))), "excluded": small,
    }  # fmt: skip
