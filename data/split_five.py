#!/usr/bin/env python3
"""Give every photograph in five/PHOTOGRAPHS.csv its split: `python data/split_five.py` writes the column anew.

What may show the same thing is drawn together: ten neighbouring numbers of MirFlickr, portraits whose Pixabay numbers
are less than 1,000 apart (one photographer's session, so often one person). The street's stills are of one video: its
beginning is for testing, its end for validation. Intel's own test folder gives the test and validation photographs.
"""

import csv
import hashlib
import re
from itertools import pairwise
from pathlib import Path

TABLE = Path(__file__).resolve().parent / "five" / "PHOTOGRAPHS.csv"
SHARES = {  # of 100 units, how many are for testing, and how many for validation
    "mirflickr_600": (10, 2),
    "imagenet_250": (20, 4),
    "portraits": (20, 4),
    "intel_400": (60, 15),  # of its test folder
}


def number(row: dict[str, str]) -> int:
    """The last number in a file's name but for Pixabay's size: im12.jpg, man-109159_1280.jpg, 000163.jpg."""
    return int(re.findall(r"\d+", row["file"].replace("_1280", ""))[-1])


def units(rows: list[dict[str, str]]) -> list[str]:
    """What is drawn together, for each row of a source."""
    source = rows[0]["source"]
    if source == "mirflickr_600":
        return [str((number(row) - 1) // 10) for row in rows]
    if source == "portraits":
        known = sorted(number(row) for row in rows)
        first = {one: one for one in known}
        for before, one in pairwise(known):
            if one - before < 1000:
                first[one] = first[before]
        return [str(first[number(row)]) for row in rows]
    return [row["file"] for row in rows]


def split_of(row: dict[str, str], unit: str) -> str:
    """The split of a photograph."""
    source = row["source"]
    if source == "street":
        return "test" if number(row) <= 163 else "validation" if number(row) >= 1065 else "train"
    if source == "intel_400" and not row["path"].startswith("test/"):
        return "train"
    test, validation = SHARES[source]
    drawn = int(hashlib.sha256(f"{source} {unit}".encode()).hexdigest(), 16) % 100
    return "test" if drawn < test else "validation" if drawn < test + validation else "train"


def with_splits(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of the table, each with its split."""
    done = []
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source]
        done += [{**row, "split": split_of(row, unit)} for row, unit in zip(own, units(own))]
    return done


def main() -> None:
    """Write the table anew."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = with_splits(list(csv.DictReader(file)))
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
