"""Figures say what they show, are stored small and the same in equal runs, and draw what the numbers are."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import select_figure_formats
from IPython.utils.capture import capture_output
from PIL import Image
from traitlets.config import Config

from srstudy.figures import charts, pictures
from srstudy.figures.base import HIGHLIGHT, save_figure, show, source, spread
from srstudy.networks.architectures import discriminator, residual_generator, srgan_generator

RANDOM = np.random.default_rng(0)
TILES = RANDOM.integers(0, 256, (2, 24, 24, 3), np.uint8)
POINTS = pd.DataFrame({"source": ["x", "x", "y"], "mean_a": [0.0, 1.0, 4.0], "mean_b": [1.0, -1.0, 3.0]})
FACTS = pd.DataFrame({name: RANDOM.uniform(1, 100, 30) for name in ("focus", "width", "height")}).assign(
    source=["b", "a", "c"] * 10, noise=[1.0, 2.0, 3.0] * 10
)
BARS = pd.DataFrame({"run": ["a", "b"], "measure": "psnr_y", "value": [1, 2], "low": [0, 1], "high": [2, 3]})
ARMS = pd.DataFrame(
    {"arm": ["as it is, 1", "as it is, 2", *"abc", "far"], "psnr_y": [27.5, 27.6, 27.4, 27.7, 27.5, 20]}
)
RIVALS = pd.DataFrame({"method": ["a", "b", "c"], "kind": ["x", "y", "x"], "psnr_y": [25.0, 27.0, 26.0]}).assign(
    perceptual=[0.5, 0.25, 0.125], ms_per_mpx=[10.0, 1000.0, 0.1]
)
HISTORY = [{"step": 1, "content": 2.0}, {"step": 2, "content": 1.0, "psnr_y": 25.0}]
GROUPS = {name: pd.DataFrame({"noise": RANDOM.normal(at, 1, 50)}) for at, name in enumerate(["real", "bicubic"])}
LR = TILES[:, ::4, ::4]

METHODS = dict.fromkeys("abcdefg", TILES[1])
PHOTOGRAPHS = {  # the arguments before the title, and what the alt text begins with
    pictures.photo_grid: ([{"a": TILES[0], "b": TILES[1]}], "Thumbnails: a, b"),
    pictures.pair_grid: ([{"a | b": TILES}], "Pairs, one above the other: a | b"),
    pictures.tile_pairs: ([TILES, LR, ["a", "b"]], "LR above HR: a LR 6×6, b LR 6×6, HR 24×24"),
    pictures.camera_steps: ([TILES[0], [("blur", LR[0])], LR[1]], "One after another: HR 24×24, 1. blur 6×6, a "),
    pictures.frame_crops: ([[{"frame": LR[0], "SR": TILES[1]}] * 3], "Row by row: frame, SR"),
    pictures.comparison: ([TILES[0], LR[0], METHODS, {}], "Side by side LR 6×6, a, b, c, d, e, f, g, HR; below each, "),
}
SELECTED = [{"a": POINTS[1:2], "b": POINTS}, {"a": "A", "b": "B"}]
CHARTS = {
    charts.fact_boxes: (
        [FACTS, ["noise"]],
        "A row of boxes for each of a, b, c. Medians: noise (8-bit levels) lowest b ",
    ),
    charts.colour_scatter: ([{"x": POINTS[:2], "y": POINTS[2:]}], "A panel each, a cross at its mean: x a* +0, b* +0"),
    charts.selection_panels: (SELECTED, "A panel each, a cross at its mean: a a* +1, b* -1; b a* +2, b* +2"),
    charts.measure_histograms: ([GROUPS], "Medians: noise of real "),
    charts.curves: ([HISTORY], "From the first to the last step: content 2 to 1; PSNR-Y (dB) ↑ 25 to 25"),
    charts.interval_bars: ([BARS, ["psnr_y"], "b"], "The dashed line is b. PSNR-Y (dB) ↑: lowest a 1, highest b 2"),
    charts.effect_bars: ([BARS.rename(columns={"run": "factor"}), ["psnr_y"]], "The dashed line is no effect. PSNR-Y"),
    charts.arm_dots: ([ARMS, ["psnr_y"]], "PSNR-Y (dB) ↑: as it is 27.5 to 27.6, lowest far 20, highest b 27.7"),
    charts.perception_distortion: (
        [RIVALS],
        "PSNR-Y (dB) ↑ lowest a 25, highest b 27. VGG16-HED distance ↓ lowest c 0.125, highest a 0.5",
    ),
    pictures.network_diagram: ([srgan_generator(4, 1)], "From left to right: LR (32×32×3), Conv 9×9 4 filters + PReLU"),
}
DRAWN = {**PHOTOGRAPHS, **CHARTS}
each_figure = pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)


@each_figure
def test_a_figure_goes_by_its_title_and_says_what_it_shows(draw):
    arguments, alt = DRAWN[draw]
    assert repr(draw(*arguments, "all runs;\ndashed: bicubic")).startswith(f"Figure: all runs; dashed: bicubic. {alt}")


def test_a_dollar_in_a_name_is_no_formula(tmp_path):
    price = r"$\frac$ for $5"  # Matplotlib would refuse this formula
    boxes = charts.fact_boxes(FACTS.replace("a", price), ["focus"], price)
    figures = [
        pictures.photo_grid({price: TILES[0]}, price),
        pictures.comparison(TILES[0], LR[0], {price: TILES[1]}, {price: price}, price),
        charts.selection_panels({price: POINTS}, {price: price}, price),
        boxes,
    ]
    for figure in figures:
        save_figure(figure, tmp_path / "figure.png")
        assert figure.get_suptitle() == price
    ticks = boxes.axes[0].get_xticklabels()  # powers of ten are formulas
    assert any("10^" in tick.get_text() and tick.get_parse_math() for tick in ticks)
    assert "tex2jax_ignore" in show(pd.DataFrame({"photo": ["$a$"]})).data


@pytest.mark.parametrize("ending", ["png", "jpg", "svg"])
@pytest.mark.parametrize("draw", [pictures.photo_grid, charts.arm_dots])
def test_equal_figures_are_equal_bytes(draw, ending, tmp_path):
    for number in (1, 2):
        save_figure(draw(*DRAWN[draw][0], "title"), tmp_path / f"{number}.{ending}")
    assert (tmp_path / f"1.{ending}").read_bytes() == (tmp_path / f"2.{ending}").read_bytes()


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A notebook's shell, in which figures are shown as the inline backend shows them."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    select_figure_formats(shell, {"png"})
    yield shell
    InteractiveShell.clear_instance()


@each_figure
def test_a_notebook_stores_one_small_image_with_its_alt_text(draw, shell):
    figure, mime = draw(*DRAWN[draw][0], "title"), "image/jpeg" if draw in PHOTOGRAPHS else "image/png"
    with capture_output() as captured:
        shell.display_formatter.format(figure)
    (output,) = captured.outputs
    assert set(output.data) == {mime, "text/plain"}
    assert output.data["text/plain"] == output.metadata[mime]["alt"] == repr(figure)
    image = Image.open(io.BytesIO(base64.b64decode(output.data[mime])))
    assert image.width <= 1100 if draw in PHOTOGRAPHS else len(image.getcolors()) <= 64  # of a palette


@pytest.mark.parametrize(("count", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (17, [0, 5, 11, 16])])
def test_a_part_is_spread_evenly_from_the_first_to_the_last(count, places):
    assert spread(list(range(count)), 4) == places
    assert list(spread(pd.DataFrame({"a": range(count)}), 4).a) == places


def test_a_notebook_shows_the_code_that_runs():
    def double(x):
        return 2 * x

    expected = "```python\ndef double(x):\n    return 2 * x\n```"
    assert source(double).data == source(tf.function(double)).data == expected


def test_the_zoom_goes_where_reduction_loses_most():
    hr = np.full((100, 140, 3), 120, np.uint8)
    hr[:, :40] = 255  # a strong edge, of which little is lost
    hr[50:80, 90:120] = np.random.default_rng(0).integers(80, 160, (30, 30, 1), np.uint8)
    top, left, side = pictures._most_lost(hr)
    assert side == 40 and 40 <= top <= 50 and 80 <= left <= 90


def test_a_pair_is_drawn_one_above_the_other():
    grey, black = np.full((80, 60, 3), 99, np.uint8), np.zeros((80, 60, 3), np.uint8)
    (drawn,) = pictures.pair_grid({"a | b": (grey, black)}, "title").axes[0].images
    assert drawn.get_array()[[70, 146, 220], 90, 0].tolist() == [99, 255, 0]


def test_strips_are_the_first_the_last_and_some_between(tmp_path):
    assert pictures.strips(tmp_path, "none yet") is None
    for step in (1, 20, 300):
        Image.fromarray(TILES[0]).save(tmp_path / f"step-{step:06d}.png")
    assert repr(pictures.strips(tmp_path, "a run", most=2)) == "Figure: a run. One below the other: step 1, step 300"


CONV, SHAPE = "Conv 3×3 64 filters", "(32×32×64)"
SRGAN = (  # paper III-A
    f"Conv 9×9 64 filters + PReLU {SHAPE}, 16 times [{CONV} + Batch norm + PReLU {SHAPE}, {CONV} + Batch norm {SHAPE}, "
    f"+ {SHAPE}], {CONV} + Batch norm {SHAPE}, + {SHAPE}, Conv 3×3 256 filters + Shuffle ×2 + PReLU (64×64×64), "
    "Conv 3×3 256 filters + Shuffle ×2 + PReLU (128×128×64), Conv 9×9 3 filters + tanh (128×128×3)"
)
RESIDUAL = (  # EDSR, added to the bicubic enlargement
    f"{CONV} {SHAPE}, 16 times [{CONV} + ReLU {SHAPE}, {CONV} {SHAPE}, + {SHAPE}], {CONV} {SHAPE}, + {SHAPE}, "
    "Conv 3×3 48 filters + Shuffle ×4 (128×128×3), + (128×128×3)"
)


@pytest.mark.parametrize(("model", "words", "skips"), [(srgan_generator, SRGAN, 2), (residual_generator, RESIDUAL, 3)])
def test_the_drawing_of_a_generator_has_its_layers_shapes_and_skip_connections(model, words, skips):
    figure = pictures.network_diagram(model(), "G")
    assert repr(figure) == f"Figure: G. From left to right: LR (32×32×3), {words}, SR (128×128×3)"
    assert len(figure.axes[0].lines) == skips


def test_the_drawing_of_the_discriminator_has_its_eight_blocks():
    figure = pictures.network_diagram(discriminator(128, 4, 16), "D")
    for block in range(8):
        assert f", Conv 3×3 {4 * 2 ** (block // 2)} filters" + " stride 2" * (block % 2) + " + " in repr(figure)
    assert repr(figure).endswith("(8×8×32), Flatten (2,048), Dense 16 + LeakyReLU (16), Dense 1 (1), logit (1)")


@pytest.mark.parametrize("fact", ["focus", "side"])
def test_a_box_stands_at_the_median_of_its_source(fact):
    (panel,) = charts.fact_boxes(FACTS, [fact], "title").axes
    assert [label.get_text() for label in panel.get_yticklabels()] == ["a", "b", "c"]
    values = FACTS.assign(side=FACTS[["width", "height"]].min(axis=1)).groupby("source")[fact]
    medians = [line.get_xdata()[0] for line in panel.lines if line.get_color() == HIGHLIGHT]
    assert medians == pytest.approx(list(values.median()))


def test_a_fact_may_be_unknown_and_a_flat_photographs_focus_0():
    facts = FACTS.assign(noise=np.nan, focus=[0.0, *range(1, 30)])
    figure = charts.fact_boxes(facts, ["focus", "noise"], "title")
    assert figure.axes[0].get_xlim()[0] < 0
    assert [text.get_text() for text in figure.axes[1].texts] == ["none has one"]
    assert repr(figure).endswith("noise (8-bit levels) none")


def test_a_selection_has_its_photographs_and_its_cross_where_sources_weigh_alike():
    everything, *chosen = ([[1, -1], [0, 1], [1, -1], [4, 3]], [[1, -1]], [[0, 1], [1, -1], [4, 3]])
    for panel, points, cross in zip(charts.selection_panels(*SELECTED, "").axes, chosen, ([1, -1], [2.25, 1.5])):
        assert [drawn.get_offsets().tolist() for drawn in panel.collections] == [everything, points, [cross]]
    (panel,) = charts.selection_panels({"a": pd.concat(700 * [POINTS])}, {"a": "A"}, "a part of many").axes
    assert [len(points.get_offsets()) for points in panel.collections] == [1050, 1050, 1]


def test_an_arm_far_off_is_its_value_at_the_edge_and_does_not_squeeze_the_others():
    (panel,) = charts.arm_dots(ARMS, ["psnr_y"], "arms").axes
    low, high = panel.get_xlim()
    assert 27.3 < low < 27.4 < 27.7 < high < 27.8
    assert [text.get_text() for text in panel.texts] == ["◀ 20"]
    assert not charts.arm_dots(ARMS[:-1], ["psnr_y"], "arms").axes[0].texts


def test_dots_of_the_perception_distortion_plane_are_larger_where_a_method_takes_longer():
    (axis,) = charts.perception_distortion(RIVALS, "rivals").axes
    areas = {tuple(at): area for dots in axis.collections for at, area in zip(dots.get_offsets(), dots.get_sizes())}
    assert sorted(areas, key=areas.get) == [(26, 0.125), (25, 0.5), (27, 0.25)]
