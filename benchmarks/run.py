"""`make bench`: both sides of every comparison in one go, in turn, as ratios.

Each side runs in a process of its own, and the two take turns, so that a machine that slows down slows both. The
ratio is that of the medians over all rounds: above 1, the study is faster; beside it stands how far the turns are
apart. All of them together write `results.csv` and its table in README.md, and `hours.csv`: hours of the paper's runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from publish import publish

from srstudy.study import load_study

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Comparison:
    """One row of the table: the study's side against another's, on LR images of `lr_side` in batches of `batch`."""

    what: str
    ours: str
    other: str | None  # None: a figure of our own, for what nothing else does
    lr_side: int
    batch: int
    rounds: int  # calls timed in each turn


STEP = "SRGAN training step"
STEPS = [("torch-step", 32, 1, 8), ("torch-step", 32, 8, 4), ("torch-step", 64, 1, 4)]
STEPS += [("tutorial-step", 32, 1, 8), ("tutorial-default-step", 32, 1, 8)]
STEPS += [("without-onednn-step", 32, 8, 4), ("xla-step", 32, 8, 4), ("bfloat16-step", 32, 8, 4)]
STEPS += [("keras-adam-step", 32, 1, 8)]
IN_BFLOAT16 = [("torch-bfloat16-step", 32, 1, 8), ("torch-bfloat16-step", 32, 8, 4)]
RUNTIMES = ("torch-inference", "onnx-inference", "openvino-inference")
COMPARISONS = [
    *(Comparison(STEP, "ours-step", other, *sizes) for other, *sizes in STEPS),
    *(Comparison("the same in bfloat16", "bfloat16-step", other, *sizes) for other, *sizes in IN_BFLOAT16),
    *(
        Comparison("generator inference", "ours-inference", other, side, 1, rounds)
        for side, rounds in ((32, 30), (64, 15))
        for other in RUNTIMES
    ),
    Comparison("generator inference", "ours-inference", "without-onednn-inference", 64, 1, 15),
    Comparison("generator inference", "ours-inference", "plain-conv-inference", 64, 1, 15),
    Comparison("step fed by the input pipeline", "ours-fed-step", "memory-fed-step", 24, 16, 60),
    Comparison("input pipeline alone, random crops and flips", "ours-input", None, 24, 16, 500),
    Comparison("prepare stage, augmented tiles", "ours-prepare", None, 64, 32, 3),
]


def main() -> int:
    """Run the comparisons whose name contains the argument, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a comparison's name, or of a side's")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    rows = []
    for comparison in COMPARISONS:
        if options.only in f"{comparison.what} {comparison.ours} {comparison.other}":
            rows.append(compare(comparison, options.turns))
            print(pd.DataFrame(rows[-1:]).to_string(index=False, header=len(rows) == 1, na_rep="-"), flush=True)
    if not options.only:
        publish("results", pd.DataFrame(rows))
        publish("hours", hours(pd.DataFrame(rows)))
        machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
        print(f"\nwritten to results.csv and README.md: {machine}")
    return 0


def compare(comparison: Comparison, turns: int) -> dict[str, object]:
    """Run both sides in turn; a row of the table."""
    names = list(filter(None, (comparison.ours, comparison.other)))
    turns_of, peak = {name: [] for name in names}, dict.fromkeys(names, 0.0)
    for _ in range(turns):
        for name in names:
            found = run_side(name, comparison)
            turns_of[name].append(found["seconds"])
            peak[name] = max(peak[name], found["peak_gb"])
    medians = [float(np.median(np.concatenate(turns_of[name]))) for name in names]
    by_turn = [np.array([np.median(seconds) for seconds in turns_of[name]]) for name in names]
    row = {
        "what": comparison.what,
        "against": comparison.other,
        "LR px": comparison.lr_side,
        "batch": comparison.batch,
        "images/s": round(comparison.batch / medians[0], 2),
        "by turn": spread(comparison.batch / by_turn[0]),
        "other images/s": None,
        "ratio": None,
        "ratio by turn": None,
        "GB": round(peak[comparison.ours], 2),
        "other GB": None,
    }
    if comparison.other:
        row["other images/s"] = round(comparison.batch / medians[1], 2)
        row["ratio"] = round(medians[1] / medians[0], 2)
        row["ratio by turn"] = spread(by_turn[1] / by_turn[0])
        row["other GB"] = round(peak[comparison.other], 2)
    return row


def spread(values: np.ndarray) -> str:
    """The least and the most of a figure over the turns."""
    return f"{values.min():.2f} to {values.max():.2f}"


def hours(results: pd.DataFrame) -> pd.DataFrame:
    """How long the paper's runs, at their own size, would take at the rates of `results`."""
    study, rows = load_study("paper"), []
    steps = results[results.what == STEP]
    for name, variant in study.variants.items():
        run, lr_side = study.run(name), study.sets[variant.set].lr_size
        batch_size = run.recipe.batch_size
        rates = steps["images/s"][(steps["LR px"] == lr_side) & (steps.batch == batch_size)]
        if variant.recipe == "srgan" and len(rates):
            images = run.steps * batch_size
            hours = images / rates.median() / 3600
            rows.append({"run": name, "LR px": lr_side, "images": images, "hours": round(hours, 1)})
    return pd.DataFrame(rows)


def run_side(name: str, comparison: Comparison) -> dict[str, object]:
    """One turn of one side, in a process of its own."""
    arguments = [name, *map(str, (comparison.lr_side, comparison.batch, comparison.rounds))]
    done = subprocess.run(
        [sys.executable, str(HERE / "sides.py"), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"benchmarks: side '{name}' failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
