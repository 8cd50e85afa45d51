"""What a training step costs in arithmetic, counted from the networks; how fast it ran is in `reports/rates`."""

from __future__ import annotations

import keras

from srstudy.degrade import SCALE
from srstudy.networks import discriminator
from srstudy.perceptual import feature_network
from srstudy.players import build_generator
from srstudy.settings import Recipe
from srstudy.tiles import Tiles


def flops(model: keras.Model, side: int) -> float:
    """Floating-point operations of one forward pass on one image of `side` pixels; convolutions and dense layers only.

    A multiplication and an addition count as two. What is left out (norms, activations) is about 1%.
    """
    probe = keras.models.clone_model(model, input_tensors=keras.Input((side, side, 3)))
    total = 0.0
    for layer in probe.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            kernel_height, kernel_width, channels, filters = layer.kernel.shape
            total += 2.0 * height * width * kernel_height * kernel_width * channels * filters
        elif isinstance(layer, keras.layers.Dense):
            total += 2.0 * layer.kernel.shape[0] * layer.kernel.shape[1]
    return total


def flops_per_step(recipe: Recipe, tiles: Tiles) -> float:
    """Floating-point operations of one update of each player, for the whole batch.

    A backward pass costs as much as a forward one for the inputs and once more for the weights. The generator runs
    forward and backward; the discriminator forward three times (HR, SR, SR again for the generator; HR again too, if it
    is relativistic), backward for its own update twice and once for the generator's inputs; the content network forward
    twice and back to its inputs once.
    """
    lr_side = recipe.crop or tiles.lr.shape[1]
    total = 3 * flops(build_generator(recipe.generator), lr_side)
    hr_side = SCALE * lr_side
    if recipe.loss_weights.adversarial:
        settings = recipe.discriminator
        network = discriminator(hr_side, settings.filters, settings.dense, settings.momentum)
        total += (3 + recipe.relativistic + 2 * 2 + 1) * flops(network, hr_side)
    if recipe.loss_weights.content:
        total += 3 * flops(feature_network(recipe.content.network, (recipe.content.layer,), None), hr_side)
    return total * recipe.batch_size
