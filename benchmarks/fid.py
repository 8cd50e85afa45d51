"""FID beside pytorch-fid: images a second of the same network, and whether memory grows with the number of images.

`python benchmarks/fid.py speed`: both sides take turns, each in a process of its own, over the same PNG files with the
same random weights and all cores; pytorch-fid takes batches of 50, its default, and of as many as ours.
`python benchmarks/fid.py memory`: the peak of our side over 1,000 and over 10,000 images. Both need
`pip install srstudy[metrics] pytorch-fid==0.3.0`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from PIL import Image
from timing import peak_bytes

from srstudy.judge.distributions import BATCH, frechet, moments, network
from srstudy.photos.images import read_rgb

WEIGHTS = "inception.pth"
FIGURES = ["images/s", "seconds in all", "GB", "FID"]


def main() -> None:
    """All turns, or the one that `--side` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("--images", type=int, nargs="*", help="of each of two halves: 512; memory: 1000 10000")
    parser.add_argument("--turns", type=int, help="3 for speed, 1 for memory")
    parser.add_argument("--px", type=int, default=64, help="side of an image")
    parser.add_argument("--side", choices=[*SIDES], help="one turn in this process")
    parser.add_argument("--folder", type=Path, help="of that turn")
    options = parser.parse_args()
    speed = options.what == "speed"
    counts = options.images or ([512] if speed else [1_000, 10_000])
    if options.side:
        print(*one_turn(SIDES[options.side], options.folder, counts[0]))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), max(counts), options.px)
        torch.save(random_inception(), Path(folder) / WEIGHTS)
        for _ in range(options.turns or (3 if speed else 1)):
            for side in SIDES if speed else ["ours"]:
                for count in counts:
                    rows.append((side, count, *in_a_process(side, folder, count)))
                    print(
                        pd.DataFrame(rows[-1:], columns=["side", "images", *FIGURES]).to_string(index=False), flush=True
                    )
    found = pd.DataFrame(rows, columns=["side", "images", *FIGURES]).groupby(["side", "images"])[FIGURES].median()
    if speed:
        print(f"\nours over theirs:\n{(found.xs('ours') / found.drop('ours')).round(3).to_string()}")
    else:
        print(f"\nGB over the least:\n{(found.GB / found.GB.iloc[0]).round(3).to_string()}")


def in_a_process(side: str, folder: str, count: int) -> list[float]:
    """`FIGURES` of one turn."""
    arguments = ["speed", "--side", side, "--folder", folder, "--images", str(count)]
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmarks: {side} failed:\n{done.stderr[-2000:]}")
    return [float(figure) for figure in done.stdout.split()[-len(FIGURES) :]]


def one_turn(side: Callable, folder: Path, count: int) -> tuple[float, ...]:
    """`FIGURES`: the rate is that from files to vectors; all is with the network's start and the distance."""
    start = time.perf_counter()
    halves = [sorted((folder / half).glob("*.png"))[:count] for half in HALVES]
    value, seconds = side(halves, folder / WEIGHTS)
    return 2 * count / seconds, time.perf_counter() - start, peak_bytes() / 2**30, value


def ours(halves: list[list[Path]], weights: Path) -> tuple[float, float]:
    """FID, and seconds from files to mean and covariance."""
    vectors = network("inception-2015", weights)
    start = time.perf_counter()
    first, second = (moments(map(read_rgb, paths), vectors) for paths in halves)
    seconds = time.perf_counter() - start
    return frechet(first.mean, first.covariance, second.mean, second.covariance), seconds


def theirs(halves: list[list[Path]], weights: Path, batch: int = 50) -> tuple[float, float]:
    """The same by pytorch-fid; its workers are as many as its command would take."""
    from pytorch_fid import fid_score, inception

    with patch.object(inception, "load_state_dict_from_url", lambda *_, **__: torch.load(weights)):
        model = inception.InceptionV3([3])
    start = time.perf_counter()
    options = {"batch_size": batch, "num_workers": min(os.cpu_count(), 8)}
    sides = [fid_score.calculate_activation_statistics(paths, model, **options) for paths in halves]
    seconds = time.perf_counter() - start
    return fid_score.calculate_frechet_distance(*sides[0], *sides[1]), seconds


SIDES = {"ours": ours, "pytorch-fid": theirs, "pytorch-fid, our batches": partial(theirs, batch=BATCH)}
HALVES = ("sharp", "coarse")


def write_images(folder: Path, count: int, side: int) -> None:
    """Noise of two kinds as PNG."""
    random = np.random.default_rng(0)
    for half, step in zip(HALVES, (1, 4)):
        (folder / half).mkdir()
        for number in range(count):
            noise = random.integers(0, 256, (side // step, side // step, 3), np.uint8)
            image = noise.repeat(step, axis=0).repeat(step, axis=1)
            Image.fromarray(image).save(folder / half / f"{number:05}.png", compress_level=1)


def random_inception() -> dict[str, torch.Tensor]:
    """Weights of the Inception of 2015 that keep the size of what goes through: tiny numbers would slow a processor."""
    from pytorch_fid import inception

    torch.manual_seed(0)
    with patch.object(torch.nn.Module, "load_state_dict"), patch.object(inception, "load_state_dict_from_url"):
        network = inception.fid_inception_v3()
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    return network.state_dict()


if __name__ == "__main__":
    main()
