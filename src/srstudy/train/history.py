"""What a run leaves besides its weights: its history, what the guards say of it, and its records in `reports/`."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd

from srstudy import runtime
from srstudy.files import COMPLETE, replacing, write_csv, write_json, write_text
from srstudy.networks import architectures
from srstudy.photos.images import write_png
from srstudy.settings import Guards
from srstudy.study import Run
from srstudy.train.model import Models, final_weights, rate_at
from srstudy.train.step import NotFinite, Update

LOG_ROWS = 40  # at most so many rows of history besides those of the validations
# Weights -> figures and SR by photograph; its attribute `identity` names what decides them. See judge.validation.
Validation = Callable[[list[np.ndarray]], tuple[dict[str, float], dict[str, np.ndarray]]]


def row_steps(steps: int, epoch_steps: int, validations: int) -> tuple[set[int], set[int]]:
    """The steps that end a row of history, and those with a validation: the last, and evenly spaced ends of epochs."""
    every, epochs, validated = -(-steps // LOG_ROWS), -(-steps // epoch_steps), set()
    if validations:
        between = -(-epochs // validations) * epoch_steps
        validated = {*range(between, steps + 1, between), steps}
    return {*range(every, steps + 1, every), steps} | validated, validated


class History:
    """The rows of a run: means of what its steps reported, and figures on validation photographs, drawn into `strips`.

    "seconds" are those of all steps so far, but for steps that an interruption cut off from the end of their row.
    """

    def __init__(self, run: Run, validation: Validation | None, validations: int, strips: Path):
        self.run, self.validation, self.strips = run, validation, strips
        self.steps, self._validated = row_steps(run.steps, run.epoch_steps, validations if validation else 0)

    def begin(self, rows: list[dict[str, float]]) -> None:
        """Go on from these rows."""
        self.rows, last = rows, rows[-1] if rows else {"step": 0, "seconds": 0.0}
        self._last_step, self._start = last["step"], time.perf_counter() - last["seconds"]

    def add(self, step: int, update: Update, models: Models) -> dict[str, float]:
        """Add the row that ends with `step`, and return it."""
        recipe, means = self.run.recipe, update.means(step - self._last_step)
        seconds = time.perf_counter() - self._start
        row = {"step": step, "epoch": round(step / self.run.epoch_steps, 3), **means}
        row["learning_rate"] = rate_at(recipe, "generator", self.run.steps, step)
        if recipe.loss_weights.adversarial and recipe.discriminator.learning_rate:
            row["discriminator_learning_rate"] = rate_at(recipe, "discriminator", self.run.steps, step)
        if step in self._validated:
            figures, srs = self.validation(final_weights(models))
            row |= figures
            if runtime.is_chief():  # the centres of all SR beside each other
                side = min(min(sr.shape[:2]) for sr in srs.values()) // 2
                rows = [sr[(sr.shape[0] - side) // 2 :][:side] for sr in srs.values()]
                strip = np.hstack([sr[:, (sr.shape[1] - side) // 2 :][:, :side] for sr in rows])
                write_png(self.strips / f"step-{step:07d}.png", strip)
        self.begin([*self.rows, row | {"seconds": seconds}])
        return self.rows[-1]


class Event(NamedTuple):
    """A guard that fired: after which step, which guard, what it found, and its threshold, where it has one."""

    step: int
    guard: str
    value: float | None
    threshold: float | None

    def __str__(self) -> str:
        return f"{self.guard} (step {self.step}{'' if self.value is None else f', {self.value:.2f}'})"


def guard_events(history: Sequence[Mapping[str, float]], guards: Guards, not_finite: int | None = None) -> list[Event]:
    """What the guards find in a history, once per time that one begins to fire.

    `not_finite` is the step that ended the run because a loss or a gradient was not finite.
    """
    columns = ["step", "real_accuracy", "fake_accuracy", "diversity", "shift_a", "shift_b"]
    table = pd.DataFrame(history).reindex(columns=columns).astype(float)
    accuracy = ((table.real_accuracy + table.fake_accuracy) / 2).rolling(guards.patience)
    events = [Event(not_finite, "loss or gradient not finite", None, None)] if not_finite else []
    for guard, values, sign, threshold in (
        ("discriminator won", accuracy.min(), 1, guards.discriminator_won),
        ("discriminator lost", accuracy.max(), -1, guards.discriminator_lost),
        ("output collapsed", table.diversity, -1, guards.collapse),
        ("colour drifts", np.hypot(table.shift_a, table.shift_b), 1, guards.colour_shift),
    ):
        values = values.dropna()
        fires = sign * values >= sign * threshold
        begins = values[fires & ~fires.shift(fill_value=False)]
        events += [Event(int(table.step[row]), guard, float(value), threshold) for row, value in begins.items()]
    return sorted(events, key=lambda event: event.step)


@dataclass(frozen=True)
class Trained:
    """What a run leaves: the generator, its history, and the file of the generator as it was at `snapshot_step`.

    `step` is below `steps` when a time budget ended it, and the same call goes on; or when something in step
    `not_finite` was not finite, and the generator is that of the step before.
    """

    generator: keras.Model
    history: list[dict[str, float]]
    step: int
    steps: int
    snapshot: Path | None
    checkpoints: Path
    not_finite: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the run reached its last step."""
        return self.step == self.steps

    def outcome(self) -> str:
        """How far the run came, and why no further."""
        reason = NotFinite(self.not_finite) if self.not_finite else "run again to go on"
        return f"{self.step} of {self.steps} steps" + ("" if self.complete else f": NOT COMPLETE, {reason}")

    def save(self, folder: Path) -> None:
        """Write generator, snapshot and strips into `folder`, all or nothing; of several workers the first alone does.

        The checkpoints stay, those of a complete run with a mark: they may go when its report is written too.
        """
        if not runtime.is_chief():
            return
        with replacing(folder) as temporary:
            architectures.save_model(self.generator, temporary / "generator.keras")
            if self.snapshot is not None:
                shutil.copy(self.snapshot, temporary / "snapshot.keras")
            if (self.checkpoints / "strips").is_dir():
                shutil.copytree(self.checkpoints / "strips", temporary / "strips")
        if self.complete:
            write_text(self.checkpoints / COMPLETE, "")


def write_records(run: Run, trained: Trained, reports: Path) -> None:
    """Write `history/NAME.csv` and `runs/NAME.json` into `reports`; of several workers the first alone does.

    Those of warm starts and released models say how many minutes their steps took. What a released model's predecessor
    scored on other test sets and by `judge.ways` goes: a card must not have it.
    """
    if not runtime.is_chief():
        return
    history = pd.DataFrame(trained.history)
    write_csv(reports / "history" / f"{run.name}.csv", history.drop(columns="seconds"))
    record = {"complete": trained.complete, "step": trained.step, "steps": trained.steps}
    record["recipe"] = run.recipe.model_dump(exclude_none=True)
    if trained.not_finite:
        record["not_finite"] = trained.not_finite
    if run.camera is not None:
        record["camera"] = run.camera.model_dump(exclude_none=True)
    if run.kind != "variant":
        record["minutes"] = round(history.seconds.iloc[-1] / 60, 1)
    write_json(reports / "runs" / f"{run.name}.json", record)
    judged = list((reports / "test_sets").glob("*/")) if run.kind == "released" else []
    for folder in (reports, *judged):
        (folder / "ways" / f"{run.name}.csv").unlink(missing_ok=True)
    for folder in judged:
        (folder / "scores" / f"{run.name}.csv").unlink(missing_ok=True)
        shutil.rmtree(folder / "sr" / run.name, ignore_errors=True)
        if (means := folder / "metrics.json").is_file():
            others = {name: scores for name, scores in json.loads(means.read_text("utf-8")).items() if name != run.name}
            write_json(means, others)
