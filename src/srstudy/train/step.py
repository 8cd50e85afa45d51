"""One training step: discriminator and generator updated in turn, compiled once, on one device or several."""

import keras
import tensorflow as tf

from srstudy import StudyError
from srstudy.settings import Recipe
from srstudy.train import losses
from srstudy.train.model import Models

# What a step may report, in the order that the history has.
REPORTED = (
    "discriminator", "pixel", "frequency", "content", "adversarial", "generator",
    "real_accuracy", "fake_accuracy", "generator_gradient", "discriminator_gradient",
)  # fmt: skip


def training_step(
    recipe: Recipe, models: Models, batch: tuple[tf.Tensor, ...], progress: tf.Tensor, devices: int
) -> dict[str, tf.Tensor]:
    """One update of each network (paper III and IV): first the discriminator, then the generator.

    `batch`: LR and HR, uint8 [B, s, s, 3] and [B, 4s, 4s, 3], this device's part, and where they are known, HR's
    features; `progress`: the share of the run that is done. Returns losses, accuracies and gradient norms by name;
    over all `devices` they add up.
    """
    generator, discriminator, report, terms = models.generator, models.discriminator, {}, {}
    (lr, hr), known = (tf.cast(images, tf.float32) / 127.5 - 1.0 for images in batch[:2]), batch[2:]
    with tf.GradientTape() as tape:
        sr = tf.cast(generator(lr, training=True), tf.float32)

        # The discriminator learns to tell HR from SR. The generator's gradient must not see this update.
        if discriminator is not None:
            with tape.stop_recording():
                with tf.GradientTape() as own_tape:
                    real, fake = discriminator(hr, training=True), discriminator(sr, training=True)
                    loss = losses.discriminator_loss(real, fake, recipe.label_smoothing, recipe.relativistic)
                    scaled = models.discriminator_optimizer.scale_loss(loss / devices)
                norm = descend(own_tape, scaled, discriminator, models.discriminator_optimizer)
                report |= {"discriminator": loss, "discriminator_gradient": norm}
                report |= losses.accuracies(real, fake, recipe.relativistic)

        # The generator learns to come near HR, in pixels and in VGG features, and to pass for HR.
        weights = dict(recipe.loss_weights)
        if weights["pixel"]:
            terms["pixel"] = losses.PIXEL_LOSSES[recipe.pixel_loss](hr, sr)
        if weights["frequency"]:
            terms["frequency"] = losses.frequency_loss(hr, sr)
        if weights["content"]:
            terms["content"] = losses.content_loss(hr, sr, models.content_network, recipe.content.feature_scale, *known)
        if discriminator is not None:
            real = discriminator(hr, training=True) if recipe.relativistic else None
            terms["adversarial"] = losses.adversarial_loss(discriminator(sr, training=True), real)
            if recipe.adversarial_ramp:
                weights["adversarial"] *= tf.minimum(progress / recipe.adversarial_ramp, 1.0)
        loss = tf.add_n([weights[name] * term for name, term in terms.items()])
        scaled = models.generator_optimizer.scale_loss(loss / devices)
    norm = descend(tape, scaled, generator, models.generator_optimizer)
    report |= terms | {"generator": loss, "generator_gradient": norm}
    return {name: report[name] / devices for name in REPORTED if name in report}


def descend(tape: tf.GradientTape, loss: tf.Tensor, model: keras.Model, optimizer: keras.Optimizer) -> tf.Tensor:
    """Update a model down the gradient of its loss, summed over devices; returns the gradient's norm."""
    gradients, context = tape.gradient(loss, model.trainable_variables), tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        gradients = context.all_reduce("SUM", gradients)
    norm = tf.linalg.global_norm(gradients)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        # float16 needs the loss large. A gradient beyond its range, which is so on all devices when it is on one, is
        # no failure: the update is skipped and a smaller scale tried. It is one where the scale is below 1 already.
        scale = optimizer.scale_loss(1.0)
        norm = tf.where(tf.math.is_finite(norm) | (scale < 1.0), norm / scale, 0.0)
    optimizer.apply(gradients, model.trainable_variables)
    return norm


class NotFinite(StudyError):
    """A loss or a gradient was not finite; `step` is the first step in which one was."""

    def __init__(self, step: int):
        super().__init__(f"a loss or gradient was not finite in step {step}; lower learning_rate, which starts anew.")
        self.step = step


class Update:
    """`training_step`, compiled once: call it with a batch and the number of the step, from 1.

    What the steps report is summed where it is computed, so that no step waits for the one before it to be read.
    """

    def __init__(self, recipe: Recipe, models: Models, steps: int, strategy: tf.distribute.Strategy):
        """`strategy`: in whose scope the models were made, and which distributes the batches."""
        self.names: list[str] = []  # what is reported; known once the step is traced
        self.sums = tf.Variable(tf.zeros(len(REPORTED)), trainable=False, name="sums")
        self._unfinite = tf.Variable(0, dtype=tf.int64, trainable=False, name="unfinite")
        devices = strategy.num_replicas_in_sync

        @tf.function(autograph=False)  # nothing to convert: the step branches on the recipe alone
        def update(number: tf.Tensor, *batch: tf.Tensor) -> None:
            progress = tf.cast(number, tf.float32) / steps
            found = strategy.run(lambda *part: training_step(recipe, models, part, progress, devices), batch)
            self.names = [name for name in REPORTED if name in found]
            found = {name: strategy.reduce("SUM", value, axis=None) for name, value in found.items()}
            report = tf.stack([found.get(name, 0.0) for name in REPORTED])
            self.sums.assign_add(report)
            good = tf.reduce_all(tf.math.is_finite(report)) | (self._unfinite > 0)
            self._unfinite.assign(tf.where(good, self._unfinite, number))

        self.compiled = update

    def trace(self, *batch: tf.TypeSpec) -> None:
        """Build the graph for such batches, without running it."""
        self.compiled.get_concrete_function(tf.TensorSpec((), tf.int64), *batch)

    def __call__(self, batch: tuple[tf.Tensor, ...], number: int) -> None:
        """`batch`: what `batches` gives, or what `tf.distribute` makes of it."""
        self.compiled(tf.constant(number, tf.int64), *batch)

    def means(self, count: int) -> dict[str, float]:
        """What was reported, averaged over the last `count` steps; the sums begin anew."""
        values = dict(zip(REPORTED, (self.sums / count).numpy()))
        self.sums.assign(tf.zeros_like(self.sums))
        return {name: float(values[name]) for name in self.names}

    def check(self) -> None:
        """Raises NotFinite, once, if a loss or a gradient was not finite in any step so far."""
        if step := int(self._unfinite):
            self._unfinite.assign(0)
            raise NotFinite(step)
