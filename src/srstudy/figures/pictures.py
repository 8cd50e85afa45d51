"""Figures of photographs: side by side, in grids, step by step; and the drawing of a network."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps
from scipy.ndimage import uniform_filter

from srstudy.degrade.bicubic import SCALE, downscale, upscale
from srstudy.figures.base import HIGHLIGHT, StudyFigure, panels, spread, titled

CONV = "Conv {0.kernel_size[0]}×{0.kernel_size[0]}\n{0.filters} filters\nstride {0.strides[0]}"
TEXTS = {  # what a network's drawing says of a layer, by its class; other classes go by their name
    **{"Conv2D": CONV, "OutputConv": CONV, "Dense": "Dense {0.units:,}", "Add": "+", "InputLayer": "{0.name}"},
    **dict.fromkeys(("BatchNorm", "BatchNormalization"), "Batch norm"),
    **{"PixelShuffle": "Shuffle ×{0.scale}", "BicubicEnlargement": "bicubic"},
}
NAMES = {"lr": "LR", "sr": "SR", "relu": "ReLU"}
ACTIVATIONS = dict.fromkeys(("PReLU", "LeakyReLU", "ReLU", "tanh"), "#f7c9b0")
FOLLOWING = {"Batch": "#fbe3a4", "Shuffle": "#c3e6c0", "UpSampling2D": "#c3e6c0", **ACTIVATIONS}  # below their input
COLOURS = {"Conv": "#bcd7ee", "Dense": "#bcd7ee", **FOLLOWING}  # by the first word
ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0}


def photo_grid(images: Mapping[str, np.ndarray], title: str, columns: int = 8) -> StudyFigure:
    """Thumbnails with captions; `images` maps caption -> uint8 [H, W, 3]."""
    small = [
        (name, Image.fromarray(image).reduce(max(1, min(image.shape[:2]) // 120))) for name, image in images.items()
    ]
    return _grid("Thumbnails", small, title, columns, (1.35, 1.35))


def pair_grid(pairs: Mapping[str, Sequence[np.ndarray]], title: str, columns: int = 6) -> StudyFigure:
    """Photographs two by two, one above the other; `pairs` maps caption -> two of uint8 [H, W, 3], of any size."""
    pictures = []
    for caption, images in pairs.items():
        upper, lower = (ImageOps.pad(Image.fromarray(image), (180, 140), color="white") for image in images)
        pictures.append((caption, np.vstack([upper, np.full((12, 180, 3), 255, np.uint8), lower])))
    return _grid("Pairs, one above the other", pictures, title, columns, (1.8, 3.4))


def tile_pairs(hr: Sequence[np.ndarray], lr: Sequence[np.ndarray], names: Sequence[str], title: str) -> StudyFigure:
    """LR above HR, uint8 [s, s, 3] and [4s, 4s, 3], for a handful of tiles; `names` are those of their photographs."""
    above = [(f"{name}\nLR {_size(tile)}", tile) for name, tile in zip(names, lr)]
    below = [(f"HR {_size(tile)}", tile) for tile in hr]
    return _grid("LR above HR", above + below, title, len(names), (1.5, 2.0))


def camera_steps(
    hr: np.ndarray, steps: Sequence[tuple[str, np.ndarray]], real: np.ndarray, title: str, columns: int = 6
) -> StudyFigure:
    """HR, the picture after each step of the camera, and a real one, all drawn at the same size; uint8 [H, W, 3]."""
    numbered = [(f"{number}. {name}", image) for number, (name, image) in enumerate(steps, 1)]
    pictures = [("HR", hr), *numbered, ("a real frame", real)]
    sized = [(f"{name}\n{_size(image)}", image) for name, image in pictures]
    return _grid("One after another", sized, title, columns, (1.8, 2.3))


def frame_crops(crops: Sequence[Mapping[str, np.ndarray]], title: str) -> StudyFigure:
    """A row of pictures for each crop of a frame: method -> uint8 [H, W, 3], drawn at one size."""
    pictures = [picture for row in crops for picture in row.items()]
    return _grid("Row by row", pictures, title, len(crops[0]), (2.2, 2.5))


def strips(folder: str | Path, title: str, most: int = 6) -> StudyFigure | None:
    """The pictures of a run's validations one below the other, from the first to the last; None if it has none yet."""
    paths = spread(sorted(Path(folder).glob("step-*.png")), most)
    pictures = [(f"step {int(path.stem.rpartition('-')[2]):,}", Image.open(path)) for path in paths]
    return _grid("One below the other", pictures, title, 1, (8, 2.2)) if pictures else None


def _grid(alt: str, pictures: Sequence[tuple], title: str, columns: int, cell: tuple[float, float]) -> StudyFigure:
    """Pictures with their captions, row by row, each in a cell of so many inches."""
    figure, axes = panels(len(pictures), columns, *cell)
    for axis, (caption, image) in zip(axes, pictures):
        axis.axis("off")
        image = np.asarray(image)
        axis.imshow(image, interpolation="nearest" if len(image) < 80 else "auto")  # LR shows its pixels
        lines = [textwrap.fill(line, int(14 * cell[0])) for line in caption.splitlines()]
        axis.set_title("\n".join(lines), fontsize=min(10, 6 + cell[0]))
    captions = dict.fromkeys(" ".join(caption.split()) for caption, _ in pictures)
    return titled(figure, title, f"{alt}: {', '.join(captions)}", photographs=True)


def comparison(
    hr: np.ndarray, lr: np.ndarray, enlarged: Mapping[str, np.ndarray], captions: Mapping[str, str], title: str
) -> StudyFigure:
    """The paper's figures 1 to 3: LR, enlargements and HR side by side, a zoomed crop below each, captions under each.

    `hr`, and `enlarged` by method: uint8 [H, W, 3], H and W multiples of 4; `lr`: uint8 [H/4, W/4, 3].
    """
    columns = {f"LR {_size(lr)}": lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1), **enlarged, "HR": hr}
    top, left, side = _most_lost(hr)
    tall = min(len(hr) / hr.shape[1], 1.5)
    rows = {"gridspec_kw": {"height_ratios": [tall, 1]}}
    figure, axes = panels(2 * len(columns), len(columns), 2.15, 1.05 * (tall + 1) + 0.2, **rows)
    for (name, image), whole, zoom in zip(columns.items(), axes, axes[len(columns) :]):
        whole.imshow(image)
        for colour, width in (("white", 3.5), (HIGHLIGHT, 1.5)):  # visible on light and on dark
            whole.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=colour, linewidth=width))
        whole.set_title(textwrap.fill(name, 18, break_on_hyphens=False), fontsize=12)
        zoom.imshow(image[top : top + side, left : left + side], interpolation="nearest")
        zoom.set_xlabel(captions.get(name, ""), fontsize=10)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    across, down = (100 * (start + side / 2) / length for start, length in ((left, hr.shape[1]), (top, len(hr))))
    alt = f"Side by side {', '.join(columns)}; below each, enlarged, a square of {side} px around the place "
    return titled(figure, title, f"{alt}{across:.0f}% from the left, {down:.0f}% down", photographs=True)


def _most_lost(hr: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side, in pixels, of the square in which bicubic reduction loses most; it need not have contrast."""
    side = 2 * min(hr.shape[:2]) // 5
    lost = np.abs(hr.astype(float) - upscale(downscale(hr))).mean(axis=2)
    centre = np.unravel_index(uniform_filter(lost, side, mode="constant").argmax(), lost.shape)
    return *(int(np.clip(at - side // 2, 0, length - side)) for at, length in zip(centre, lost.shape)), side


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]}×{image.shape[0]}"


def network_diagram(model, title: str, side: int = 32) -> StudyFigure:
    """A Keras functional model from left to right, as the papers draw it; `side` px where its input has no fixed size.

    A column is a convolution or dense layer with the norm and activation after it, and below the shape that leaves it.
    Equal groups of columns that follow each other are drawn once, in a frame. A line above is a skip connection.
    """
    groups = _groups(_columns(model, model.input_shape[1] or side))
    columns = [column for group, _, _ in groups for column in group]
    sums = [column for column in columns if len(column.inputs) > 1]
    figure, (axis,) = panels(1, 1, 11, 3)
    right, y = 0.0, 0.0
    for group, times, _ in groups:
        for column in group:
            if right > 8 and not sums:  # only what has no skip connections can be wrapped
                right, y = 0.0, y - 1.8
            column.left = right + (0.45 if times > 1 and column is group[0] else 0.3)
            right = _draw_column(axis, column, right, y)
        if times > 1:
            left = group[0].left - 0.23
            axis.add_patch(Rectangle((left, -0.83), right + 0.1 - left, 1.78, fc="0.95", ec="0.6", zorder=0))
            axis.text(right + 0.04, -0.76, f"× {times}", fontsize=12, ha="right", weight="bold")
    for level, column in enumerate(sums):
        _draw_skip(axis, column, groups, 0.8 + 0.35 * level)
    right, top = max(column.right for column in columns) + 0.3, 0.8 + 0.35 * len(sums)
    axis.set(xlim=(0, right), ylim=(y - 0.9, top), aspect="equal")
    axis.axis("off")
    figure.set_size_inches(right, top - y + 1.2)
    return titled(figure, title, f"From left to right: {', '.join(text for _, _, text in groups)}")


def _columns(model, side: int) -> list[SimpleNamespace]:
    """The columns on the longest way through a network: texts, shape, depth, and inputs, the deepest of them last."""
    import keras  # takes seconds, and no other figure needs it

    outputs = keras.Model(model.input, [layer.output for layer in model.layers])(np.zeros((1, side, side, 3)))
    made = {}  # the id of a tensor -> the column that it leaves
    for layer, output in zip(model.layers, outputs):
        inputs = [made[id(tensor)] for tensor in keras.tree.flatten(layer.input) if id(tensor) in made]
        inputs.sort(key=lambda column: column.depth)
        kind, activation = type(layer).__name__, getattr(getattr(layer, "activation", None), "__name__", "linear")
        text = TEXTS.get(kind, kind).format(layer).removesuffix("\nstride 1")
        column = inputs[0] if text.split()[0] in FOLLOWING else SimpleNamespace(texts=[], inputs=inputs)
        column.depth = 1 + column.inputs[-1].depth if column.inputs else 0
        column.texts += [NAMES.get(name, name) for name in (text, activation) if name != "linear"]
        column.shape = "×".join(f"{length:,}" for length in output.shape[1:])
        made[id(layer.output)] = column
    way = [SimpleNamespace(texts=[NAMES.get(layer.name, layer.name)], inputs=[column], shape=column.shape)]
    while way[0].inputs:
        way.insert(0, way[0].inputs[-1])
    return way


def _groups(columns: list[SimpleNamespace]) -> list[tuple[list[SimpleNamespace], int, str]]:
    """Columns that repeat as a group of at most four, how many times, and in words; or one column, once."""
    words = [" + ".join(column.texts).replace("\n", " ") + f" ({column.shape})" for column in columns]
    letters = "".join(chr(65 + words.index(word)) for word in words)  # equal ones for equal columns
    groups = []
    for match in re.finditer(r"(.{1,4}?)\1+|.", letters):
        part = slice(match.start(), match.start() + len(match[1] or match[0]))
        times, text = len(match[0]) // len(columns[part]), ", ".join(words[part])
        groups.append((columns[part], times, f"{times} times [{text}]" if times > 1 else text))
    return groups


def _draw_column(axis: Axes, column: SimpleNamespace, before: float, y: float) -> float:
    """Its layers, one below the other around the height `y`, and an arrow from `before`; where it ends at the right."""
    width = {"+": 0.32}.get(column.texts[0], 0.94 if column.texts[0].split()[0] in COLOURS else 0.62)
    middle, column.right = column.left + width / 2, column.left + width
    style = {"ha": "center", "va": "center", "fontsize": 8}
    if column.inputs:
        axis.annotate("", (column.left, y), (before, y), arrowprops={**ARROW, "color": "0.25"})
    if column.texts == ["+"]:
        axis.text(middle, y, "+", bbox={"boxstyle": "circle,pad=0.1", "fc": "white"}, **{**style, "fontsize": 14})
        return column.right
    top = y + sum(0.14 + 0.08 * text.count("\n") for text in column.texts)
    for text in column.texts:
        colour, height = COLOURS.get(text.split()[0], "0.9"), 0.28 + 0.16 * text.count("\n")
        top -= height
        axis.add_patch(Rectangle((column.left, top), width, height, facecolor=colour, edgecolor="0.25"))
        axis.text(middle, top + height / 2, text, **style)
    axis.text(middle, top - 0.12, column.shape, color="0.3", **style)
    return column.right


def _draw_skip(axis: Axes, column: SimpleNamespace, groups: list, height: float) -> None:
    """A line, at `height`, into a sum from what else it adds; a column beside the longest way is named on it."""
    columns = [column for group, _, _ in groups for column in group]
    source, name = column.inputs[0], ""
    if source not in columns:
        source, name = source.inputs[0], source.texts[0]
    after, end = columns[columns.index(source) + 1], column.right - 0.16
    framed = any(column in group and after in group for group, _, _ in groups)
    start = after.left - 0.12 if framed else source.right + 0.08
    axis.plot([start, start, end], [0, height, height], color=HIGHLIGHT)
    axis.annotate("", (end, 0.16), (end, height), arrowprops={**ARROW, "color": HIGHLIGHT, "linewidth": 1.5})
    axis.text((start + end) / 2, height + 0.06, name, fontsize=8, ha="center")
