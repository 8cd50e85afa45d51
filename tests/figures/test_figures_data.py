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
    assert repr(DRAWN[name]("by source")).startswith("Figure: by source. ")


def test_figures_tell_what_is_seen_in_them():
    assert repr(DRAWN["pair_grid"]("pairs")) == "Figure: pairs. Pairs, one above the other: a | b"
    flat = FACT_TABLE.assign(noise=[1.0, 2.0, 3.0] * 10, jpeg_quality=90.0)
    assert repr(fact_boxes(flat, ["noise", "jpeg_quality"], "facts")) == (
        "Figure: facts. A row of boxes for each of a, b, c. Medians: noise (8-bit levels) 1 (b) to 3 (c); "
        "JPEG quality 90 for all that have one"
    )


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


@pytest.mark.parametrize(("value", "text"), [(90.0, "90 for all that have one"), (np.nan, "none has one")])
def test_a_fact_that_all_share_is_written(value, text):
    panel = fact_boxes(FACT_TABLE.assign(jpeg_quality=value), ["jpeg_quality", "noise"], "title", columns=2).axes[0]
    assert [drawn.get_text() for drawn in panel.texts] == [text]
    assert not panel.lines
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a", "b", "c"]


def test_a_flat_photograph_s_sharpness_of_0_is_within_the_axis():
    panel = fact_boxes(FACT_TABLE.assign(sharpness=[0.0, *range(1, 30)]), ["sharpness"], "title").axes[0]
    assert panel.get_xlim()[0] < 0
    assert min(min(line.get_xdata(), default=1) for line in panel.lines) == 0


def test_a_pair_is_drawn_one_above_the_other():
    grey, black = np.full((80, 60, 3), 99, np.uint8), np.zeros((80, 60, 3), np.uint8)
    (drawn,) = pair_grid({"a | b": (grey, black)}, "title", columns=1).axes[0].images
    height = drawn.get_array().shape[0]
    assert drawn.get_array()[height // 4, 90].tolist() == [99] * 3
    assert drawn.get_array()[height // 2, 90].tolist() == [255] * 3  # tall ones do not touch
    assert drawn.get_array()[3 * height // 4, 90].tolist() == [0] * 3
