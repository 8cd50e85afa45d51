"""How fast the tool enlarges, in how much memory, at what cost: `python benchmarks/enhance.py PART ...`.

Parts: `speed` (a clip and a 1080p picture, in turn with commit c16d4b7's Enhancer), `large` (peak memory of 4K and
12 megapixels), `largest` (of 200), `hour` (memory over an hour's clip), `many` (over 1,000 pictures), `view` (what mode
view costs against evidence, on folders of HR pictures: --hr), `agree` (tiled against whole, evidence against Keras).
Each side runs in a process of its own. The rows go to enhance.csv, in place of those of the same kind of processor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "enhance.csv"
BEFORE = "c16d4b7"  # the last commit before the study's rooms were built anew
PARTS = ("speed", "large", "largest", "hour", "many", "view", "agree")
COLUMNS = ["part", "processor", "what", "model", "measured", "figure"]


def main() -> int:
    """Run the parts that are named, print their rows and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--hr", nargs="*", type=Path, default=[], help="folders of HR pictures, for view")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--model", default="fast", help="of clips and large pictures")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, *arguments = options.child
        print(json.dumps(CHILDREN[name](*arguments)))
        return 0
    here = processor()
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts or PARTS:
            found = globals()[part](Path(folder), options)
            new = pd.DataFrame([(part, here, *row) for row in found], columns=COLUMNS).astype(str)
            print(new.to_string(index=False, header=False), flush=True)
            kept = pd.read_csv(TABLE, dtype=str) if TABLE.is_file() else new[:0]
            kept = kept[~kept.part.isin(new.part) | (kept.processor != here)]
            pd.concat([kept, new]).to_csv(TABLE, index=False, lineterminator="\n")
    return 0


def processor() -> str:
    """What mode view's arithmetic depends on."""
    from srstudy.enhance.engine import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "with bfloat16" if "BF16" in able else "without bfloat16"


def child(name: str, *arguments: object, root: Path = ROOT) -> dict:
    """What one of CHILDREN prints, run by the code in `root`."""
    path = os.pathsep.join([str(root / "src"), str(ROOT / "benchmarks")])
    command = [sys.executable, str(Path(__file__)), "--child", name, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks: {name} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def speed(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """Frames a second of a whole clip, decoded and encoded, and seconds of a picture; beside the code before."""
    before = folder / "before"
    archive = subprocess.run(
        ["git", "archive", BEFORE, "src", "models/released"], cwd=ROOT, capture_output=True, check=True
    )
    before.mkdir()
    subprocess.run(["tar", "x"], cwd=before, input=archive.stdout, check=True)
    clip, picture = small_clip(folder / "small.mp4"), enlarged_photo(folder / "full.png", 1920, 1080)
    found: dict[str, list[dict]] = {}
    for _ in range(options.turns):
        found.setdefault("clip", []).append(child("clip", clip, options.model))
        found.setdefault("frames before", []).append(child("enhancer", before, "", 40, root=before))
        found.setdefault("photo psnr", []).append(child("photo", picture, "psnr", 3))
        found.setdefault("photo before", []).append(child("enhancer", before, picture, 2, root=before))
    second = {name: float(np.median([one["seconds"] for one in some])) for name, some in found.items()}
    peak = {name: max(one["peak_gb"] for one in some) for name, some in found.items()}
    small, full = "192x144 -> 768x576", "1920x1080 -> 7680x4320"
    name = Path(options.model).stem
    rows = [(small, name, "frames/s, decoded and encoded", f"{1 / second['clip']:.1f}")]
    rows += [(small, f"{BEFORE}'s Enhancer", "frames/s, neither", f"{1 / second['frames before']:.1f}")]
    rows += [(small, name, f"times {BEFORE}", f"{second['frames before'] / second['clip']:.1f}")]
    rows += [(full, "psnr", "seconds, PNG written", f"{second['photo psnr']:.2f}")]
    rows += [(full, "psnr", "peak GB", f"{peak['photo psnr']:.2f}")]
    rows += [(full, f"{BEFORE}'s Enhancer", "seconds, PNG written", f"{second['photo before']:.2f}")]
    rows += [(full, f"{BEFORE}'s Enhancer", "peak GB", f"{peak['photo before']:.2f}")]
    return [*rows, (full, "psnr", f"times {BEFORE}", f"{second['photo before'] / second['photo psnr']:.1f}")]


def large(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """Peak memory and seconds of pictures that phones and cameras make."""
    rows = []
    for name, width, height in (("4K frame", 3840, 2160), ("12 megapixels", 4000, 3000)):
        rows += large_rows(name, enlarged_photo(folder / f"{width}.jpg", width, height), options.model)
    return rows


def largest(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """The same of the largest pictures that telephones make."""
    return large_rows("200 megapixels", enlarged_photo(folder / "200.jpg", 16320, 12240), options.model)


def large_rows(name: str, picture: Path, model: str) -> list[tuple]:
    found, model = child("photo", picture, model), Path(model).stem
    return [(name, model, "peak GB", f"{found['peak_gb']:.2f}"), (name, model, "seconds", f"{found['seconds']:.0f}")]


def hour(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """Memory at the end of an hour's clip by that after its first minute of work."""
    clip = small_clip(folder / "hour.mp4", 90_000, 16, 16)
    return over_time_row("an hour's clip, 90,000 frames of 16x16", "hour", clip, options.model)


def many(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """The same of a folder of pictures, of forty sizes."""
    for number in range(1000):
        enlarged_photo(folder / "many" / f"{number:03}.png", 96 + number // 25, 96)
    return over_time_row("1,000 pictures", "many", folder / "many", options.model)


def over_time_row(what: str, name: str, path: Path, model: str) -> list[tuple]:
    ratio = child(name, path, model)["ratio"]
    return [(what, Path(model).stem, "memory at the end by that after a minute", f"{ratio:.3f}")]


def view(folder: Path, options: argparse.Namespace) -> list[tuple]:
    """PSNR-Y of mode evidence less that of view, in dB."""
    from srstudy.enhance.models import names

    rows = []
    for hr in options.hr:
        for model in names():
            found = child("quality", hr, model)
            rows.append((hr.parent.name, model, "PSNR-Y of evidence, dB", f"{found['evidence']:.3f}"))
            rows.append((hr.parent.name, model, "less that of view, dB", f"{found['evidence'] - found['view']:.4f}"))
    return rows


def agree(_: Path, options: argparse.Namespace) -> list[tuple]:
    """The most levels between two ways to enlarge twenty photographs."""
    rows = []
    for model in ("psnr", options.model):
        for way, levels in child("agreement", model).items():
            rows.append(("20 photographs", model, f"levels, at most, {way}", str(levels)))
    return rows


def small_clip(path: Path, count: int = 300, width: int = 192, height: int = 144) -> Path:
    """Frames of the committed clip, reduced, as H.264 with 25 frames a second."""
    import av
    from PIL import Image

    with av.open(str(ROOT / "data" / "sample" / "cctv.avi")) as original:
        images = [frame.to_image().resize((width, height), Image.Resampling.BICUBIC) for frame in original.decode()]
    frames = [av.VideoFrame.from_image(image).reformat(format="yuv420p") for image in images]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(count):
            frame = frames[number % len(frames)]
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def enlarged_photo(path: Path, width: int, height: int) -> Path:
    """A photograph of the sample at this size."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(ROOT / "data" / "sample" / "photos" / "berlin-cathedral.jpg") as photo:
        photo.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(path, quality=92)
    return path


def clip_child(path: str, model: str) -> dict:
    """Seconds a frame of the whole way from file to file, without the start of Python."""
    from timing import peak_bytes

    from srstudy.enhance.engine import Engine
    from srstudy.enhance.models import find_model
    from srstudy.enhance.work import Settings, enhance

    engine = Engine(find_model(model))
    done = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        enhance(Path(path), Path(folder, "x.mp4"), Settings(model), engine, lambda n, _: done.update(n=n))
        seconds = time.perf_counter() - start
    return {"seconds": seconds / done["n"], "peak_gb": peak_bytes() / 2**30}


def photo_child(path: str, model: str, rounds: str = "1") -> dict:
    """Seconds from file to file, of the last of so many rounds, and the first one's peak of memory."""
    from timing import peak_bytes

    from srstudy.enhance.engine import Engine
    from srstudy.enhance.models import find_model
    from srstudy.enhance.work import Settings, enhance

    engine, peak = Engine(find_model(model)), 0
    for _ in range(int(rounds)):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            enhance(Path(path), Path(folder, f"x{Path(path).suffix}"), Settings(model), engine, lambda *_: None)
            seconds, peak = time.perf_counter() - start, peak or peak_bytes()
    return {"seconds": seconds, "peak_gb": peak / 2**30}


def enhancer_child(root: str, picture: str, rounds: str) -> dict:
    """Seconds of a call of the Enhancer of that commit on its `recommended-psnr`, by which people enlarged until then:
    on a frame of 192x144, or on a picture, which is read and written as its card says.
    """
    from importlib import import_module

    from PIL import Image
    from timing import timed

    from srstudy import runtime

    runtime.start(1)
    load_model = import_module("srstudy.networks.architectures").load_model
    network = load_model(Path(root, "models", "released", "recommended-psnr", "generator.keras"))
    enlarge = import_module("srstudy.networks.enhance").Enhancer(network, "image")
    lr = np.random.default_rng(0).integers(0, 256, (144, 192, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save = Path(folder, "large.png")
        whole = lambda: Image.fromarray(enlarge(np.asarray(Image.open(picture)))).save(save)  # noqa: E731
        found = timed(whole if picture else lambda: enlarge(lr), int(rounds))
    return {"seconds": float(np.median(found["seconds"])), "peak_gb": found["peak_gb"]}


def resident() -> int:
    import psutil

    return psutil.Process().memory_info().rss


def over_time(work) -> dict:
    """Memory at the end of `work()` by that after its first minute, or its first quarter if it takes less than four."""
    seen: list[tuple[float, int]] = []
    ended, start = threading.Event(), time.perf_counter()

    def watch() -> None:
        while not ended.wait(1.0):
            seen.append((time.perf_counter() - start, resident()))

    thread = threading.Thread(target=watch, daemon=True)  # else it outlives work that fails
    thread.start()
    work()
    ended.set()
    thread.join()
    total = time.perf_counter() - start
    early = [rss for at, rss in seen if at <= min(60, total / 4)][-5:]
    late = [rss for _, rss in seen][-5:]
    return {"ratio": float(np.mean(late) / np.mean(early)), "seconds": total}


def hour_child(path: str, model: str) -> dict:
    from srstudy.enhance.engine import Engine
    from srstudy.enhance.models import find_model
    from srstudy.enhance.work import Settings, enhance

    engine = Engine(find_model(model))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "x.mp4")
        return over_time(lambda: enhance(Path(path), target, Settings(model), engine, lambda *_: None))


def many_child(path: str, model: str) -> dict:
    from srstudy.enhance.command import main as command

    with tempfile.TemporaryDirectory() as folder:
        return over_time(lambda: command(["enhance", path, "-o", folder, "-n", model]))


def quality_child(folder: str, model: str) -> dict:
    """Mean PSNR-Y of both modes, LR as MATLAB makes it."""
    from srstudy.degrade.bicubic import crop_to_multiple, downscale
    from srstudy.enhance.engine import Engine
    from srstudy.enhance.models import find_model
    from srstudy.judge.metrics import inner, luma, psnr
    from srstudy.photos.images import read_rgb, readable_images

    images = [crop_to_multiple(read_rgb(path)) for path in readable_images(folder)[0].values()]
    found = {}
    for mode in ("view", "evidence"):
        enlarged = Engine(find_model(model), mode).run(map(downscale, images))
        found[mode] = float(np.mean([psnr(luma(inner(hr)), luma(inner(sr))) for hr, sr in zip(images, enlarged)]))
    return found


def agreement_child(model: str) -> dict:
    from srstudy.enhance import tiles
    from srstudy.enhance.engine import Engine
    from srstudy.enhance.models import find_model
    from srstudy.networks.architectures import load_model
    from srstudy.networks.enhance import Enhancer
    from srstudy.photos.images import read_rgb

    path = find_model(model)
    engine, keras = Engine(path, "evidence"), Enhancer(load_model(path.with_name("generator.keras")), "image")
    most = {"tiled against whole": 0, "evidence against Keras": 0}
    for photo in sorted((ROOT / "data" / "sample" / "photos").glob("*.jpg"))[::3][:20]:
        lr = read_rgb(photo)
        places = tiles.plan(*lr.shape[:2], engine.reach, 100)
        whole = next(engine.run([lr])).astype(int)
        tiled = np.concatenate([*tiles.enlarged(engine, lambda a, b: lr[a:b], places, lambda _, sr, *__: sr)])  # noqa: B023
        for way, other in zip(most, (tiled, keras(lr))):
            most[way] = max(most[way], int(np.abs(whole - other).max()))
    return most


CHILDREN = {"clip": clip_child, "photo": photo_child, "enhancer": enhancer_child, "hour": hour_child}
CHILDREN |= {"many": many_child, "quality": quality_child, "agreement": agreement_child}

if __name__ == "__main__":
    sys.exit(main())
