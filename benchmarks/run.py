"""`make bench`: both sides of every comparison in one go, in turn, as ratios; writes `benchmarks/results.csv`.

Each side runs in a process of its own, and the two take turns, so that a machine that slows down slows both. The
ratio is that of the medians over all rounds: above 1, the study is faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Comparison:
    """One row of the table: the study's side against another's, on LR images of `lr_side` in batches of `batch`."""

    what: str
    ours: str
    other: str
    lr_side: int
    batch: int
    rounds: int  # calls timed in each turn


COMPARISONS = [
    *(
        Comparison(f"training step, {4 * side} px, batch {batch}", "ours-step", "torch-step", side, batch, rounds)
        for side, batch, rounds in ((32, 1, 8), (32, 8, 4), (64, 1, 4))
    ),
    Comparison("training step, 128 px, batch 1", "ours-step", "tutorial-step", 32, 1, 8),
]


def main() -> int:
    """Run the comparisons whose name contains the argument, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="?", default="", help="part of a comparison's name, or of a side's")
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for comparison in COMPARISONS:
        if options.only not in f"{comparison.what} {comparison.other}":
            continue
        rows.append(compare(comparison, options.turns))
        print(pd.DataFrame(rows).to_string(index=False), flush=True)
    if not options.only:
        table = pd.DataFrame(rows)
        table.to_csv(HERE / "results.csv", index=False, lineterminator="\n")
        print(f"\nwritten to benchmarks/results.csv; {platform.processor() or platform.machine()}")
    return 0


def compare(comparison: Comparison, turns: int) -> dict[str, object]:
    """Run both sides in turn; a row of the table."""
    names = (comparison.ours, comparison.other)
    seconds, peak = {name: [] for name in names}, dict.fromkeys(names, 0.0)
    for _ in range(turns):
        for name in names:
            found = run_side(name, comparison)
            seconds[name] += found["seconds"]
            peak[name] = max(peak[name], found["peak_gb"])
    ours, other = (float(np.median(seconds[name])) for name in names)
    return {
        "what": comparison.what,
        "against": comparison.other,
        "ours (s)": round(ours, 3),
        "other (s)": round(other, 3),
        "ratio": round(other / ours, 2),
        "ours (GB)": round(peak[comparison.ours], 2),
        "other (GB)": round(peak[comparison.other], 2),
    }


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
