"""How a table looks in a notebook and on its page."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML


def show(table: pd.DataFrame, caption: str = "") -> HTML:
    """The whole table under its caption, no cell cut short; the index only where it has a name."""
    with pd.option_context("display.max_colwidth", None):
        html = table.to_html(index=table.index.name is not None, border=0, justify="left", max_rows=None)
    return HTML(f"<p><b>{caption}</b></p>\n{html}" if caption else html)
