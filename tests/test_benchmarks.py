"""The benchmarks run for an hour and in no test; what they import, and how they count, is checked here."""

import ast
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.tiny import RECIPES, changed

from srstudy.networks.architectures import residual_generator
from srstudy.settings import LossWeights

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_the_study_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "srstudy":
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}"), alias.name


@pytest.fixture
def cost(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    yield import_module("cost")
    sys.modules.pop("cost", None)


def test_floating_point_operations_are_counted_as_on_paper(cost, tiles):
    """4 filters, 1 block, 8 px: 3x3 convolutions of 3 to 4 channels, three times 4 to 4, and 4 to 3 x 16."""
    first, rest = 2 * 8 * 8 * 9 * 3 * 4, 2 * 8 * 8 * 9 * (3 * 4 * 4 + 4 * 48)
    assert cost.flops(residual_generator(4, 1), 8) == first + rest
    pixel = changed(RECIPES["pixel"], crop=None, batch_size=1)
    assert cost.flops_per_step(pixel, tiles) == 2 * first + 3 * rest  # no gradient is needed for the image


def test_the_content_loss_costs_two_passes_forward_and_one_back(cost, tiles):
    """VGG's first convolution at 32 px, 3 to 64 channels: HR forward, SR forward, SR back to its pixels."""
    without = changed(RECIPES["srgan"], loss_weights=LossWeights(content=0.0, adversarial=1e-3, pixel=0.0))
    found = cost.flops_per_step(RECIPES["srgan"], tiles) - cost.flops_per_step(without, tiles)
    assert found == 3 * (2 * 32 * 32 * 9 * 3 * 64)
