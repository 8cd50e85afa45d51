"""Every photograph of a profile: the scans joined, split, and of each the reason why it is left out, if it is."""

from __future__ import annotations

import sys
import zlib
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from srstudy.config import Study
from srstudy.data.duplicates import duplicate_groups
from srstudy.data.manifest import usable
from srstudy.data.sources import FIELDS, photo_table
from srstudy.degrade.bicubic import SCALE
from srstudy.errors import StudyError

RANK = {"test": 0, "validation": 1, "train": 2}  # of duplicates in two splits, the later one gives way
COPY = "duplicate of one whose split is given"


def make_manifest(study: Study) -> pd.DataFrame:
    """The scans of the profile's sources, `data/scans/SOURCE.parquet`, as one table: a row a photograph, by id.

    Its columns are those of `scan.SCHEMA` but the thumbnail, and `group` (equal for duplicates), `split`, `content`,
    `title`, `author`, `licence`. `excluded` also names photographs smaller than the largest HR tile, and of each group
    of duplicates all but one; so no photograph has a near-duplicate in another split. One whose split a table gives
    keeps it, whatever other sources hold: their copies of it are left out, and a line on stderr says how many.
    Raises StudyError when a scan is missing, two photographs share an id, or nothing is left to train or test on.
    """
    manifest = pd.concat([_described(study, name) for name in study.profile.sources], ignore_index=True)
    manifest = manifest.sort_values("id", ignore_index=True)
    twice = manifest.id[manifest.id.duplicated()]
    if len(twice):
        raise StudyError(f"two photographs are called '{twice.iloc[0]}'; rename the file of one.")
    hr_size = SCALE * study.largest_lr_size
    small = (manifest.excluded == "") & (manifest[["width", "height"]].min(axis=1) < hr_size)
    sizes = manifest.width.astype(str) + "x" + manifest.height.astype(str)
    manifest.loc[small, "excluded"] = f"smaller than the HR tile of {hr_size}x{hr_size}: " + sizes[small]
    manifest["group"] = duplicate_groups(manifest, study.data.duplicates)
    given = manifest[manifest.given]
    # Grouped without the others, because one of those can link two photographs that are no duplicates.
    given = given.assign(group=duplicate_groups(given, study.data.duplicates))
    manifest.loc[given.index, "excluded"] = _without_duplicates(given)
    manifest["excluded"] = _without_copies(manifest)
    others = manifest[~manifest.given]
    manifest.loc[others.index, "excluded"] = _without_duplicates(others)
    _check_splits(manifest)
    return manifest.drop(columns=["thumbnail", "given"])


def split_of(id: str, held_out: int, seed: int) -> str:
    """1 photograph in `held_out` is for testing, 1 for validation; it hangs on the id alone, so that further files
    never move a photograph into another split.
    """
    bucket = zlib.crc32(f"{seed} {id}".encode()) % held_out
    return {0: "test", 1: "validation"}.get(bucket, "train")


def _described(study: Study, name: str) -> pd.DataFrame:
    """A source's scan with split, content, title, author and licence: from its table, or the source's terms for all.

    `given`: whether the table says the split.
    """
    path = study.root / "data" / "scans" / f"{name}.parquet"
    scan = pd.read_parquet(path) if path.is_file() else ()
    if not len(scan):  # as under a profile without this source
        raise StudyError(
            f"{path}: this source is not scanned yet; set `profile: {study.profile_name}` and run `dvc repro`."
        )
    source, stems = study.data.sources[name], [PurePosixPath(member).stem for member in scan.member]
    if source.table is None:
        splits = [split_of(id, study.data.held_out, study.seed) for id in scan.id]
        return scan.assign(split=splits, content="", title=stems, author="", licence=source.licence, given=False)
    photos = photo_table(study, name)
    missing = sorted(photos.keys() - set(stems))
    if missing:
        raise StudyError(f"{source.table}: lists '{missing[0]}', which source {name} lacks; restore it or its row.")
    for column in FIELDS:
        scan[column] = [getattr(photos[stem], column) if stem in photos else "" for stem in stems]
    unlisted = [stem not in photos for stem in stems]
    scan.loc[unlisted, ["source", "excluded"]] = name, f"not listed: {source.table}"
    return scan.assign(given=scan.split != "")


def _without_copies(manifest: pd.DataFrame) -> pd.Series:
    """`excluded`, with a reason for each duplicate of a photograph whose split is given, itself left out or not: its
    split may have been trained on before, as the sample's was for the warm starts.

    Of several such photographs in a group, the reason names one that is kept, if any is.
    """
    kept_first = manifest[manifest.given].sort_values("excluded", kind="stable")
    originals = kept_first.groupby("group").id.first()
    copies = manifest[~manifest.given & (manifest.excluded == "") & manifest.group.isin(originals.index)]
    if len(copies):
        one = copies.iloc[0]
        print(
            f"{', '.join(sorted(set(copies.source)))}: {len(copies)} left out as duplicates of photographs whose split "
            f"is given, such as '{one.member}' of '{originals[one.group]}'; 01_data counts them.",
            file=sys.stderr,
        )
    excluded = manifest.excluded.copy()
    excluded[copies.index] = [f"{COPY}: {originals[group]}" for group in copies.group]
    return excluded


def _without_duplicates(manifest: pd.DataFrame) -> pd.Series:
    """`excluded`, with a reason for each duplicate (equal `group`) but the one that is kept.

    That is one of the test split before validation before train, the largest, the sharpest, the first by id.
    """
    rows = manifest[manifest.excluded == ""]
    order = pd.DataFrame({
        "group": rows.group, "rank": rows.split.map(RANK), "size": -rows.width.astype(np.int64) * rows.height,
        "sharpness": -rows.sharpness, "id": rows.id,
    })  # fmt: skip
    order = order.sort_values(list(order))
    best = manifest.loc[order.groupby("group").head(1).index].set_index("group")
    given_up = rows[~rows.id.isin(best.id)]
    kept = best.loc[given_up.group]
    excluded = manifest.excluded.copy()
    excluded[given_up.index] = [
        f"duplicate in {there}: {id}" if there != here else f"duplicate: {id}"
        for here, there, id in zip(given_up.split, kept.split, kept.id)
    ]
    return excluded


def _check_splits(manifest: pd.DataFrame) -> None:
    for split in ("train", "test"):
        if not len(usable(manifest, split)):
            reasons = "; ".join(sorted(set(manifest.excluded[manifest.split == split]))[:5]) or "none listed"
            raise StudyError(
                f"no usable photograph in the {split} split ({reasons}); add photographs, or choose a "
                "smaller `lr_size` or another `data.held_out`."
            )
