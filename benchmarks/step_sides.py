"""Sides of the comparisons of a training step: ours, ours with one thing changed, and other people's."""

from __future__ import annotations

import os

import numpy as np
from timing import random_batch, scaled, timed


def paper_models(lr_side: int, batch: int):
    """The paper's full-size recipe and its networks and optimizers, with an untrained VGG19."""
    from dataclasses import replace

    from untrained import untrained_vgg

    from srstudy.study import load_study
    from srstudy.train.model import make_models

    recipe = load_study("paper").recipes["srgan"].model_copy(update={"batch_size": batch})
    weights = recipe.loss_weights.model_copy(update={"content": 0.0})
    models = make_models(recipe.model_copy(update={"loss_weights": weights}), 4 * lr_side, 1000)
    return recipe, replace(models, content_network=untrained_vgg(recipe.content))


def ours_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The study's step on a batch in memory."""
    from srstudy import runtime

    runtime.start(1)
    return _paper_step(lr_side, batch, rounds)


def without_onednn_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same without oneDNN, as TensorFlow comes on processors without AVX-512."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # as on our side
    return _paper_step(lr_side, batch, rounds)


def xla_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same compiled by XLA as a whole, which it does not where operations have to be deterministic."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    return _paper_step(lr_side, batch, rounds, jit_compile=True)


def keras_adam_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same with Keras's own Adam."""
    from srstudy import runtime

    runtime.start(1)
    import keras

    from srstudy.train import model

    model.FusedAdam = keras.optimizers.Adam
    return _paper_step(lr_side, batch, rounds)


def bfloat16_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same with its convolutions in bfloat16."""
    from srstudy import runtime

    runtime.start(1)
    from srstudy.train.devices import mixed_precision

    with mixed_precision("mixed_bfloat16"):
        return _paper_step(lr_side, batch, rounds)


def _paper_step(lr_side: int, batch: int, rounds: int, jit_compile: bool = False) -> dict[str, object]:
    import tensorflow as tf

    from srstudy.train.step import Update

    recipe, models = paper_models(lr_side, batch)
    update = Update(recipe, models, 1000, tf.distribute.get_strategy())
    step = tf.function(update.compiled, jit_compile=True) if jit_compile else update.compiled
    lr, hr = map(tf.constant, random_batch(lr_side, batch))
    number = tf.constant(1, tf.int64)
    return timed(lambda: (step(number, lr, hr), update.sums.numpy()), rounds)


def torch_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same networks, losses and updates in PyTorch."""
    import torch
    from in_torch import Step

    step = Step(lr_side)
    lr, hr = (
        torch.from_numpy(scaled(images)).permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
        for images in random_batch(lr_side, batch)
    )
    return timed(lambda: step(lr, hr), rounds)


def torch_bfloat16_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same in PyTorch with its convolutions in bfloat16."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        return torch_step(lr_side, batch, rounds)


def tutorial_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """What tutorials do in Keras: `predict`, `train_on_batch` of the discriminator twice, then of both together."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # the faster setting here, as on our side
    return tutorial_default_step(lr_side, batch, rounds)


def tutorial_default_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same with TensorFlow as it comes: on processors without AVX-512, without oneDNN."""
    import keras
    from untrained import untrained_vgg

    from srstudy.networks import architectures
    from srstudy.settings import Content

    # Keras's own layers alone
    architectures.OutputConv, architectures.BatchNorm = keras.layers.Conv2D, keras.layers.BatchNormalization
    generator, discriminator = architectures.srgan_generator(), architectures.discriminator(4 * lr_side)
    vgg = untrained_vgg(Content(network="vgg19", layer="block3_conv4"))
    judge = keras.Sequential([discriminator, keras.layers.Activation("sigmoid")])
    judge.compile(keras.optimizers.Adam(2e-4), "binary_crossentropy")
    lr_input = keras.Input((lr_side, lr_side, 3))
    frozen = keras.Sequential([discriminator, keras.layers.Activation("sigmoid")])
    sr = generator(lr_input)
    discriminator.trainable = False
    combined = keras.Model(lr_input, [frozen(sr), vgg(sr)])
    combined.compile(keras.optimizers.Adam(2e-4), ["binary_crossentropy", "mse"], loss_weights=[1e-3, 1.0])
    lr, hr = map(scaled, random_batch(lr_side, batch))
    real, fake = np.ones((batch, 1)), np.zeros((batch, 1))

    def step():
        sr = generator.predict(lr, verbose=0)
        discriminator.trainable = True
        judge.train_on_batch(hr, real)
        judge.train_on_batch(sr, fake)
        discriminator.trainable = False
        combined.train_on_batch(lr, [real, vgg.predict(hr, verbose=0)])

    return timed(step, rounds)
