"""FLOPs are counted as on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tensorflow as tf
from tests.tiny import RECIPES

from srstudy.networks.architectures import residual_generator
from srstudy.settings import LossWeights
from srstudy.train.cost import flops, flops_per_step
from srstudy.train.players import make_players
from srstudy.train.step import Update


def test_a_residual_generators_forward_pass():
    """4 filters, 1 block, 8 px: 3x3 convolutions of 3 to 4 channels, three times 4 to 4, and 4 to 3 x 16."""
    assert flops(residual_generator(4, 1), 8) == 2 * 8 * 8 * 9 * (3 * 4 + 3 * 4 * 4 + 4 * 48)


def traced_flops(recipe, lr_side: int) -> float:
    """What convolutions and matrix products of the compiled step cost, by the shapes in its graph.

    Of what was traced, only operations that a result needs count, as TensorFlow leaves out the rest.
    """
    update = Update(recipe, make_players(recipe, 4 * lr_side, 1, None), 1, tf.distribute.get_strategy())
    images = [tf.TensorSpec((recipe.batch_size, side, side, 3), tf.uint8) for side in (lr_side, 4 * lr_side)]
    graph = update._update.get_concrete_function(*images, tf.TensorSpec((), tf.int64)).graph
    waiting, needed = [*graph.control_outputs, *(tensor.op for tensor in graph.outputs)], set()
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
    return sum(map(operation_flops, needed))


def operation_flops(operation: tf.Operation) -> float:
    """Each place of the maps, times all numbers of the kernel; rows times columns times what is summed over."""
    shapes = [tensor.shape for tensor in operation.inputs]
    if operation.type == "MatMul":
        summed = shapes[0][0] if operation.get_attr("transpose_a") else shapes[0][1]
        return 2.0 * operation.outputs[0].shape.num_elements() * summed
    if not operation.type.startswith("Conv2D"):
        return 0.0
    made = operation.outputs[0].shape
    kernel = made if operation.type == "Conv2DBackpropFilter" else shapes[1]
    maps = made if operation.type == "Conv2D" else shapes[2]
    return 2.0 * kernel.num_elements() * maps[:3].num_elements()


NO_CONTENT = {"loss_weights": LossWeights(content=0.0, adversarial=1e-3, pixel=0.0)}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("srgan", {}),
        ("srgan", NO_CONTENT),
        ("srgan", {"relativistic": True, "batch_size": 2}),
        ("srgan", {"loss_weights": LossWeights(content=1.0, adversarial=0.0, pixel=0.0)}),
        ("pixel", {}),
    ],
)
def test_a_step_costs_what_its_compiled_graph_holds(tiles, name, change):
    recipe = replace(RECIPES[name], **change)
    assert flops_per_step(recipe, tiles) == traced_flops(recipe, recipe.crop or 8)


def test_the_content_loss_costs_two_passes_forward_and_one_back(tiles):
    """VGG's first convolution at 32 px, 3 to 64 channels: HR forward, SR forward, SR back to its pixels."""
    with_content, without = (flops_per_step(replace(RECIPES["srgan"], **change), tiles) for change in ({}, NO_CONTENT))
    assert with_content - without == 3 * (2 * 32 * 32 * 9 * 3 * 64)
