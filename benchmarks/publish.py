"""A result table, as CSV and in README."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from srstudy.files import write_csv, write_text

HERE = Path(__file__).resolve().parent


def publish(name: str, table: pd.DataFrame) -> None:
    """Write `NAME.csv`, and the table between the lines `<!-- NAME -->` and `<!-- end -->` of README.md."""
    write_csv(HERE / f"{name}.csv", table)
    cells = [list(table), ["---"] * len(table.columns), *table.astype(object).where(table.notna(), "").to_numpy()]
    rows = "\n".join(f"| {' | '.join(map(str, row))} |" for row in cells)
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    write_text(HERE / "README.md", between.sub(lambda _: f"\n{rows}\n\n", readme, count=1))
