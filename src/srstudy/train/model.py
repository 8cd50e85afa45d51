"""The networks and optimizers of a run."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from srstudy.networks import architectures, baselines, span
from srstudy.networks.perceptual import feature_network
from srstudy.settings import Generator, Recipe
from srstudy.study import find_root, weights_file
from srstudy.train.devices import mixed_precision


@dataclass(frozen=True)
class Models:
    """The networks and optimizers of one run. What its losses don't need is None."""

    generator: keras.Model
    generator_optimizer: keras.Optimizer
    discriminator: keras.Model | None
    discriminator_optimizer: keras.Optimizer | None
    content_network: keras.Model | None


def build_generator(settings: Generator, plain: bool = False) -> keras.Model:
    """The untrained generator that a recipe asks for; `plain`: with plain convolutions alone, as it is saved."""
    if plain:
        return span.fused(build_generator(settings))
    sizes = settings.filters, settings.blocks
    if settings.kind == "srgan":
        return architectures.srgan_generator(*sizes, settings.momentum, settings.upscaling)
    if settings.kind == "rrdb":
        return baselines.rrdb_generator(*sizes, settings.growth)
    if settings.kind == "span":
        return span.span_generator(*sizes)
    if settings.kind == "autoencoder":
        return baselines.autoencoder(settings.filters, settings.code)
    return (baselines.edsr_generator if settings.kind == "edsr" else architectures.residual_generator)(*sizes)


def make_models(recipe: Recipe, hr_size: int, steps: int, warm_start: Path | None = None) -> Models:
    """Build the networks and optimizers of a run; the generator takes over the weights of a saved model."""
    generator = build_generator(recipe.generator, plain=warm_start is not None)
    own, content = recipe.discriminator, recipe.content
    discriminator = discriminator_optimizer = content_network = None
    if warm_start is not None:
        generator.set_weights(architectures.load_model(warm_start).get_weights())
    if recipe.loss_weights.adversarial:
        discriminator = architectures.discriminator(hr_size, own.filters, own.dense, own.momentum)
        discriminator_optimizer = _optimizer(recipe, "discriminator", steps, discriminator)
    if recipe.loss_weights.content:
        with mixed_precision(content.precision or keras.config.dtype_policy().name):
            weights = weights_file(find_root(), content)
            content_network = feature_network(content.network, (content.layer,), weights, content.activated)
    generator_optimizer = _optimizer(recipe, "generator", steps, generator)
    return Models(generator, generator_optimizer, discriminator, discriminator_optimizer, content_network)


def final_weights(models: Models) -> list[np.ndarray]:
    """The generator's weights that a run leaves: averaged over steps where the optimizer does so, else the last."""
    generator = models.generator
    optimizer = getattr(models.generator_optimizer, "inner_optimizer", models.generator_optimizer)
    averages = optimizer._model_variables_moving_average if optimizer.use_ema else generator.trainable_variables
    by_path = {variable.path: average for variable, average in zip(generator.trainable_variables, averages)}
    return [by_path.get(variable.path, variable).numpy() for variable in generator.weights]


def learning_rate(recipe: Recipe, network: str, steps: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate of the "generator" or "discriminator" over so many steps: a number, or a schedule."""
    rate = (network == "discriminator" and recipe.discriminator.learning_rate) or recipe.learning_rate
    if recipe.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(rate, steps)
    if recipe.schedule == "step":  # halved one update after 1/2, 3/4 and 9/10 of the run
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [steps * share // 20 for share in (10, 15, 18)], [rate, rate / 2, rate / 4, rate / 8]
        )
    return rate


def rate_at(recipe: Recipe, network: str, steps: int, step: int) -> float:
    """The learning rate of update number `step`, from 1, of so many `steps`, if float16 made none be skipped."""
    rate = learning_rate(recipe, network, steps)
    return float(rate(step - 1)) if callable(rate) else rate


def _optimizer(recipe: Recipe, network: str, steps: int, model: keras.Model) -> keras.Optimizer:
    averages = {"use_ema": True, "ema_momentum": recipe.ema} if recipe.ema and network == "generator" else {}
    own = {"beta_1": recipe.momenta[0], "beta_2": recipe.momenta[1], "weight_decay": recipe.weight_decay or None}
    optimizer = FusedAdam(learning_rate(recipe, network, steps), **own, **averages)
    if model.dtype_policy.compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    return optimizer


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba 2014, arXiv:1412.6980) by TensorFlow's one kernel instead of ten operations: the
    discriminator's many weights go through memory once, not ten times.
    """

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Keras's, with all that the variables share in place of the learning rate: it is computed once."""
        betas, step = (tf.constant(self.beta_1), tf.constant(self.beta_2)), tf.cast(self.iterations + 1, tf.float32)
        shared = {f"beta{number}": beta for number, beta in enumerate(betas, 1)}
        shared |= {f"beta{number}_power": tf.pow(beta, step) for number, beta in enumerate(betas, 1)}
        shared |= {"lr": tf.cast(learning_rate, tf.float32), "epsilon": tf.constant(self.epsilon)}
        super()._backend_update_step(grads, trainable_variables, shared)

    def update_step(self, gradient, variable, shared):
        """Update one variable; same formula and state as the parent's."""
        index = self._get_variable_index(variable)
        m, v = (moments[index].value.handle for moments in (self._momentums, self._velocities))
        tf.raw_ops.ResourceApplyAdam(var=variable.handle, m=m, v=v, grad=gradient, **shared)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Keras would sum the gradients over devices here; `step.py` has done so, to know their norm."""
        return grads_and_vars
