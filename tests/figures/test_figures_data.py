"""Pictures of the data: a box per source in every panel, and both photographs of a pair as they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from srstudy.figures.common import HIGHLIGHT, save_figure
from srstudy.figures.data import FACTS, fact_boxes, pair_grid

RANDOM = np.random.default_rng(0)
FACT_TABLE = pd.DataFrame({name: RANDOM.uniform(1, 100, 30) for name in (*FACTS, "width", "height")}).assign(
    source=["b", "a", "c"] * 10, jpeg_quality=[np.nan, 90.0, 80.0] * 10
)
PHOTOS = RANDOM.integers(0, 256, (2, 50, 70, 3), np.uint8)
DRAWN = {
    "fact_boxes": lambda title: fact_boxes(FACT_TABLE, list(FACTS), title),
    "pair_grid": lambda title: pair_grid({"a | b": PHOTOS}, title),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_goes_by_its_title(name):
    assert repr(DRAWN[name]("by source")) == "Figure: by source"


@pytest.mark.parametrize("name", DRAWN)
def test_equal_figures_are_equal_bytes(name, tmp_path):
    for number in (1, 2):
        save_figure(DRAWN[name]("title"), tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def medians(panel) -> list[float]:
    """Where the medians of a panel are drawn."""
    return [line.get_xdata()[0] for line in panel.lines if line.get_color() == HIGHLIGHT]


def test_a_box_stands_at_the_median_of_its_source():
    panel = fact_boxes(FACT_TABLE, ["noise"], "title").axes[0]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a", "b", "c"]
    assert medians(panel) == pytest.approx(list(FACT_TABLE.groupby("source").noise.median()))


def test_the_side_of_a_photograph_is_its_shorter_one():
    panel = fact_boxes(FACT_TABLE, ["side"], "title").axes[0]
    shorter = FACT_TABLE[["width", "height"]].min(axis=1).groupby(FACT_TABLE.source).median()
    assert medians(panel) == pytest.approx(list(shorter))


def test_a_pair_is_drawn_one_above_the_other():
    white, black = np.full((60, 80, 3), 255, np.uint8), np.zeros((60, 80, 3), np.uint8)
    (drawn,) = pair_grid({"a | b": (white, black)}, "title", columns=1).axes[0].images
    height = drawn.get_array().shape[0]
    assert drawn.get_array()[height // 4, 90].tolist() == [255] * 3
    assert drawn.get_array()[3 * height // 4, 90].tolist() == [0] * 3
