"""The table of all photographs of a profile, as `splits.make_manifest` makes it: kept, read, and counted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow

from srstudy.config import Study
from srstudy.data.sources import SPLITS, paper_table
from srstudy.errors import StudyError
from srstudy.files import replacing


def usable(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of one split that are not excluded."""
    return manifest[(manifest.split == split) & (manifest.excluded == "")]


def save_manifest(path: str | Path, manifest: pd.DataFrame) -> None:
    """Write a manifest as Parquet, whole or not at all."""
    with replacing(path) as temporary:
        manifest.to_parquet(temporary, index=False)


def open_manifest(path: str | Path) -> pd.DataFrame:
    """Read a manifest of `save_manifest`. Raises StudyError if it is missing."""
    if not Path(path).is_file():
        raise StudyError(f"{path}: no manifest yet; run `dvc repro data`.")
    manifest = pd.read_parquet(path)
    pyarrow.default_memory_pool().release_unused()  # else Arrow keeps more than the table takes, to the end
    return manifest


def table_1(study: Study, manifest: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 1 with what there is: the size the set is known for, files found, of these usable, and the
    median size of those.
    """
    usable_rows = manifest[manifest.excluded == ""]
    files, left = manifest.source.value_counts(), usable_rows.source.value_counts()
    sizes = usable_rows.groupby("source")[["width", "height"]].median()
    names = [name for name, source in study.data.sources.items() if source.paper is not None]
    return paper_table(study).assign(
        native=[study.data.sources[name].native for name in names],
        files=[files.get(name, "not in this profile") for name in names],
        usable=[left.get(name, 0) if name in files else "" for name in names],
        size=[f"{sizes.width[name]:.0f}x{sizes.height[name]:.0f}" if name in sizes.index else "" for name in names],
    )


def by_source(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts per source: photographs, of these excluded, per split those that are left, and what they show."""
    rows = []
    for source, group in manifest.groupby("source"):
        left = group[group.excluded == ""]
        contents = group.content[group.content != ""].value_counts().sort_index()
        shown = ", ".join(f"{name} {count}" for name, count in contents.items())
        rows.append({
            "source": source, "photographs": len(group), "excluded": len(group) - len(left),
            **{split: int((left.split == split).sum()) for split in SPLITS}, "contents": shown,
        })  # fmt: skip
    return pd.DataFrame(rows)


def by_reason(manifest: pd.DataFrame) -> pd.DataFrame:
    """Excluded photographs: a row per reason, without the detail, a column per source, and their sum."""
    excluded = manifest[manifest.excluded != ""]
    reasons = excluded.excluded.str.split(": ").str[0]
    table = pd.crosstab(reasons.rename("reason"), excluded.source, margins=True, margins_name="all")
    return table.rename_axis(columns=None)


def by_licence(manifest: pd.DataFrame) -> pd.DataFrame:
    """Files: a row per licence, a column per source."""
    return pd.crosstab(manifest.licence, manifest.source).rename_axis(columns=None)


def colours(photos: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over photographs of the mean colour of each, and of its colourfulness, per source."""
    names = ["mean_l", "mean_a", "mean_b", "colourfulness"]
    found = photos.groupby("source")[names].agg(["mean", "std"])
    cells = {name: [f"{mean:.1f} ± {std:.1f}" for mean, std in found[name].to_numpy()] for name in names}
    return pd.DataFrame({"photographs": photos.source.value_counts().sort_index(), **cells}).rename_axis("source")


def duplicate_pairs(manifest: pd.DataFrame) -> list[tuple[str, str]]:
    """(kept, left out) ids of every photograph that was left out as a duplicate."""
    left_out = manifest[manifest.excluded.str.startswith("duplicate")]
    return [(reason.partition(": ")[2], id) for reason, id in zip(left_out.excluded, left_out.id)]
