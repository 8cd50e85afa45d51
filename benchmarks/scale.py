"""10,000 and 70,000 images scanned and prepared: how fast, in how much memory, and what an interruption costs.

`python benchmarks/scale.py` generates the images, re-encoded crops of the sample's photographs and hard links to them,
in a temporary folder, which takes up to 16 GB, and writes `scale.csv` and its table in README.md. Beside the scan, a
loop over the files on one core that computes the same facts with Pillow, SciPy and scikit-image, as one would write it
at first.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from PIL import Image, ImageOps
from publish import publish
from scipy.fft import dctn
from scipy.ndimage import laplace
from scipy.signal import convolve2d, welch
from skimage.color import rgb2gray, rgb2lab

from srstudy.photos import scan
from srstudy.photos.facts import facts_of
from srstudy.photos.manifest import open_manifest
from srstudy.sets.cut import cut_set
from srstudy.sets.tiles import writing_tiles
from srstudy.settings import TileSet
from srstudy.study import load_study

HERE = Path(__file__).resolve().parent
SIZE = 500, 375  # as most of MirFlickr and of ImageNet
PLAIN = 1000  # files of the plain loop


def main() -> int:
    """Parse the command line; measure each size, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 70_000], help="numbers of images")
    parser.add_argument("--distinct", type=int, default=3000, help="of these, files that are no hard links")
    parser.add_argument("--inside", nargs=2, help="used inside: what to do with the images of which folder")
    options = parser.parse_args()
    if options.inside:
        part, folder = options.inside
        print(json.dumps({"scan": scanned, "prepare": prepared}[part](Path(folder))))
        return 0
    rows = []
    for count in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            files = generate(Path(folder) / "images", count, min(count, options.distinct))
            rows.append({"images": count, **measured(Path(folder), files)})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).round(1)
    if set(options.sizes) == {10_000, 70_000}:
        publish("scale", table)
    return 0


def generate(folder: Path, count: int, distinct: int) -> list[Path]:
    """`count` JPEGs in subfolders of a thousand, of which the first `distinct` are files of their own."""
    random = np.random.default_rng(2023)
    photos = [Image.open(path).convert("RGB") for path in sorted((HERE.parent / "data/sample/photos").glob("*.jpg"))]
    paths = [folder / f"{number // 1000:03}" / f"{number:06}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if number >= distinct:
            os.link(paths[number % distinct], path)
            continue
        photo = photos[number % len(photos)]
        side = random.uniform(0.5, 1)  # of the photograph's
        width, height = int(side * photo.width), int(side * photo.height)
        left, top = random.integers(photo.width - width + 1), random.integers(photo.height - height + 1)
        crop = photo.crop((left, top, left + width, top + height)).resize(SIZE, Image.Resampling.LANCZOS)
        crop.save(path, quality=int(random.integers(60, 96)))
    return paths


def measured(folder: Path, files: list[Path]) -> dict[str, object]:
    """Scan the images whole, again with a kill in its midst, and some by the plain loop; then prepare them."""
    out, parts = folder / "scan.parquet", folder / ".scan.part"
    process = start("scan", folder)
    memory = peak_memory(process)
    whole, content = json.loads(process.communicate()[0]), out.read_bytes()
    shutil.rmtree(parts)

    process = start("scan", folder)
    while len(list(parts.glob("[!.]*.parquet"))) < len(files) // scan.CHUNK // 2:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    kept = sum(len(pd.read_parquet(path, columns=["id"])) for path in parts.glob("[!.]*.parquet"))
    resumed = json.loads(start("scan", folder).communicate()[0])
    rate, plain = len(files) / whole["seconds"], plain_rate(files[:PLAIN])
    pd.read_parquet(out).drop(columns="thumbnail").to_parquet(folder / "manifest.parquet")
    process = start("prepare", folder)
    preparing = peak_memory(process)
    tiles = json.loads(process.communicate()[0])
    return {
        "images/s": rate, "cores": os.cpu_count(), "images/s a core": rate / os.cpu_count(),
        "peak memory, MB": memory / 1e6, "saved when killed": kept,
        "of these looked at again": kept + resumed["files"] - len(files), "equal bytes": out.read_bytes() == content,
        "plain loop on one core, images/s": plain, "ratio": rate / plain,
        "tiles/s": tiles["tiles"] / tiles["seconds"], "peak memory of prepare, MB": preparing / 1e6,
    }  # fmt: skip


def start(part: str, folder: Path) -> subprocess.Popen:
    """Scan or prepare `folder`/images in a process of its own."""
    command = [sys.executable, __file__, "--inside", part, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def scanned(folder: Path) -> dict[str, float]:
    """Scan, and say in how many seconds and at how many files was looked."""
    begun, now = time.perf_counter(), time.time_ns()
    scan.scan_source("images", folder / "images", "*", load_study().data.scan, folder / "scan.parquet", folder)
    seconds = time.perf_counter() - begun
    written = [path for path in (folder / ".scan.part").glob("[!.]*.parquet") if path.stat().st_mtime_ns > now]
    return {"files": sum(len(pd.read_parquet(path, columns=["id"])) for path in written), "seconds": seconds}


def prepared(folder: Path) -> dict[str, float]:
    """Cut a tile of 256 px from each image in the manifest, and say in how many seconds."""
    study, rows = replace(load_study(), root=folder), open_manifest(folder / "manifest.parquet")
    tiles = TileSet(selection="curated", images="paper-10k", lr_size=64, augment=False)
    begun = time.perf_counter()
    with writing_tiles(folder / "tiles", len(rows), tiles.lr_size) as write:
        for _, hr, lr in cut_set(study, rows, tiles, len(rows)):
            write(hr, lr)
    return {"tiles": len(rows), "seconds": time.perf_counter() - begun}


def peak_memory(process: subprocess.Popen) -> int:
    """Most bytes in the memory of a process and its children together while it runs; shared pages count for each."""
    tree, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        used = 0
        for member in [tree, *tree.children(recursive=True)]:
            try:
                used += member.memory_info().rss
            except psutil.NoSuchProcess:  # it has just ended
                continue
        peak = max(peak, used)
        time.sleep(0.1)
    return peak


def plain_rate(files: list[Path]) -> float:
    """Files per second of the plain loop. Raises SystemExit if its facts are not those of the scan."""
    begun = time.perf_counter()
    facts = [plain_facts(path.read_bytes()) for path in files]
    seconds = time.perf_counter() - begun
    for path, fact in zip(files, facts[:20]):
        ours = facts_of(path.read_bytes(), path.name, 512)
        for name, value in fact.items():
            theirs = ours[name]
            same = value == theirs if isinstance(value, str) else math.isclose(value, theirs, abs_tol=1e-3)
            if not same:
                sys.exit(f"{path.name}: the plain loop finds {name} {value}, the scan {theirs}")
    return len(files) / seconds


def plain_facts(content: bytes) -> dict[str, object]:
    """The facts of a photograph no larger than the scan's window, by the libraries' own functions."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    coarse = np.asarray(image)[::4, ::4]
    lightness, a, b = rgb2lab(coarse).mean(axis=(0, 1))
    red, green, blue = coarse.astype(float).transpose(2, 0, 1)
    opponents = red - green, (red + green) / 2 - blue
    luma = np.asarray(image.convert("L")).astype(float)
    rest = convolve2d(luma, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]], mode="valid")
    energy = 0
    for lines in (luma[::8], luma.T[::8]):
        mean = welch(lines, window="hann", nperseg=64, noverlap=0, detrend=False)[1]
        energy = energy + mean.sum(axis=0) * (lines.shape[1] // 64)
    energy[-1] *= 2  # welch counts frequencies on both sides of 0, of which Nyquist has one
    small = image.resize((32, 32), Image.Resampling.BOX, reducing_gap=2.0).convert("L")
    low = dctn(np.asarray(small).astype(float), norm="ortho")[1:9, 1:9].round(4)
    return {
        "sha256": hashlib.sha256(content).hexdigest(), "width": image.width, "height": image.height,
        "phash": np.packbits(low > np.median(low)).tobytes().hex(),
        "focus": laplace(luma)[1:-1, 1:-1].var(), "noise": np.median(np.abs(rest)) / (6 * 0.67449),
        "mean_l": lightness, "mean_a": a, "mean_b": b, "contrast": 255 * rgb2gray(coarse).std(),
        "colourfulness": np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents)),
        "upscaled": energy[5:17].sum() / energy[5:].sum(),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
