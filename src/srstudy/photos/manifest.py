"""The table of all photographs of a profile: the scans joined, split, and of each the reason why it is left out."""

import zlib
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE
from srstudy.photos.duplicates import duplicate_groups
from srstudy.photos.sources import FIELDS, SPLITS, photo_table
from srstudy.study import Study


def make_manifest(study: Study) -> pd.DataFrame:
    """The scans of the profile's sources, `data/scans/SOURCE.parquet`, as one table: a row a photograph, by id.

    Columns: those of `scan.SCHEMA` but the thumbnail, `group` (equal for duplicates), split, content, title, author and
    licence. `source`, which sets take in turn, is a name under `data.sources`, or where a table has one, the package or
    the author that a photograph comes from. `excluded` also names photographs smaller than the largest HR tile, and of
    each group of duplicates all but one; so none has a near-duplicate in another split. One whose split a table gives
    keeps it, whatever other sources hold: their copies of it are left out.
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
    _leave_out_duplicates(manifest, given.assign(group=duplicate_groups(given, study.data.duplicates)))
    # A photograph whose split is given, itself left out or not, may have been trained on before, as those of the sample
    # were for the warm starts: copies of it are left out. The reason names one that is kept, if any is.
    ids = manifest[manifest.given].sort_values("excluded", kind="stable").groupby("group").id.first()
    copies = manifest[(manifest.excluded == "") & ~manifest.given & manifest.group.isin(ids.index)]
    manifest.loc[copies.index, "excluded"] = [f"duplicate of one whose split is given: {ids[g]}" for g in copies.group]
    _leave_out_duplicates(manifest, manifest[~manifest.given])
    for split in ("train", "test"):
        if not len(usable(manifest, split)):
            reasons = "; ".join(sorted(set(manifest.excluded[manifest.split == split]))[:5]) or "none listed"
            way_out = "add photographs, or choose a smaller `lr_size` or another `data.held_out`"
            raise StudyError(f"no usable photograph in the {split} split ({reasons}); {way_out}.")
    return manifest.drop(columns=["thumbnail", "given"])


def split_of(id: str, held_out: int, seed: int) -> str:
    """1 photograph in `held_out` is for testing, 1 for validation, by its id alone: further files move none of them."""
    bucket = zlib.crc32(f"{seed} {id}".encode()) % held_out
    return {0: "test", 1: "validation"}.get(bucket, "train")


def usable(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of one split that are not excluded."""
    return manifest[(manifest.split == split) & (manifest.excluded == "")]


def open_manifest(path: str | Path) -> pd.DataFrame:
    """Read the manifest. Raises StudyError if it is missing."""
    if not Path(path).is_file():
        raise StudyError(f"{path}: no manifest yet; run `dvc repro data`.")
    manifest = pd.read_parquet(path)
    pyarrow.default_memory_pool().release_unused()  # else Arrow keeps more than the table takes, to the end
    return manifest


def by_source(manifest: pd.DataFrame) -> pd.DataFrame:
    """Counts per source: photographs, of these excluded, per split those that are left, and what all of them show."""
    places = manifest.split.where(manifest.excluded == "", "excluded")
    table = pd.crosstab(manifest.source, places).reindex(columns=["excluded", *SPLITS], fill_value=0)
    table.insert(0, "photographs", table.sum(axis=1))
    for source, contents in manifest.content.groupby(manifest.source):
        counts = contents[contents != ""].value_counts().sort_index()
        table.loc[source, "contents"] = ", ".join(f"{name} {count}" for name, count in counts.items())
    return table.rename_axis(columns=None).reset_index()


def _described(study: Study, name: str) -> pd.DataFrame:
    """A source's scan with split, content, title, author and licence: from its table (`given`: whether the table lists
    it), or the source's terms for all.
    """
    path, source = study.root / "data" / "scans" / f"{name}.parquet", study.data.sources[name]
    scan = pd.read_parquet(path) if path.is_file() else ()
    if not len(scan):  # as under a profile without this source
        raise StudyError(f"{path}: not scanned yet; set `profile: {study.profile_name}` and run `dvc repro`.")
    stems = [PurePosixPath(member).stem for member in scan.member]
    if source.table is None:
        splits = [split_of(id, study.data.held_out, study.seed) for id in scan.id]
        return scan.assign(split=splits, content="", title=stems, author="", licence=source.licence, given=False)
    table = photo_table(study.root, Path(source.table)).drop_duplicates("id", keep="last").set_index("id")
    missing, listed = table.index.difference(stems), pd.Series(stems).isin(table.index)
    if len(missing):
        raise StudyError(f"{source.table}: lists '{missing[0]}', which source {name} lacks; restore it or its row.")
    scan = scan.assign(**table[FIELDS].reindex(stems, fill_value="").reset_index(drop=True), given=listed)
    scan.loc[~listed, ["source", "excluded"]] = name, f"not listed: {source.table}"
    return scan


def _leave_out_duplicates(manifest: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Give a reason in `manifest` to each of `rows` that is a duplicate (equal `group`), but the one of the test split
    before validation before train, the largest, the sharpest, the first by id.
    """
    rows = rows[rows.excluded == ""]
    order = rows.assign(rank=rows.split.map(SPLITS[::-1].index), size=-rows.width * rows.height, blur=-rows.focus)
    best = order.sort_values(["rank", "size", "blur", "id"]).drop_duplicates("group").set_index("group")
    kept = best.loc[rows.group].set_axis(rows.index)
    what = ("duplicate in " + kept.split).where(kept.split != rows.split, "duplicate")
    manifest.loc[rows.index, "excluded"] = (what + ": " + kept.id).where(kept.id != rows.id, "")
