"""Figures go by their titles, tell groups apart without colour, and are equal bytes when they are equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from srstudy.figures import camera, common, data, results, training

POINTS = pd.DataFrame({"source": ["x", "x", "y"], "mean_a": [0.0, 1.0, 4.0], "mean_b": [1.0, -1.0, 3.0]})
TILES = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
BARS = pd.DataFrame({"measure": "psnr_y", "value": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]})
ARMS = pd.DataFrame({"arm": ["as it is, seed 1", "as it is, seed 2", "a", "b", "c", "far"]}).assign(
    psnr_y=[27.5, 27.6, 27.4, 27.7, 27.5, 20]
)
DRAWN = {
    "photo_grid": lambda title: common.photo_grid({"a": TILES[0], "b": TILES[1]}, title),
    "tile_pairs": lambda title: data.tile_pairs(TILES, TILES[:, ::4, ::4], ["a", "b"], title),
    "colour_scatter": lambda title: data.colour_scatter({"a": POINTS}, title),
    "selection_panels": lambda title: data.selection_panels({"a": POINTS}, {"a": "A"}, title),
    "curves": lambda title: training.curves([{"step": 1, "content": 2.0}, {"step": 2, "content": 1.0}], title),
    "comparison": lambda title: common.comparison(TILES[0], TILES[0, ::4, ::4], {"SR": TILES[1]}, {}, title),
    "interval_bars": lambda title: results.interval_bars(BARS.assign(run=["a", "b"]), ["psnr_y"], "a", title),
    "effect_bars": lambda title: results.effect_bars(BARS.assign(factor=["a", "b"]), ["psnr_y"], title),
    "arm_dots": lambda title: results.arm_dots(ARMS, ["psnr_y"], title),
    "timing_bars": lambda title: results.timing_bars(pd.DataFrame({"stage": list("abcd"), "seconds": 1.0}), title),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_goes_by_its_title(name):
    assert repr(DRAWN[name]("all runs;\ndashed: bicubic")).startswith("Figure: all runs; dashed: bicubic")


def test_a_figure_tells_what_is_seen_in_it():
    assert repr(DRAWN["comparison"]("a photograph")) == (
        "Figure: a photograph. Side by side LR, SR, HR; below each, enlarged, a square of 9 px around the place "
        f"{place(common._most_lost(TILES[0]))}"
    )
    arms = "PSNR-Y (dB): as it is 27.5 to 27.6, lowest far 20, highest b 27.7"
    assert repr(DRAWN["arm_dots"]("arms")) == f"Figure: arms. {arms}"
    bars = "The dashed line is a. PSNR-Y (dB): lowest a 1, highest b 2"
    assert repr(DRAWN["interval_bars"]("runs")) == f"Figure: runs. {bars}"
    assert repr(DRAWN["tile_pairs"]("tiles")) == "Figure: tiles. LR above HR, a tile each of a, b"
    assert repr(DRAWN["colour_scatter"]("colours")).endswith("each mean: a a* +2, b* +1")
    panels = "A panel for each selection, a cross at its mean: a a* +2, b* +2"
    assert repr(DRAWN["selection_panels"]("colours")) == f"Figure: colours. {panels}"
    curves = "From the first to the last step: content 2 to 1"
    assert repr(DRAWN["curves"]("a run")) == f"Figure: a run. {curves}"
    assert repr(DRAWN["effect_bars"]("effects")).startswith("Figure: effects. PSNR-Y (dB): a +1 [")


def place(square: tuple[int, int, int]) -> str:
    """Where the middle of a square in a tile of 24 px is."""
    top, left, side = square
    return f"{100 * (left + side / 2) / 24:.0f}% from the left, {100 * (top + side / 2) / 24:.0f}% down"


def test_the_zoom_goes_where_reduction_loses_most():
    hr = np.full((100, 140, 3), 120, np.uint8)
    hr[:, :40] = 255  # a strong edge, of which little is lost
    hr[50:80, 90:120] = np.random.default_rng(0).integers(80, 160, (30, 30, 1), np.uint8)
    top, left, side = common._most_lost(hr)
    assert side == 40
    assert 40 <= top <= 50
    assert 80 <= left <= 90


@pytest.mark.parametrize(("count", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (17, [0, 5, 11, 16])])
def test_a_part_is_spread_evenly_from_the_first_to_the_last(count, places):
    assert common.spread(list(range(count)), 4) == places
    assert list(common.spread(pd.DataFrame({"a": range(count)}), 4).a) == places


def test_an_arm_far_off_is_an_arrow_with_its_value_and_does_not_squeeze_the_others():
    (panel,) = DRAWN["arm_dots"]("arms").axes
    low, high = panel.get_xlim()
    assert 27.3 < low < 27.4 < 27.7 < high < 27.8
    assert [text.get_text() for text in panel.texts] == ["20"]
    assert [line.get_marker() for line in panel.lines] == ["o", "<"]


def test_arms_that_are_all_near_have_no_arrow():
    (panel,) = results.arm_dots(ARMS[:-1], ["psnr_y"], "arms").axes
    assert not panel.texts


def test_the_legend_of_a_scatter_covers_no_point():
    figure = data.colour_scatter({name: POINTS for name in "abcdefg"}, "by source")
    figure.draw_without_rendering()
    (panel,) = figure.axes
    legend = panel.get_legend().get_window_extent()
    assert legend.x0 > panel.get_window_extent().x1
    assert legend.x1 <= figure.bbox.x1


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


def test_no_title_of_a_crop_lies_on_the_picture_above():
    figure = camera.frame_crops([{"the frame itself": np.zeros((64, 64, 3), np.uint8)}] * 3, "frames")
    figure.draw_without_rendering()
    above, below, last = figure.axes
    for upper, lower in ((above, below), (below, last)):
        assert lower.title.get_window_extent().y1 < upper.patch.get_window_extent().y0
