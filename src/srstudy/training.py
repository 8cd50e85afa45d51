"""Training a generator by a recipe: the paper's alternating SRGAN updates, or a pixel loss alone."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from srstudy import losses, networks
from srstudy.config import Generator, Recipe, find_root
from srstudy.dataset import batches
from srstudy.errors import StudyError
from srstudy.files import replacing, write_json
from srstudy.perceptual import feature_network
from srstudy.tiles import Tiles

LOG_ROWS = 40  # lines of history a run leaves, whatever its length
CHECKPOINT_STEPS = 500
LOSSES = ("discriminator", "pixel", "content", "adversarial", "generator")  # in the order that history has


@dataclass(frozen=True)
class Players:
    """The networks and optimizers of one run; without an adversarial loss there is no discriminator."""

    generator: keras.Model
    generator_optimizer: keras.Optimizer
    discriminator: keras.Model | None
    discriminator_optimizer: keras.Optimizer | None
    content_loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None


def build_generator(settings: Generator) -> keras.Model:
    """The untrained generator that a recipe asks for."""
    if settings.kind == "srgan":
        return networks.srgan_generator(settings.filters, settings.blocks, settings.momentum, settings.upscaling)
    return networks.residual_generator(settings.filters, settings.blocks)


@dataclass(frozen=True)
class Trained:
    """What a run leaves: the generator, mean losses per stretch of steps, and the generator at `snapshot_step`."""

    generator: keras.Model
    history: list[dict[str, float]]
    snapshot: keras.Model | None
    checkpoints: Path

    def save(self, folder: str | Path) -> None:
        """Write `generator.keras`, and `snapshot.keras` if there is one, into `folder`: all of it or nothing.

        Only then the run's checkpoints are removed.
        """
        with replacing(folder) as temporary:
            networks.save_model(self.generator, temporary / "generator.keras")
            if self.snapshot is not None:
                networks.save_model(self.snapshot, temporary / "snapshot.keras")
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def train(
    recipe: Recipe,
    tiles: Tiles,
    steps: int,
    seed: int,
    checkpoints: str | Path,
    warm_start: str | Path | None = None,
    snapshot_step: int | None = None,
) -> Trained:
    """Train a generator for `steps` updates (paper III, IV).

    Interrupted and called again with equal arguments, it goes on from the last checkpoint in `checkpoints` and ends
    with the same weights and history; `Trained.save` removes what it left there. Raises StudyError when a loss is no
    longer finite, or the disk is full.
    """
    players = make_players(recipe, 4 * (recipe.crop or tiles.lr.shape[1]), steps, warm_start)
    read = partial(batches, tiles, seed, recipe.batch_size, stop=steps, crop=recipe.crop, flips=recipe.flips)
    # Traced before a checkpoint is read, so that a resumed process builds the very graph of an uninterrupted one.
    step = make_step(recipe, players).get_concrete_function(*read(start=0).element_spec)
    folder = Path(checkpoints) / _fingerprint(recipe, tiles, steps, seed, warm_start, snapshot_step)
    progress = _Progress(players, folder)
    row_steps = max(1, steps // LOG_ROWS)
    with tqdm(total=steps, initial=progress.step, unit="step", desc="training", mininterval=2, file=sys.stderr) as bar:
        sums: dict[str, float] = {}
        for number, (lr, hr) in enumerate(read(start=progress.step), progress.step + 1):
            for name, value in step(lr, hr).items():
                sums[name] = sums.get(name, 0.0) + float(value)
            bar.update()
            if number == snapshot_step:
                networks.save_model(players.generator, folder / "snapshot.keras")
            if number % row_steps == 0 or number == steps:
                row = _mean_row(number, sums, progress.history)
                bar.set_postfix({name: f"{value:.3g}" for name, value in row.items() if name != "step"})
                progress.save(number, row, checkpoint=number < steps)
                sums = {}
    if recipe.ema:
        players.generator_optimizer.finalize_variable_values(players.generator.trainable_variables)
    snapshot = networks.load_model(folder / "snapshot.keras") if snapshot_step else None
    return Trained(players.generator, progress.history, snapshot, folder)


def make_players(recipe: Recipe, hr_size: int, steps: int, warm_start: str | Path | None) -> Players:
    """Build networks and optimizers of a run; the generator takes over the weights of `warm_start`, a saved model."""
    weights = recipe.loss_weights
    generator = build_generator(recipe.generator)
    if warm_start is not None:
        generator.set_weights(networks.load_model(warm_start).get_weights())
    content = discriminator = None
    if weights.content:
        file = recipe.content.weights  # a path starts at the project's folder, wherever the process does
        file = file if file == "default" else str(find_root() / file)
        network = feature_network(recipe.content.network, (recipe.content.layer,), file)
        content = losses.content_loss(network, recipe.content.feature_scale)
    if weights.adversarial:
        settings = recipe.discriminator
        discriminator = networks.discriminator(hr_size, settings.filters, settings.dense, settings.momentum)
    generator_optimizer = _adam(recipe, steps, generator, ema=recipe.ema)
    return Players(
        generator=generator,
        generator_optimizer=generator_optimizer,
        discriminator=discriminator,
        discriminator_optimizer=_adam(recipe, steps, discriminator) if discriminator else None,
        content_loss=content,
    )


def _adam(recipe: Recipe, steps: int, model: keras.Model, ema: float = 0.0) -> keras.Optimizer:
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    options = {"use_ema": True, "ema_momentum": ema} if ema else {}
    optimizer = keras.optimizers.Adam(rate, **options)
    optimizer.build(model.trainable_variables)
    return optimizer


def make_step(recipe: Recipe, players: Players) -> Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]:
    """One compiled update of discriminator and generator in turn (paper IV), (lr, hr) uint8 -> losses.

    The generator runs once: the discriminator learns from the same SR images that the generator is then judged by.
    """
    weights = recipe.loss_weights
    generator, discriminator = players.generator, players.discriminator

    def update_discriminator(hr: tf.Tensor, sr: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = losses.discriminator_loss(discriminator(hr, training=True), discriminator(sr, training=True))
        _apply(tape, loss, discriminator, players.discriminator_optimizer)
        return {"discriminator": loss}

    def generator_terms(hr: tf.Tensor, sr: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = {}
        if weights.pixel:
            terms["pixel"] = losses.pixel_loss(hr, sr)
        if weights.content:
            terms["content"] = players.content_loss(hr, sr)
        if weights.adversarial:
            terms["adversarial"] = losses.adversarial_loss(discriminator(sr, training=True))
        return terms

    @tf.function
    def step(lr: tf.Tensor, hr: tf.Tensor) -> dict[str, tf.Tensor]:
        lr, hr = (tf.cast(images, tf.float32) / 127.5 - 1.0 for images in (lr, hr))
        report = {}
        with tf.GradientTape() as tape:
            sr = generator(lr, training=True)
            if discriminator is not None:
                with tape.stop_recording():
                    report |= update_discriminator(hr, sr)
            terms = generator_terms(hr, sr)
            loss = tf.add_n([getattr(weights, name) * term for name, term in terms.items()])
        _apply(tape, loss, generator, players.generator_optimizer)
        return report | terms | {"generator": loss}

    return step


def _apply(tape: tf.GradientTape, loss: tf.Tensor, model: keras.Model, optimizer: keras.Optimizer) -> None:
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)


def _mean_row(number: int, sums: dict[str, float], history: list[dict[str, float]]) -> dict[str, float]:
    count = number - (history[-1]["step"] if history else 0)
    row = {"step": number, **{name: sums[name] / count for name in LOSSES if name in sums}}
    for name, value in row.items():
        if not abs(value) < float("inf"):
            raise StudyError(f"training: the {name} loss is {value} before step {number}; lower learning_rate.")
    return row


class _Progress:
    """Step, history and weights of a run, kept so that a killed run can go on from the last checkpoint."""

    def __init__(self, players: Players, folder: Path):
        self.step, self.history = 0, []
        self._counter = tf.Variable(0, dtype=tf.int64)
        parts = {
            "generator": players.generator,
            "generator_optimizer": players.generator_optimizer,
            "discriminator": players.discriminator,
            "discriminator_optimizer": players.discriminator_optimizer,
        }
        state = tf.train.Checkpoint(
            step=self._counter, **{name: part for name, part in parts.items() if part is not None}
        )
        self._manager = tf.train.CheckpointManager(state, str(folder), max_to_keep=2)
        self._last_saved = 0
        self._history_file = folder / "history.json"
        if self._manager.restore_or_initialize():
            self.step = self._last_saved = int(self._counter)
            rows = json.loads(self._history_file.read_text(encoding="utf-8"))
            columns = ["step", *(name for name in LOSSES if name in rows[0])]  # JSON has them by the alphabet
            self.history = [{name: row[name] for name in columns} for row in rows if row["step"] <= self.step]

    def save(self, step: int, row: dict[str, float], checkpoint: bool) -> None:
        """Keep the row; write a checkpoint when asked, unless the last one is recent."""
        self.step = step
        self.history.append(row)
        if checkpoint and step - self._last_saved >= CHECKPOINT_STEPS:
            write_json(self._history_file, self.history)
            self._counter.assign(step)
            try:
                self._manager.save(step)
            except tf.errors.OpError as error:
                if "No space left" in str(error):
                    raise StudyError(f"{self._history_file.parent}: the disk is full; free some space.") from error
                raise
            self._last_saved = step


def _fingerprint(
    recipe: Recipe, tiles: Tiles, steps: int, seed: int, warm_start: str | Path | None, snapshot_step: int | None
) -> str:
    """Names the configuration, so that a changed one never goes on from another's checkpoint."""
    start = Path(warm_start).read_bytes() if warm_start else b""
    digest = hashlib.sha256(repr((recipe, tiles.hr.shape, steps, seed, snapshot_step)).encode() + start)
    digest.update(np.ascontiguousarray(tiles.hr))
    return digest.hexdigest()[:16]
