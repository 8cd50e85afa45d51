"""Who takes part in a run: generator, discriminator, their optimizers, and the content loss that judges them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from srstudy.config import find_root
from srstudy.networks import architectures
from srstudy.networks.perceptual import feature_network
from srstudy.settings import Content, Generator, Recipe
from srstudy.train import losses


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
        return architectures.srgan_generator(settings.filters, settings.blocks, settings.momentum, settings.upscaling)
    return architectures.residual_generator(settings.filters, settings.blocks)


def make_players(recipe: Recipe, hr_size: int, steps: int, warm_start: str | Path | None) -> Players:
    """Build networks and optimizers of a run; the generator takes over the weights of `warm_start`, a saved model."""
    generator = build_generator(recipe.generator)
    if warm_start is not None:
        generator.set_weights(architectures.load_model(warm_start).get_weights())
    discriminator, discriminator_optimizer = None, None
    if recipe.loss_weights.adversarial:
        settings = recipe.discriminator
        discriminator = architectures.discriminator(hr_size, settings.filters, settings.dense, settings.momentum)
        discriminator_optimizer = _optimizer(discriminators_recipe(recipe), steps, discriminator)
    return Players(
        generator=generator,
        generator_optimizer=_optimizer(recipe, steps, generator, ema=recipe.ema),
        discriminator=discriminator,
        discriminator_optimizer=discriminator_optimizer,
        content_loss=_content_loss(recipe) if recipe.loss_weights.content else None,
    )


def weights_of(players: Players) -> list[np.ndarray]:
    """The generator's weights that a run leaves: averaged over steps where the optimizer does so, else the last."""
    weights = {variable.path: variable.numpy() for variable in players.generator.weights}
    optimizer = getattr(players.generator_optimizer, "inner_optimizer", players.generator_optimizer)
    if optimizer.use_ema:
        averages = optimizer._model_variables_moving_average
        for variable, average in zip(players.generator.trainable_variables, averages):
            weights[variable.path] = average.numpy()
    return list(weights.values())


def discriminators_recipe(recipe: Recipe) -> Recipe:
    """The recipe at the discriminator's own learning rate, where it has one."""
    return replace(recipe, learning_rate=recipe.discriminator.learning_rate or recipe.learning_rate)


def _content_loss(recipe: Recipe) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    content = recipe.content
    network = feature_network(content.network, (content.layer,), str(weights_file(content) or "default"))
    return losses.content_loss(network, content.feature_scale)


def weights_file(content: Content) -> Path | None:
    """The user's own weights of the content network; None: those that it comes with.

    A path in params.yaml starts at the project's folder, wherever the process does.
    """
    return None if content.weights == "default" else find_root() / content.weights


def _optimizer(recipe: Recipe, steps: int, model: keras.Model, ema: float = 0.0) -> keras.Optimizer:
    options = {"use_ema": True, "ema_momentum": ema} if ema else {}
    optimizer = FusedAdam(_learning_rate(recipe, steps), **options)
    if model.dtype_policy.compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


def rate_at(recipe: Recipe, steps: int, step: int) -> float:
    """The learning rate of update number `step`, from 1, of so many `steps`, if float16 made none be skipped."""
    rate = _learning_rate(recipe, steps)
    return float(rate(step - 1)) if callable(rate) else rate


def _learning_rate(recipe: Recipe, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    rate = recipe.learning_rate
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    if recipe.schedule == "step":  # halved one update after 1/2, 3/4 and 9/10 of the run
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [steps * share // 20 for share in (10, 15, 18)], [rate, rate / 2, rate / 4, rate / 8]
        )
    return rate


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba 2014, arXiv:1412.6980) by TensorFlow's one kernel instead of ten operations.

    The discriminator's dense layer holds most weights of a run, and moving them through memory once instead of ten
    times is what makes a step at batch 1 cheap.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable; same formula and state as the parent's."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Keras would sum the gradients over devices here; `step.py` has done so, to know their norm."""
        return grads_and_vars
