"""Is a model better than bicubic whatever made the small picture? `python -m srstudy.judge.ways RUN ...` measures it.

A model learns from LR of one kind. People's pictures were made small by all kinds of programs, and stored in files that
lose detail: on these, a model may do worse than plain bicubic enlargement of the same LR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from srstudy import StudyError, runtime
from srstudy.degrade.bicubic import downscale
from srstudy.degrade.signal import add_noise, jpeg, reduce, webp
from srstudy.files import sha256, write_csv
from srstudy.settings import BICUBIC
from srstudy.study import load_study

if TYPE_CHECKING:
    from srstudy.judge.evaluate import Method

SHOWN = ["psnr_y", "perceptual"]


def _stored(hr: np.ndarray, file: Callable[[np.ndarray, int], np.ndarray], quality: int) -> np.ndarray:
    return file(downscale(hr), quality)


def _noisy(hr: np.ndarray) -> np.ndarray:
    return add_noise(downscale(hr), 4000.0, 3.0, np.random.default_rng(0))


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "MATLAB, bicubic": downscale,
    "mean of 4x4 pixels": partial(reduce, kernel="box"),
    "Pillow, bilinear": partial(reduce, kernel="bilinear"),
    "Pillow, Lanczos": partial(reduce, kernel="lanczos"),
    "OpenCV, linear": partial(reduce, kernel="sampled_linear"),
    "OpenCV, cubic": partial(reduce, kernel="sampled_cubic"),
    **{f"bicubic, JPEG {quality}": partial(_stored, file=jpeg, quality=quality) for quality in (95, 75, 50, 30)},
    "bicubic, WebP 75": partial(_stored, file=webp, quality=75),
    "bicubic, a sensor's noise": _noisy,
}


def measured(images: Mapping[str, np.ndarray], methods: list[Method]) -> pd.DataFrame:
    """Means over HR images for each of WAYS, bicubic and each method: columns way, run, psnr_y (dB), perceptual.

    `bicubic` is the enlargement of the very LR that the methods get.
    """
    from srstudy.judge.evaluate import evaluate  # which imports TensorFlow; `main` sets it up first

    tables = []
    for way, make in WAYS.items():
        scores = evaluate(images, methods, lr_of=lambda _, hr, make=make: make(hr))
        means = scores.groupby("run", sort=False)[SHOWN].mean().reset_index()
        tables.append(means.assign(way=way))
    return pd.concat(tables, ignore_index=True)[["way", "run", *SHOWN]]


def beside_bicubic(table: pd.DataFrame, run: str) -> pd.DataFrame:
    """What a card shows of `measured`, as text: a row for each way, the run's figures beside bicubic's."""
    rows = []
    for way, part in table.groupby("way", sort=False):
        own, plain = (part[part.run == name].iloc[0] for name in (run, BICUBIC))
        by = {"PSNR": own.psnr_y < plain.psnr_y, "distance": own.perceptual > plain.perceptual}
        worse = [measure for measure, is_worse in by.items() if is_worse]
        figures = (f"{plain.psnr_y:.2f}", f"{own.psnr_y:.2f}", f"{plain.perceptual:.4f}", f"{own.perceptual:.4f}")
        rows.append((way, *figures, f"worse by {' and '.join(worse)}" if worse else "better"))
    columns = ["how the small picture was made", "PSNR-Y, bicubic", "PSNR-Y", "distance, bicubic", "distance", "it is"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Measure runs, the released models where none is named, and write `ways/RUN.csv` beside their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", help="names in params.yaml; else all released models")
    parser.add_argument("--test-set", help="folder of HR images; else the test photographs of data/sample")
    options, study = parser.parse_args(), load_study()
    runtime.start(study.seed)
    from srstudy.judge.evaluate import methods_of, reports_folder, sample_images, test_images

    images = test_images(study, options.test_set) if options.test_set else sample_images(study, "test")
    for reason in getattr(images, "left_out", ()):
        print(reason, file=sys.stderr)
    for run in study.named(options.runs or list(study.released)).values():
        table = measured(images, methods_of(study, run)[:1]).assign(model=sha256(run.generator))
        write_csv(reports_folder(study, options.test_set) / "ways" / f"{run.name}.csv", table)
        print(beside_bicubic(table, run.name).to_string(index=False))


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
