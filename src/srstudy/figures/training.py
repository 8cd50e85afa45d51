"""The pictures of one run: its history, its speed, and what it makes of validation photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from srstudy.data.images import read_rgb
from srstudy.figures.common import PLAIN, spread, subplots, titled
from srstudy.judge.metrics import RATES

HISTORY = {  # names of a history's figures on validation photographs; the rest go by their column
    "psnr_y": "validation PSNR-Y (dB)",
    "shift_a": "validation a* shift",
    "shift_b": "validation b* shift",
    "perceptual": "validation VGG16-HED",
    "diversity": "validation diversity, HR = 1",
}


def curves(history: Sequence[Mapping[str, float]], title: str, columns: int = 5) -> Figure:
    """One panel per figure of a run's history over training steps; what is measured at ends of epochs has dots."""
    table = pd.DataFrame(history)
    names = [name for name in table if name not in ("step", "epoch", *RATES)]
    rows = -(-len(names) // columns)
    figure, axes = subplots(rows, columns, figsize=(2.3 * columns, 1.9 * rows), squeeze=False)
    seen = []
    for axis, name in zip(axes.flat, names):
        known = table[["step", name]].dropna()
        axis.plot(known.step, known[name], color=PLAIN, marker="." if len(known) < 12 else None)
        label = HISTORY.get(name, name.replace("_", " "))
        seen += [f"{label} {ends[0]:.4g} to {ends[-1]:.4g}" for ends in [known[name].to_numpy()] if len(ends)]
        axis.set_title(label, fontsize=9)
        axis.set_xlim(0, 1.03 * table.step.max())
        axis.tick_params(labelsize=7)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    for axis in axes[-1]:
        axis.set_xlabel("step", fontsize=8)
    return titled(figure, title, f"From the first to the last step: {'; '.join(seen)}")


def rate_curves(rates: pd.DataFrame, title: str) -> Figure:
    """How fast a run was and what it held in memory, over training steps; columns as in `reports/rates`."""
    labels = {"images_per_second": "images per second", "gflops": "GFLOP per second", "memory_gb": "memory (GB)"}
    figure, axes = subplots(1, len(labels), figsize=(3.1 * len(labels), 2.3))
    for axis, (name, label) in zip(axes, labels.items()):
        axis.plot(rates.step, rates[name], color=PLAIN, marker="." if len(rates) < 12 else None)
        axis.set_title(label, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.set_xlim(0, 1.03 * rates.step.max())
        axis.set_ylim(0, 1.1 * rates[name].max())
        axis.tick_params(labelsize=7)
    return titled(figure, title)


def strips(folder: str | Path, title: str, most: int = 6) -> Figure | None:
    """The pictures of a run's validations, one below the other, the first and the last among them; None if it has none
    yet.
    """
    paths = sorted(Path(folder).glob("step-*.png"))
    if not paths:
        return None
    chosen = spread(paths, most)
    figure, axes = subplots(len(chosen), 1, figsize=(8, 2.1 * len(chosen)), squeeze=False)
    steps = [f"step {int(path.stem.rpartition('-')[2]):,}" for path in chosen]
    for axis, path, step in zip(axes[:, 0], chosen, steps):
        axis.imshow(read_rgb(path))
        axis.set_ylabel(step, fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    return titled(figure, title, f"One below the other: {', '.join(steps)}")
