"""One training step: discriminator and generator updated in turn, compiled once, on one device or several."""

from __future__ import annotations

import keras
import tensorflow as tf

from srstudy.errors import StudyError
from srstudy.settings import Recipe
from srstudy.train import losses
from srstudy.train.players import Players

# What a step may report, in the order that the history has.
REPORTED = (
    "discriminator", "pixel", "content", "adversarial", "generator",
    "real_accuracy", "fake_accuracy", "generator_gradient", "discriminator_gradient",
)  # fmt: skip


class NotFinite(StudyError):
    """A loss or a gradient was not finite; `step` is the first step in which one was."""

    def __init__(self, step: int):
        super().__init__(f"a loss or gradient was not finite in step {step}; lower learning_rate, which starts anew.")
        self.step = step


class Update:
    """One update of each player, compiled once: call it with a batch and the number of the step, from 1.

    What it reports of each step is summed where it is computed, and read from there a row of history at a time: no
    step waits for the one before it to be reported.
    """

    def __init__(self, recipe: Recipe, players: Players, steps: int, strategy: tf.distribute.Strategy):
        """`strategy`: in whose scope the players were made, and which distributes the batches."""
        self.players = players
        device = _DeviceUpdate(recipe, players, strategy.num_replicas_in_sync)
        self.names = [name for name in REPORTED if name in reported_by(recipe)]
        self.sums = tf.Variable(tf.zeros(len(self.names)), trainable=False, name="sums")
        self._unfinite = tf.Variable(0, dtype=tf.int64, trainable=False, name="unfinite")

        @tf.function
        def update(lr: tf.Tensor, hr: tf.Tensor, number: tf.Tensor) -> None:
            done = tf.cast(number, tf.float32) / steps
            found = strategy.run(device.run, args=(lr, hr, done))
            report = tf.stack([strategy.reduce("SUM", found[name], axis=None) for name in self.names])
            self.sums.assign_add(report)
            good = tf.reduce_all(tf.math.is_finite(report)) | (self._unfinite > 0)
            self._unfinite.assign(tf.where(good, self._unfinite, number))

        self._update = update

    def trace(self, batch_spec: tuple) -> None:
        """Build the graph for batches of this element_spec, without running it."""
        self._update.get_concrete_function(*batch_spec, tf.TensorSpec((), tf.int64))

    def __call__(self, lr: tf.Tensor, hr: tf.Tensor, number: int) -> None:
        """uint8 [B, s, s, 3] and [B, 4s, 4s, 3], or what `tf.distribute` makes of them."""
        self._update(lr, hr, tf.constant(number, tf.int64))

    def means(self, count: int) -> dict[str, float]:
        """What was reported, averaged over the last `count` steps; the sums begin anew."""
        values = (self.sums / count).numpy()
        self.sums.assign(tf.zeros_like(self.sums))
        return dict(zip(self.names, map(float, values)))

    def check(self) -> None:
        """Raises NotFinite if a loss or a gradient was not finite in any step so far."""
        step = int(self._unfinite)
        if step:
            raise NotFinite(step)


def reported_by(recipe: Recipe) -> set[str]:
    """Which of `REPORTED` a recipe has."""
    terms = {name for name in ("pixel", "content", "adversarial") if getattr(recipe.loss_weights, name)}
    players = {"generator", "generator_gradient"}
    if recipe.loss_weights.adversarial:
        players |= {"discriminator", "discriminator_gradient", "real_accuracy", "fake_accuracy"}
    return terms | players


class _DeviceUpdate:
    """The update as each of `replicas` devices computes it on its part of the batch; what it reports adds up."""

    def __init__(self, recipe: Recipe, players: Players, replicas: int):
        self.recipe, self.players, self.replicas = recipe, players, replicas

    def run(self, lr: tf.Tensor, hr: tf.Tensor, progress: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update both players on uint8 images; `progress` is the share of the run that is done."""
        lr, hr = (tf.cast(images, tf.float32) / 127.5 - 1.0 for images in (lr, hr))
        report = {}
        with tf.GradientTape() as tape:
            sr = tf.cast(self.players.generator(lr, training=True), tf.float32)
            if self.players.discriminator is not None:
                with tape.stop_recording():
                    report |= self._update_discriminator(hr, sr)
            terms = self._generator_terms(hr, sr)
            loss = tf.add_n([self._weight(name, progress) * term for name, term in terms.items()])
            scaled = self.players.generator_optimizer.scale_loss(loss / self.replicas)
        norm = _apply(tape, scaled, self.players.generator, self.players.generator_optimizer)
        report |= terms | {"generator": loss, "generator_gradient": norm}
        return {name: report[name] / self.replicas for name in REPORTED if name in report}

    def _update_discriminator(self, hr: tf.Tensor, sr: tf.Tensor) -> dict[str, tf.Tensor]:
        recipe, discriminator = self.recipe, self.players.discriminator
        with tf.GradientTape() as tape:
            real, fake = discriminator(hr, training=True), discriminator(sr, training=True)
            loss = losses.discriminator_loss(real, fake, recipe.label_smoothing, recipe.relativistic)
            scaled = self.players.discriminator_optimizer.scale_loss(loss / self.replicas)
        norm = _apply(tape, scaled, discriminator, self.players.discriminator_optimizer)
        # A relativistic one learns differences alone: real is told from fake by the mean of the other.
        high, low = (losses.mean_over_devices(x) for x in (fake, real)) if recipe.relativistic else (0.0, 0.0)
        return {
            "discriminator": loss,
            "real_accuracy": tf.reduce_mean(tf.cast(real > high, tf.float32)),
            "fake_accuracy": tf.reduce_mean(tf.cast(fake < low, tf.float32)),
            "discriminator_gradient": norm,
        }

    def _generator_terms(self, hr: tf.Tensor, sr: tf.Tensor) -> dict[str, tf.Tensor]:
        recipe, terms = self.recipe, {}
        if recipe.loss_weights.pixel:
            terms["pixel"] = losses.PIXEL_LOSSES[recipe.pixel_loss](hr, sr)
        if recipe.loss_weights.content:
            terms["content"] = self.players.content_loss(hr, sr)
        if recipe.loss_weights.adversarial:
            discriminator = self.players.discriminator
            real = discriminator(hr, training=True) if recipe.relativistic else None
            terms["adversarial"] = losses.adversarial_loss(discriminator(sr, training=True), real)
        return terms

    def _weight(self, name: str, progress: tf.Tensor) -> tf.Tensor | float:
        weight, over = getattr(self.recipe.loss_weights, name), self.recipe.adversarial_ramp
        return weight * tf.minimum(progress / over, 1.0) if name == "adversarial" and over else weight


def _apply(tape: tf.GradientTape, scaled: tf.Tensor, model: keras.Model, optimizer: keras.Optimizer) -> tf.Tensor:
    """One update; returns the norm of the whole batch's gradient, the sum of what each device found in its part."""
    context = tf.distribute.get_replica_context()
    gradients = context.all_reduce("SUM", tape.gradient(scaled, model.trainable_variables))
    norm = tf.linalg.global_norm(gradients)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # float16 needs the loss large. A gradient beyond its range, which is so on all devices when it is on one, is
        # no failure: the update is skipped and a smaller scale tried. It is one where the scale is below 1 already.
        scale = optimizer.scale_loss(1.0)
        norm = tf.where(tf.math.is_finite(norm) | (scale < 1.0), norm / scale, 0.0)
    optimizer.apply(gradients, model.trainable_variables)
    return norm
