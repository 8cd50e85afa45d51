"""All that LPIPS, DISTS, NIQE, FID and KID say of one folder of SR images, each figure with its protocol.

`python -m srstudy.judge.folders reports/sr/RUN` prints it against the study's test photographs; `--help` says more.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from srstudy import StudyError
from srstudy.files import sha256, write_csv
from srstudy.judge.distributions import fid, kid, moments, network
from srstudy.judge.evaluate import Images, test_images
from srstudy.judge.learned import BACKBONES, learned_distance
from srstudy.judge.naturalness import niqe
from srstudy.photos.images import read_rgb, readable_images
from srstudy.study import load_study


def protocols() -> dict[str, str]:
    """What `protocols.md` says of each metric, or network of FID and KID, as one line."""
    text = Path(__file__).with_name("protocols.md").read_text(encoding="utf-8")
    head, _, *rows = ([cell.strip() for cell in line.split("|")] for line in text.splitlines() if line.startswith("|"))
    return {row[1]: "; ".join(f"{name}: {cell}" for name, cell in zip(head[2:], row[2:]) if cell) for row in rows}


def judge_folder(
    folder: Path, hr: Mapping[str, np.ndarray], name: str = "hed-vgg16", patch: int | None = 64,
    weights: Mapping[str, Path] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """A row for each metric of the SR images in a folder against HR of the same names: columns metric, value, spread
    (of KID over its subsets, else over images), samples, protocol. Where a metric can't be had, this says why.

    `name`: the network of FID and KID; `patch`: px a side of their samples, None for whole images; `weights`: files by
    network (`name`, "alexnet", "vgg16", "niqe"). Raises StudyError for a missing SR image, and a wrong `name` or file.
    """
    weights, told, rows, paths = weights or {}, protocols(), [], readable_images(folder)[0]
    known = (name, *dict.fromkeys(BACKBONES.values()), "niqe")
    if unknown := [network for network in weights if network not in known]:
        raise StudyError(f"weights of '{unknown[0]}': nothing here takes them; choose of {', '.join(known)}.")
    if lost := [image for image in hr if image not in paths]:
        raise StudyError(
            f"{folder}: no SR image '{lost[0]}'; give the folder of a run that was judged on these HR images."
        )
    sr = Images({image: partial(read_rgb, paths[image]) for image in hr})
    vectors = network(name, weights.get(name))
    sides = [moments(images.values(), vectors, patch) for images in (hr, sr)]
    samples = f"{name}, patches of {patch} px" if patch else name
    jobs = {
        f"FID ({samples})": (name, lambda _: (fid(*sides), np.nan, sides[1].count)),
        f"KID ({samples})": (name, lambda _: (*kid(*sides), sides[1].count)),
        **{
            metric: (metric, lambda m: mean(learned_distance(m, weights.get(BACKBONES[m])), hr, sr))
            for metric in BACKBONES
        },
        "niqe": ("niqe", lambda _: mean(partial(niqe, weights=weights.get("niqe")), sr)),
    }
    for metric, (protocol, figures) in jobs.items():
        file = weights.get(BACKBONES.get(protocol, protocol))
        try:
            found, digest = figures(metric), file and sha256(file)
            rows.append((metric, *found, told[protocol] + (f"; SHA-256 of the given file: {digest}" if file else "")))
        except StudyError as error:
            rows.append((metric, np.nan, np.nan, 0, str(error)))
    return pd.DataFrame(rows, columns=["metric", "value", "spread", "samples", "protocol"])


def mean(measure: Callable, *sides: Mapping[str, np.ndarray]) -> tuple[float, float, int]:
    """Mean and standard deviation of a measure over images, and how many they are."""
    values = [measure(*images) for images in zip(*(side.values() for side in sides))]
    return float(np.mean(values)), float(np.std(values)), len(values)


def main() -> None:
    """Print the table, and write it where `--csv` says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="SR images, such as reports/sr/RUN")
    parser.add_argument("--hr", help="folder of their HR images, or a source of params.yaml; else the study's own")
    parser.add_argument(
        "--network", default="hed-vgg16", help="of FID and KID: hed-vgg16, inception-2015, inception-keras"
    )
    parser.add_argument("--patch", type=int, default=64, help="px a side of FID's and KID's samples; 0: whole images")
    parser.add_argument(
        "--weights", nargs="*", default=[], metavar="NAME=FILE", help="of a network, alexnet, vgg16, niqe"
    )
    parser.add_argument("--csv", type=Path, help="file for the table")
    parser.add_argument("--profile", help="whose test photographs the SR images are of; else that of params.yaml")
    options = parser.parse_args()
    weights = {name: Path(file) for name, _, file in (given.partition("=") for given in options.weights)}
    hr = test_images(load_study(options.profile), options.hr)
    table = judge_folder(options.folder, hr, options.network, options.patch or None, weights)
    if options.csv:
        write_csv(options.csv, table)
    for row in table.itertuples():
        figures = f"{row.value:.4f} ± {row.spread:.4f} over {row.samples}" if row.samples else "-"
        print(f"{row.metric}: {figures}\n    {row.protocol}")


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
