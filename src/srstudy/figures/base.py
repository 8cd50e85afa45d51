"""What notebooks show: figures with their alt text, as small as they can be stored; tables; and code as it runs."""

import base64
import inspect
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML, Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from srstudy.files import replacing

HIGHLIGHT = "#d55e00"  # Okabe and Ito's vermilion and blue: distinct for colour-blind readers
PLAIN = "#0072b2"
DPI, COLOURS, MARGIN = 100, 64, 0.06  # pixels an inch; colours of a chart's PNG; inches
WIDTH, QUALITY = 1100, 82  # a figure of photographs: px at most, and quality of its JPEG


class StudyFigure(Figure):
    """A figure that says what it shows: `alt` in words, `photographs` whether it shows any, which go into JPEG."""

    alt = ""
    photographs = False

    def __repr__(self) -> str:
        return ". ".join(filter(None, (f"Figure: {' '.join(self.get_suptitle().split())}", self.alt)))

    def _ipython_display_(self) -> None:
        """Show it in a notebook: one small image with its alt text, where IPython would store a full-colour PNG."""
        ending = "jpeg" if self.photographs else "png"
        mime, text = f"image/{ending}", repr(self)
        data = {mime: base64.b64encode(_encoded(self, ending)).decode(), "text/plain": text}
        display(data, metadata={mime: {"alt": text}}, raw=True)


def panels(count: int, columns: int, width: float, height: float, **options: object) -> tuple[StudyFigure, list[Axes]]:
    """A figure of `count` panels of so many inches, row by row, and the panels."""
    columns = min(columns, count) or 1
    rows = -(-count // columns) or 1
    options |= {"figsize": (width * columns, height * rows + 0.4), "layout": "constrained", "squeeze": False}
    with plt.rc_context({"text.parse_math": False}):  # a name with two "$" is no formula
        figure, axes = plt.subplots(rows, columns, FigureClass=StudyFigure, **options)
    for axis in axes.flat[count:]:
        axis.axis("off")
    return figure, list(axes.flat[:count])


def titled(figure: StudyFigure, title: str, alt: str, photographs: bool = False) -> StudyFigure:
    """The figure under its title, and out of pyplot's hands; `alt` says in words what it shows."""
    width = max(30, int(13 * figure.get_figwidth()))  # characters that fit over the figure
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in title.splitlines()), fontsize=10, parse_math=False)
    figure.alt, figure.photographs = alt, photographs
    plt.close(figure)  # the notebook shows what it is given; pyplot must not show it again
    return figure


def save_figure(figure: StudyFigure, path: str | Path) -> None:
    """Write a figure as PNG, JPEG or SVG, by the file's ending, whole or not at all, without a date inside."""
    with replacing(path) as temporary:
        temporary.write_bytes(_encoded(figure, temporary.suffix[1:].lower()))


def _encoded(figure: StudyFigure, ending: str) -> bytes:
    """The bytes of the image file, without the empty margin; equal figures give equal bytes."""
    drawn, stored, options = io.BytesIO(), io.BytesIO(), {"bbox_inches": "tight", "pad_inches": MARGIN}
    if ending == "svg":  # text stays text: smaller files, which can be searched and read aloud
        with plt.rc_context({"svg.hashsalt": "srstudy", "svg.fonttype": "none"}):
            figure.savefig(drawn, format="svg", metadata={"Date": None}, **options)
        return drawn.getvalue()
    figure.draw_without_rendering()  # the layout decides the width
    widest = (WIDTH - 1) / (figure.get_tightbbox().width + 2 * MARGIN) if figure.photographs else DPI
    figure.savefig(drawn, format="png", dpi=min(DPI, widest), **options)
    image = Image.open(drawn).convert("RGB")
    if ending in ("jpg", "jpeg"):
        image.save(stored, "JPEG", quality=QUALITY, optimize=True)
    else:
        image = image if figure.photographs else image.quantize(COLOURS, dither=Image.Dither.NONE)
        image.save(stored, "PNG", optimize=True)
    return stored.getvalue()


def spread(items: pd.DataFrame | Sequence, most: int) -> pd.DataFrame | list:
    """At most `most` (2 or more) rows of a table or items of a sequence, spread evenly from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return items.iloc[places] if isinstance(items, pd.DataFrame) else [items[place] for place in places]


def source(*items: object) -> Markdown:
    """The code of functions and classes as it runs, for a notebook to show; of a `tf.function` what it was made of."""
    code = [inspect.getsource(getattr(item, "python_function", item)) for item in items]
    return Markdown("```python\n" + "\n\n".join(textwrap.dedent(text) for text in code) + "```")


def show(table: pd.DataFrame, caption: str = "") -> HTML:
    """The whole table under its caption, no cell cut short; the index only where it has a name."""
    if not len(table):
        return HTML("<p>(nothing)</p>")
    with pd.option_context("display.max_colwidth", None, "display.html.use_mathjax", False):
        html = table.to_html(index=table.index.name is not None, border=0, justify="left", max_rows=None)
    return HTML(f"<p><b>{caption}</b></p>\n{html}" if caption else html)
