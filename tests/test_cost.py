"""FLOPs are counted as on paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.tiny import RECIPES

from srstudy.cost import flops, flops_per_step
from srstudy.networks import discriminator, residual_generator
from srstudy.players import build_generator


def test_a_residual_generators_forward_pass():
    """4 filters, 1 block, 8 px: 3x3 convolutions of 3 to 4 channels, three times 4 to 4, and 4 to 3 x 16."""
    assert flops(residual_generator(4, 1), 8) == 2 * 8 * 8 * 9 * (3 * 4 + 3 * 4 * 4 + 4 * 48)


@pytest.mark.parametrize(("change", "forward"), [({}, 3), ({"relativistic": True}, 4)])
def test_an_update_of_both_players(tiles, change, forward):
    recipe = replace(RECIPES["srgan"], content=None, **change)
    recipe = replace(recipe, loss_weights=replace(recipe.loss_weights, content=0.0))
    generator, judge = flops(build_generator(recipe.generator), 8), flops(discriminator(32, 2, 4, 0.5), 32)
    assert flops_per_step(recipe, tiles) == 3 * generator + (forward + 5) * judge
