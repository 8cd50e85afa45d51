"""The training step of profile tenth against the code before it: `python benchmarks/tenth.py`.

Both sides train the same narrow networks by the same losses, those of the profile, LR 64 px, batch 1, each in a process
of its own, in turn. Ours is also timed with HR's features computed in each step, and with VGG19 in float32.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
BEFORE = "c16d4b7"  # the last commit before the study's rooms were built anew
LR_SIDE, TILES, ROUNDS = 64, 8, 12
SIDES = {  # what of the content loss each has in place of the profile's
    "this code": {},
    "HR features computed in each step": {"remembered": False},
    "the content network in float32": {"precision": "float32"},
}


def main() -> int:
    """Time all sides in turn, print a row each; or time one side, as the turns do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(time_side(options.side, json.loads(options.given))))
        return 0
    from srstudy.study import load_study

    recipe = load_study("tenth").recipes["srgan"]
    given = {name: getattr(recipe, name).model_dump() for name in ("generator", "discriminator", "content")}
    with tempfile.TemporaryDirectory() as folder:
        place, weights = Path(folder, "before"), Path(folder, "vgg19.npz")
        archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as file:
            file.extractall(place)
        np.savez(weights, **random_vgg())
        given["content"]["weights"] = str(weights)
        found: dict[str, list] = {}
        for _ in range(options.turns):
            for side in ("before", *SIDES):
                found.setdefault(side, []).append(turn(side, place if side == "before" else ROOT, given))
    medians = {side: np.median(np.concatenate([one["seconds"] for one in some])) for side, some in found.items()}
    rows = [
        (side, round(1 / median, 2), round(medians["before"] / median, 2), round(max(x["peak_gb"] for x in some), 2))
        for (side, some), median in zip(found.items(), medians.values())
    ]
    table = pd.DataFrame(rows, columns=["side", "images/s", f"times {BEFORE}", "GB"])
    print(table.to_string(index=False))
    from publish import publish

    publish("tenth", table)
    return 0


def turn(side: str, root: Path, given: dict[str, dict]) -> dict[str, object]:
    """One turn of a side, by the code in `root`."""
    path = os.pathsep.join([str(root / "src"), str(ROOT / "benchmarks")])
    command = [sys.executable, str(Path(__file__)), "--side", side, "--given", json.dumps(given)]
    done = subprocess.run(command, cwd=root, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks: side '{side}' failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def random_vgg() -> dict[str, np.ndarray]:
    """Weights for VGG19 up to block3_conv4 that keep the size of what goes through; their values cost no time."""
    random, arrays, before = np.random.default_rng(0), {}, 3
    for block, (filters, convs) in enumerate(zip((64, 128, 256), (2, 2, 4)), 1):
        for conv in range(1, convs + 1):
            kernel = random.normal(0, np.sqrt(2 / (9 * before)), (3, 3, before, filters)).astype("float32")
            arrays[f"block{block}_conv{conv}/kernel"] = kernel
            arrays[f"block{block}_conv{conv}/bias"] = np.zeros(filters, "float32")
            before = filters
    return arrays


def time_side(side: str, given: dict[str, dict]) -> dict[str, object]:
    """Seconds of each step, and the peak of memory."""
    from timing import timed

    from srstudy import runtime

    runtime.start(1)
    random = np.random.default_rng(0)
    lr, hr = (random.integers(0, 256, (TILES, size, size, 3), "uint8") for size in (LR_SIDE, 4 * LR_SIDE))
    with tempfile.TemporaryDirectory() as folder:
        if side == "before":
            return timed(steps_before(lr, hr, given), ROUNDS)
        return timed(steps(lr, hr, {**SIDES[side], "weights": given["content"]["weights"]}, Path(folder)), ROUNDS)


def steps(lr: np.ndarray, hr: np.ndarray, content: dict[str, object], folder: Path):
    """A function that makes the next step by this code."""
    import tensorflow as tf

    from srstudy.sets.tiles import Tiles
    from srstudy.study import load_study
    from srstudy.train.batches import batches
    from srstudy.train.known import known_features
    from srstudy.train.model import make_models
    from srstudy.train.step import Update

    run = load_study("tenth").run("srgan-10k-64-plain")
    content = run.recipe.content.model_copy(update=content)
    recipe, tiles = run.recipe.model_copy(update={"content": content}), Tiles(hr=hr, lr=lr)
    models = make_models(recipe, 4 * LR_SIDE, run.steps)
    update = Update(recipe, models, run.steps, tf.distribute.get_strategy())
    known = known_features(tiles, models.content_network, folder / "features") if content.remembered else None
    stream = iter(batches(tiles, run, known=known))
    return lambda: (update(next(stream), 1), update.sums.numpy())


def steps_before(lr: np.ndarray, hr: np.ndarray, given: dict[str, dict]):
    """The same by the code of that commit, which had no profile tenth: the paper's recipe with what is given."""
    from dataclasses import replace
    from importlib import import_module

    import tensorflow as tf

    from srstudy.train.step import Update

    make_players = import_module("srstudy.train.players").make_players
    recipe = import_module("srstudy.config").load_study("paper").recipes["srgan"]
    changed = {}
    for name, values in given.items():
        section = getattr(recipe, name)
        changed[name] = replace(section, **{key: value for key, value in values.items() if hasattr(section, key)})
    recipe = replace(recipe, **changed)
    update = Update(recipe, make_players(recipe, 4 * LR_SIDE, 1000, None), 1000, tf.distribute.get_strategy())
    batch = tf.constant(lr[:1]), tf.constant(hr[:1])
    return lambda: (update(*batch, 1), update.sums.numpy())


if __name__ == "__main__":
    sys.exit(main())
