"""A result table, as CSV and in README."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd

from srstudy.files import write_csv, write_text

HERE = Path(__file__).resolve().parent


def publish(name: str, table: pd.DataFrame) -> None:
    """Write `NAME.csv`, and the table between the lines `<!-- NAME -->` and `<!-- end -->` of README.md."""
    write_csv(HERE / f"{name}.csv", table)
    with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        head, *body = csv.reader(file)
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body))
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    between = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end -->)", re.DOTALL)
    write_text(HERE / "README.md", between.sub(lambda _: f"\n{rows}\n\n", readme, count=1))
