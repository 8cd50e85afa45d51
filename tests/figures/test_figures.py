"""Figures go by their titles, tell groups apart without colour, and are equal bytes when they are equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from srstudy.figures import common, data, results, training

POINTS = pd.DataFrame({"source": ["x", "x", "y"], "mean_a": [0.0, 1.0, 4.0], "mean_b": [1.0, -1.0, 3.0]})
TILES = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
BARS = pd.DataFrame({"measure": "psnr_y", "value": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]})
DRAWN = {
    "photo_grid": lambda title: common.photo_grid({"a": TILES[0], "b": TILES[1]}, title),
    "tile_pairs": lambda title: data.tile_pairs(TILES, TILES[:, ::4, ::4], title),
    "colour_scatter": lambda title: data.colour_scatter({"a": POINTS}, title),
    "selection_panels": lambda title: data.selection_panels({"a": POINTS}, {"a": "A"}, title),
    "curves": lambda title: training.curves([{"step": 1, "content": 2.0}, {"step": 2, "content": 1.0}], title),
    "comparison": lambda title: common.comparison(TILES[0], TILES[0, ::4, ::4], {"SR": TILES[1]}, {}, title),
    "interval_bars": lambda title: results.interval_bars(BARS.assign(run=["a", "b"]), ["psnr_y"], "a", title),
    "effect_bars": lambda title: results.effect_bars(BARS.assign(factor=["a", "b"]), ["psnr_y"], title),
    "timing_bars": lambda title: results.timing_bars(pd.DataFrame({"stage": list("abcd"), "seconds": 1.0}), title),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_goes_by_its_title(name):
    assert repr(DRAWN[name]("all runs;\ndashed: bicubic")) == "Figure: all runs; dashed: bicubic"


@pytest.mark.parametrize("name", DRAWN)
def test_equal_figures_are_equal_bytes(name, tmp_path):
    for number in (1, 2):
        common.save_figure(DRAWN[name]("title"), tmp_path / f"{number}.png")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_groups_of_a_scatter_differ_in_marker_too():
    figure = data.colour_scatter({name: POINTS for name in "abcdefg"}, "by source")
    groups = [points for points in figure.axes[0].collections if not points.get_label().startswith("_")]
    assert [points.get_label() for points in groups] == [f"{name} (3)" for name in "abcdefg"]
    assert len({points.get_paths()[0].vertices.tobytes() for points in groups}) == 7


def test_a_selection_has_a_panel_with_its_photographs_and_its_cross_where_sources_weigh_alike():
    figure = data.selection_panels({"a": POINTS[1:2], "b": POINTS}, {"a": "A", "b": "B"}, "selections")
    panels = figure.axes
    assert [panel.get_title() for panel in panels] == ["A", "B"]
    offsets = [[points.get_offsets().tolist() for points in panel.collections] for panel in panels]
    everything = [[1, -1], [0, 1], [1, -1], [4, 3]]
    assert offsets[0] == [everything, [[1, -1]], [[1, -1]]]
    assert offsets[1] == [everything, [[0, 1], [1, -1], [4, 3]], [[2.25, 1.5]]]


def test_of_a_large_selection_a_part_is_drawn():
    figure = data.selection_panels({"a": pd.concat(700 * [POINTS])}, {"a": "A"}, "selections")
    assert [len(points.get_offsets()) for points in figure.axes[0].collections] == [1050, 1050, 1]


def test_no_two_of_twenty_groups_look_alike():
    figure = data.colour_scatter({f"source {number}": POINTS for number in range(20)}, "by source")
    groups = [points for points in figure.axes[0].collections if not points.get_label().startswith("_")]
    looks = {(points.get_paths()[0].vertices.tobytes(), points.get_facecolor().tobytes()) for points in groups}
    assert len(looks) == len(groups) == 20
