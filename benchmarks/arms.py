"""What a released model gains by its network and each part of its recipe, at equal time: `python benchmarks/arms.py`.

Each arm trains for so many seconds by the recipe of `recommended-psnr` with what BASE and then ARMS change, under one
schedule over these seconds, and is judged on the validation photographs of data/sample, on no test photograph.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

import pandas as pd

from srstudy import runtime
from srstudy.parsing import merge, parse
from srstudy.settings import Recipe
from srstudy.study import load_study

PHOTOGRAPHS = ["sample", "mirflickr_600", "imagenet_250", "street"]
SMALL = {"filters": 32, "blocks": 6}  # the smallest network, which makes most steps in the time
BASE = {"photographs": PHOTOGRAPHS, "scales": [1.0, 0.8, 0.65, 0.5], "crop": 32, "generator": SMALL}
ARMS = {
    "residual 32x6": {},
    "residual 64x8": {"generator": {"filters": 64, "blocks": 8}},
    "span 32x6": {"generator": {"kind": "span"}},
    "span 48x6": {"generator": {"kind": "span", "filters": 48}},
    "crop 24": {"crop": 24},
    "crop 48": {"crop": 48},
    "frequency loss 0.05": {"loss_weights": {"frequency": 0.05}},
    "momenta 0.9, 0.9": {"momenta": [0.9, 0.9]},
    "twice the rate": {"learning_rate": 2.0e-3},
    "half the rate": {"learning_rate": 5.0e-4},
    "batch 32": {"batch_size": 32},
    "averages 0.99": {"ema": 0.99},
    "the sample alone": {"photographs": ["sample"]},
    "photographs at one scale": {"scales": [1.0]},
}
SPEED = 60  # steps that tell how fast an arm is


def main() -> int:
    """Train the arms one after the other, print a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of training, for each arm")
    parser.add_argument("--arms", nargs="*", choices=[*ARMS], default=[*ARMS])
    parser.add_argument("--precision", help="in place of the recipe's, such as float32 where bfloat16 is slow")
    options, study = parser.parse_args(), load_study("sample")
    runtime.start(study.seed)
    from srstudy.judge.evaluate import sample_images
    from srstudy.judge.validation import Validation
    from srstudy.sets.tiles import training_tiles
    from srstudy.train.ablation import history_of, seconds_of
    from srstudy.train.model import build_generator

    base = merge(study.run("recommended-psnr").recipe.model_dump(), BASE)
    base = merge(base, {"precision": options.precision} if options.precision else {})
    recipes = parse(dict[str, Recipe], {name: merge(base, ARMS[name]) for name in options.arms}, "arms")
    photos, rows, kept = sample_images(study, "validation"), [], {}
    for name, recipe in recipes.items():
        run, key = replace(study.run("recommended-psnr"), recipe=recipe), (recipe.photographs, recipe.scales)
        kept = kept if key in kept else {key: training_tiles(study, run)}
        pace = seconds_of(history_of(run, kept[key], study.training, SPEED)) / SPEED
        steps = round(options.seconds / pace)
        validation = Validation(photos, build_generator(recipe.generator), study.evaluation.statistics)
        history = history_of(run, kept[key], study.training, steps, validation)
        pixels = steps * recipe.batch_size * recipe.crop**2 / 1e9
        last = history[-1]
        rows.append((name, steps, seconds_of(history), pixels, last["psnr_y"], last["perceptual"]))
        columns = ["arm", "steps", "seconds", "G LR px", "PSNR-Y", "distance"]
        table = pd.DataFrame(rows, columns=columns).round(4)
        print(table.tail(1).to_string(index=False, header=len(rows) == 1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
