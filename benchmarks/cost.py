"""What a training step costs in arithmetic, counted from the networks."""

from __future__ import annotations

import keras
from untrained import untrained_vgg

from srstudy.degrade.bicubic import SCALE
from srstudy.networks.architectures import discriminator
from srstudy.sets.tiles import Tiles
from srstudy.settings import Recipe
from srstudy.train.model import build_generator


def flops(model: keras.Model, side: int) -> float:
    """Floating-point operations of one forward pass on one image of `side` pixels; convolutions and dense layers only.

    A multiplication and an addition count as two. What is left out (norms, activations) is about 1%.
    """
    return sum(layer_flops(model, side))


def layer_flops(model: keras.Model, side: int) -> list[float]:
    """The same, layer by layer from the image on."""
    probe = keras.models.clone_model(model, input_tensors=keras.Input((side, side, 3)))
    found = []
    for layer in probe.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            kernel_height, kernel_width, channels, filters = layer.kernel.shape
            found.append(2.0 * height * width * kernel_height * kernel_width * channels * filters)
        elif isinstance(layer, keras.layers.Dense):
            found.append(2.0 * layer.kernel.shape[0] * layer.kernel.shape[1])
    return found


def flops_per_step(recipe: Recipe, tiles: Tiles) -> float:
    """Floating-point operations of one update of each network, for the whole batch.

    A backward pass costs as much as a forward one for the weights and once more for the inputs. The generator learns
    once; the discriminator twice (from HR and from SR), and it judges SR for the generator, forward and back to its
    inputs (HR too, forward, if it is relativistic). The content network runs forward on HR, and forward and back to its
    inputs on SR.
    """
    lr_side = recipe.crop or tiles.lr.shape[1]
    hr_side = SCALE * lr_side
    total = _learning(build_generator(recipe.generator), lr_side)
    if recipe.loss_weights.adversarial:
        own = recipe.discriminator
        network = discriminator(hr_side, own.filters, own.dense, own.momentum)
        total += 2 * _learning(network, hr_side) + (2 + recipe.relativistic) * flops(network, hr_side)
    if recipe.loss_weights.content:
        total += 3 * flops(untrained_vgg(recipe.content), hr_side)
    return total * recipe.batch_size


def _learning(network: keras.Model, side: int) -> float:
    """Forward and back to all weights: no gradient is needed for the image, the first layer's input."""
    layers = layer_flops(network, side)
    return 3 * sum(layers) - layers[0]
