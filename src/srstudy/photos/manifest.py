"""The table of all photographs of a profile: the scans joined, split, and of each the reason why it is left out."""

import hashlib
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE
from srstudy.photos.duplicates import duplicate_groups
from srstudy.photos.sources import FIELDS, SPLITS, listed_files, photo_table
from srstudy.study import Study

SMALLEST = 16 * SCALE  # px a side of a photograph that can be judged
OWN_TEST = "own test photograph: 04_evaluate judges on it where its source is the test_set"


def make_manifest(study: Study) -> pd.DataFrame:
    """The scans of the profile's sources, `data/scans/SOURCE.parquet`, as one table: a row a photograph, by id.

    Columns: those of `scan.SCHEMA` but the thumbnail, `data_source` (a name under `data.sources`), `group` (equal for
    near-duplicates), split, content, title, author and licence. `source`, which sets take in turn, is the data source,
    or where a table has one, the package or the author that a photograph comes from. `excluded` also names those that
    `_settle` leaves out: of what is left, no photograph has a near-duplicate in another split. Under a profile that
    extends another one, the other's photographs keep split and reason, and are the only test photographs: those that
    further sources would add are left out as OWN_TEST.
    Raises StudyError when a scan is missing, two photographs share an id, or nothing is left to train or test on.
    """
    manifest = pd.concat([_described(study, name) for name in study.profile.sources], ignore_index=True)
    manifest = manifest.sort_values("id", ignore_index=True)
    twice = manifest.id[manifest.id.duplicated()]
    if len(twice):
        raise StudyError(f"two photographs are called '{twice.iloc[0]}'; rename the file of one.")
    manifest["group"] = 0
    for stage in sorted(set(manifest.stage)):
        _settle(study, manifest, stage)
    manifest.loc[(manifest.stage > 1) & (manifest.split == "test") & (manifest.excluded == ""), "excluded"] = OWN_TEST
    for split in ("train", "test"):
        if not len(usable(manifest, split)):
            reasons = "; ".join(sorted(set(manifest.excluded[manifest.split == split]))[:5]) or "none listed"
            way_out = "add photographs, or choose a smaller `lr_size` or another `data.held_out`"
            raise StudyError(f"no usable photograph in the {split} split ({reasons}); {way_out}.")
    return manifest.drop(columns=["thumbnail", "stage"])


def split_of(id: str, held_out: int, seed: int) -> str:
    """1 id in `held_out` draws the test split, 1 validation, by itself and the seed alone."""
    bucket = int(hashlib.sha256(f"{seed} {id}".encode()).hexdigest(), 16) % held_out
    return {0: "test", 1: "validation"}.get(bucket, "train")


def usable(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of one split that are not excluded."""
    return manifest[(manifest.split == split) & (manifest.excluded == "")]


def judged_rows(manifest: pd.DataFrame, source: str | None = None) -> pd.DataFrame:
    """The study's test photographs, or those of a data source alone. Raises StudyError if it has none."""
    if source is None:
        return usable(manifest, "test")
    rows = usable(manifest[manifest.data_source == source].replace({"excluded": {OWN_TEST: ""}}), "test")
    if not len(rows):
        way_out = "let the profile use it, lower data.held_out, or name a folder"
        raise StudyError(f"data.sources.{source}: has no test photographs here; {way_out}.")
    return rows


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
    """A source's scan with split ("" where none is given), content, title, author and licence, from its table, or the
    source's terms for all; and with the stage at which a photograph's split is settled: 0 where the table gives one,
    else 1, and 2 later each in a source that the profile has beyond those of the one that it extends.
    """
    path, source = study.folder("data") / "scans" / f"{name}.parquet", study.data.sources[name]
    scan = pd.read_parquet(path) if path.is_file() else ()
    if not len(scan):  # as under a profile without this source
        raise StudyError(f"{path}: not scanned yet; set `profile: {study.profile_name}` and run `dvc repro`.")
    stems = [PurePosixPath(member).stem for member in scan.member]
    last = 3 if study.kept_sources and name not in study.kept_sources else 1
    scan = scan.assign(data_source=name)
    place = source.table or source.listed
    if place is None:
        return scan.assign(split="", content="", title=stems, author="", licence=source.licence, stage=last)
    if source.table is None:
        keys, table = list(scan.member), listed_files(study.root, name, source).set_index("file")
        table = table.assign(source=name, content="", title=table.index, author="", licence=source.licence)
    else:
        keys, table = stems, photo_table(study.root, Path(source.table))
        table = table.drop_duplicates("id", keep="last").set_index("id")
    missing, listed = table.index.difference(keys), pd.Series(keys).isin(table.index)
    if len(missing):
        raise StudyError(f"{place}: lists '{missing[0]}', which source {name} lacks; restore it or its row.")
    facts = table[FIELDS].reindex(keys, fill_value="").reset_index(drop=True)
    scan = scan.assign(**facts, stage=last - (facts.split != "").astype(int))
    scan.loc[~listed, ["source", "excluded"]] = name, f"not listed: {place}"
    return scan


def _settle(study: Study, manifest: pd.DataFrame, stage: int) -> None:
    """Give the photographs of a stage in `manifest` their groups and splits, and some a reason to be left out.

    A group of near-duplicates is in one split: that of its photographs of earlier stages, or one that is given (test
    before validation before train), or the one that its first id draws. Left out are photographs that are given
    another, or are like some in two; of equal files, and of more than `per_group` in a group, all but the first by id;
    training photographs smaller than the largest HR tile, and others smaller than SMALLEST.
    """
    rule, known = study.data.duplicates, manifest[manifest.stage <= stage]  # later ones can link what is not alike
    known = known.assign(group=duplicate_groups(known, rule)).sort_values("stage", kind="stable")  # they are by id
    new, settled = known.stage == stage, known[known.split != ""]
    settled = settled.assign(rank=settled.split.map(SPLITS[::-1].index)).sort_values(["stage", "rank"], kind="stable")
    first = settled.drop_duplicates("group").set_index("group")
    drawn = known.groupby("group").id.min().map(lambda id: split_of(id, study.data.held_out, study.seed))
    splits = known.group.map(first.split.combine_first(drawn))
    known["split"] = known.split.where(known.split != "", splits)
    side, tile = known[["width", "height"]].min(axis=1), SCALE * study.largest_lr_size
    sizes = known.width.astype(str) + "x" + known.height.astype(str)
    for split in SPLITS:  # what is too small for a tile can well be judged
        least, what = (tile, "the HR tile of ") if split == "train" else (SMALLEST, "")
        small = new & (known.split == split) & (side < least) & (known.excluded == "")
        known.loc[small, "excluded"] = f"smaller than {what}{least}x{least}: " + sizes[small]
    counts = settled[settled.stage < stage].groupby("group").split.nunique()
    apart = new & ((known.split != splits) | known.group.isin(counts[counts > 1].index)) & (known.excluded == "")
    known.loc[apart, "excluded"] = ["near-duplicate in another split: " + id for id in first.id[known.group[apart]]]
    for key, most, reason in (("sha256", 1, "equal file"), ("group", rule.per_group, "one near-duplicate too many")):
        groups = known[known.excluded == ""].groupby(key)
        over = new & (groups.cumcount().reindex(known.index, fill_value=0) >= most)
        known.loc[over, "excluded"] = f"{reason}: " + groups.id.transform("first")
    for column in ("group", "split", "excluded"):
        manifest.loc[known.index, column] = known[column]
