"""Watching a run: its history, row by row, and what it does to a handful of validation photographs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import keras
import numpy as np
import psutil
import tensorflow as tf

from srstudy import runtime
from srstudy.data.images import write_png
from srstudy.degrade.camera import lr_to_judge
from srstudy.judge.metrics import colour, fidelity
from srstudy.networks.enhance import Enhancer
from srstudy.settings import Recipe
from srstudy.settings_camera import Camera
from srstudy.train.players import discriminators_recipe, rate_at, weights_of
from srstudy.train.step import Update

LOG_ROWS = 40  # at most so many lines of history besides those of the validations


class Validation:
    """Judges the generator as it is on fixed photographs: call it with the weights, get figures and SR images."""

    def __init__(
        self,
        photos: Mapping[str, np.ndarray],
        generator: keras.Model,
        statistics: str,
        distance: Callable[[np.ndarray, Sequence[np.ndarray]], list[float]],
        camera: Camera | None = None,
        seed: int = 0,
    ):
        """`photos`: HR uint8 [H, W, 3] by name; `generator`: one of the same architecture, which is not changed.

        LR is bicubic, or made by a `camera` from `seed`.
        """
        self.photos, self._distance = dict(photos), distance
        self.identity = (*photos, statistics, camera, seed)  # names what decides its figures
        self._lrs = {name: lr_to_judge(name, hr, camera, seed) for name, hr in photos.items()}
        self._enhance = Enhancer(generator, statistics)

    def __call__(self, weights: list[np.ndarray]) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Means over the photographs, and SR uint8 by name.

        `diversity` is how different SR images are from each other, relative to HR: near 0, the output has collapsed.
        """
        self._enhance.generator.set_weights(weights)
        srs = {name: self._enhance(lr) for name, lr in self._lrs.items()}
        scores = [{**fidelity(hr, srs[name]), **colour(hr, srs[name])} for name, hr in self.photos.items()]
        means = {key: float(np.mean([row[key] for row in scores])) for key in ("psnr_y", "shift_a", "shift_b")}
        far = [self._distance(hr, [srs[name]])[0] for name, hr in self.photos.items()]
        return means | {"perceptual": float(np.mean(far)), "diversity": self._diversity(srs)}, srs

    def _diversity(self, srs: Mapping[str, np.ndarray]) -> float:
        def spread(images: Mapping[str, np.ndarray]) -> float:
            side = min(min(image.shape[:2]) for image in images.values())
            squares = [image[:side:4, :side:4].astype(float) for image in images.values()]
            return float(np.mean([np.abs(a - b).mean() for a, b in combinations(squares, 2)] or [squares[0].std()]))

        return spread(srs) / max(spread(self.photos), 1e-9)


class Schedule:
    """At which steps of a run a row of history ends, and at which of those the validation photographs are looked at."""

    def __init__(self, steps: int, epoch_steps: int, validations: int):
        """`validations`: at most so many, at ends of epochs, and one at the end of the run; 0 for none."""
        self.steps, self.epoch_steps = steps, epoch_steps
        self._every = -(-steps // LOG_ROWS)
        epochs = -(-steps // epoch_steps)
        every = -(-epochs // validations) * epoch_steps if validations else steps + 1
        self._validated = {*range(every, steps + 1, every), *([steps] if validations else [])}

    def is_row(self, step: int) -> bool:
        """Whether a row ends with this step."""
        return step % self._every == 0 or step == self.steps or self.is_validation(step)

    def is_validation(self, step: int) -> bool:
        """Whether that row has the figures of the validation photographs."""
        return step in self._validated


class Diary:
    """The history of a run, a row at a time: means of what the steps reported, figures on validation photographs."""

    def __init__(
        self, schedule: Schedule, validation: Validation | None, strips: Path, history: list[dict[str, float]]
    ):
        """`strips`: folder of the pictures, one for each validation; `history`: the rows of a run that goes on."""
        self.schedule, self._validation, self._strips, self.history = schedule, validation, strips, history
        self._timed_steps, self._clock = 0, time.perf_counter()

    def add(self, step: int, update: Update, recipe: Recipe) -> dict[str, float]:
        """Put the row that ends with `step` into the history and return it."""
        count = step - (self.history[-1]["step"] if self.history else 0)
        row = {"step": step, "epoch": round(step / self.schedule.epoch_steps, 3), **update.means(count)}
        row["learning_rate"] = rate_at(recipe, self.schedule.steps, step)
        if recipe.loss_weights.adversarial and recipe.discriminator.learning_rate:
            row["discriminator_learning_rate"] = rate_at(discriminators_recipe(recipe), self.schedule.steps, step)
        seconds = time.perf_counter() - self._clock  # without the validation's
        if self.schedule.is_validation(step):
            row |= self._look(step, weights_of(update.players))
        row |= {"images_per_second": self._timed_steps * recipe.batch_size / seconds, "memory_gb": memory_gb()}
        self.history.append(row)
        self._timed_steps, self._clock = 0, time.perf_counter()
        return row

    def count(self) -> None:
        """Say that a step was done; a run that goes on has done fewer of its first row's than the row counts."""
        self._timed_steps += 1

    def _look(self, step: int, weights: list[np.ndarray]) -> dict[str, float]:
        figures, srs = self._validation(weights)
        if runtime.is_chief():
            side = min(min(sr.shape[:2]) for sr in srs.values()) // 2
            write_png(self._strips / f"step-{step:07d}.png", np.hstack([_centre(sr, side) for sr in srs.values()]))
        return figures


def memory_gb() -> float:
    """Peak memory of the first GPU, or what this process holds now where there is none."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    return psutil.Process().memory_info().rss / 2**30


def _centre(image: np.ndarray, side: int) -> np.ndarray:
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]
