"""Tiny runs in processes of their own, as every run of the study is: `python -m tests.apart FOLDER NAME RECIPE ...`.

Within one process, what ran before may change the order in which TensorFlow adds up a sum.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd


class Apart:
    """Runs of `tests.apart` on the same tiles, in one folder."""

    def __init__(self, folder: Path, root: Path):
        self.folder, self._root = folder, root

    def start(self, name: str, recipe: str, *options: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.apart", str(self.folder), name, recipe, *options]
        return subprocess.Popen(
            command, cwd=self._root, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def files(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name).rglob("*") if path.is_file()}

    def history(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / name / "history.csv")


def finish(process: subprocess.Popen) -> str:
    """Wait for the end of a process; what it said on stderr, if it ended well."""
    _, said = process.communicate()
    assert process.returncode == 0, said[-2000:]
    return said


def main() -> None:
    """Train on the tiles in FOLDER; leave models, history and events in FOLDER/NAME."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("recipe")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--epoch", type=int, default=8, help="steps of one")
    parser.add_argument("--change", type=json.loads, default={}, help="keys of the recipe")
    parser.add_argument("--set", type=json.loads, default={}, help="keys of the training settings")
    parser.add_argument("--devices", type=int, default=1, help="the CPU cut into so many")
    options = parser.parse_args()

    from srstudy import runtime

    runtime.start(7)
    import tensorflow as tf

    if options.devices > 1:
        [cpu] = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * options.devices)

    from tests.tiny import RECIPES, SETTINGS, changed, run_of

    from srstudy.files import write_csv, write_json
    from srstudy.networks.enhance import Enhancer
    from srstudy.sets.tiles import open_tiles
    from srstudy.study import load_study
    from srstudy.train.fit import train
    from srstudy.train.model import build_generator

    recipe, settings = changed(RECIPES[options.recipe], **options.change), changed(SETTINGS, **options.set)
    tiles, checkpoints = open_tiles(options.folder / "tiles"), options.folder / f"{options.name}-checkpoints"
    camera = load_study().degradations.get(recipe.degradation)
    own = {"checkpoints": checkpoints, "snapshot_step": 2, "camera": camera, "epoch_steps": options.epoch}
    run = run_of(recipe, options.folder, options.steps, **own)
    enhance = Enhancer(build_generator(recipe.generator), "image")

    def validation(weights):
        enhance.generator.set_weights(weights)
        srs = {"first": enhance(tiles.lr[0]), "last": enhance(tiles.lr[-1])}
        return {"brightness": float(sum(sr.mean() for sr in srs.values()))}, srs

    validation.identity = ("first", "last")
    trained = train(run, tiles, settings, validation)
    folder = options.folder / options.name
    trained.save(folder)
    if runtime.is_chief():
        write_csv(folder / "history.csv", pd.DataFrame(trained.history).drop(columns="seconds"))
        write_json(folder / "run.json", {"complete": trained.complete, "step": trained.step})
    print("done", os.getpid(), flush=True)


if __name__ == "__main__":
    main()
