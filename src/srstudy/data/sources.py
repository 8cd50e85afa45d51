"""Where photographs come from: the sources of `params.yaml` (paper Table 1), found or downloaded."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from srstudy.config import Study
from srstudy.data import archives
from srstudy.data.download import download, origin_of
from srstudy.errors import StudyError
from srstudy.schema import pick
from srstudy.settings import Source

SPLITS = ("train", "validation", "test")
KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle mounts what is attached to a notebook
ENDINGS = (".zip", ".tar", *archives.COMPRESSED_TARS)
TABLE = Path("data/sample/SOURCES.csv")
FIELDS = ("split", "source", "content", "title", "author", "licence")  # of a photograph, in a source's table


@dataclass(frozen=True)
class Photo:
    """A photograph in the table of a source, such as the sample's.

    `id` is its name within the study, `path` relative to the project's folder.
    """

    id: str
    path: Path
    split: str
    source: str
    content: str
    title: str
    author: str
    licence: str


def paper_table(study: Study) -> pd.DataFrame:
    """The paper's Table 1."""
    rows = [
        {"data set": source.title, **asdict(source.paper), "on Kaggle": source.kaggle}
        for source in study.data.sources.values()
        if source.paper is not None
    ]
    return pd.DataFrame(rows)


def locate(study: Study, name: str, mount: Path = KAGGLE_INPUT) -> Path:
    """The folder, .zip or .tar with the images of a source, downloaded if need be; for `archives.open_archive`.

    In this order: the source's `path`; what Kaggle has attached under `mount`; `data/raw/NAME`, a folder or an archive;
    the archive on Kaggle. A compressed tar, and an archive inside an archive, are laid out once in `data/raw/unpacked`.
    Raises StudyError for an unknown name, a path that is not there, or what `download` and `open_archive` raise.
    """
    source = pick(study.data.sources, name, "data.sources")
    raw = study.root / "data" / "raw"
    found = _given(study, name, source) or _attached(source, mount) or _there(raw, name, source)
    if found is None:
        found = raw / f"{name}.zip"
        download(name, source, found)
    return _readable(found, source.inner, raw / "unpacked" / name)


def _given(study: Study, name: str, source: Source) -> Path | None:
    if source.path is None:
        return None
    path = study.root / Path(source.path).expanduser()  # an absolute path stays what it is
    if not path.exists():
        raise StudyError(f"data.sources.{name}.path: there is no '{path}'; correct it, or set it to null.")
    return path


def _attached(source: Source, mount: Path) -> Path | None:
    """Kaggle mounts `OWNER/NAME` at datasets/OWNER/NAME or, as it did before, at NAME; so with competitions."""
    owner, _, slug = source.kaggle.partition("/")
    full = mount / "competitions" / slug if owner == "competitions" else mount / "datasets" / owner / slug
    return next((place for place in (full, mount / slug) if place.is_dir()), None)


def _there(raw: Path, name: str, source: Source) -> Path | None:
    folder = raw / name
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    archive = next((raw / f"{name}{ending}" for ending in ENDINGS if (raw / f"{name}{ending}").is_file()), None)
    origin = None if archive is None else origin_of(archive)
    if origin is not None and not origin.serves(source):
        raise StudyError(
            f"{archive}: is a copy of {origin.kaggle}, which is not what data.sources.{name} asks for; delete it to "
            "download that."
        )
    return archive


def _readable(found: Path, inner: str | None, place: Path) -> Path:
    """What `open_archive` can read in place: `found` itself, or a copy beside `place`."""
    if archives.is_compressed_tar(found):
        found = _laid_out(found, place.with_name(f"{place.name}.tar"), partial(archives.expand, found))
    if inner is None:
        return found
    place = place.with_name(f"{place.name}-{inner.replace('/', '-')}")
    if found.is_dir():
        if not (found / inner).exists():
            raise StudyError(f"{found}: holds no '{inner}'; correct `inner`, or set it to null.")
        return _readable(found / inner, None, place)
    with archives.open_archive(found) as archive:
        return _readable(_laid_out(found, place, partial(archive.copy, inner)), None, place)


def _laid_out(original: Path, copy: Path, write: Callable[[Path], None]) -> Path:
    """`copy`, written if it is not there yet. It gets the time of its original, so that another original is noticed."""
    changed = int(original.stat().st_mtime)
    if not (copy.is_file() and int(copy.stat().st_mtime) == changed):
        write(copy)
        os.utime(copy, (changed, changed))
    return copy


def photo_table(study: Study, name: str) -> dict[str, Photo]:
    """The photographs in a source's table by id, the stem of the file's name; none if the source has no table.

    Raises StudyError if the table is missing, empty, or lacks a column, or a licence.
    """
    table = pick(study.data.sources, name, "data.sources").table
    return {} if table is None else {photo.id: photo for photo in _read_table(study.root, Path(table))}


def sample_photos(root: Path) -> list[Photo]:
    """The committed photographs by id, as `data/sample/SOURCES.csv` lists them (its clip left out)."""
    return _read_table(root, TABLE)


def _read_table(root: Path, table: Path) -> list[Photo]:
    restore = "restore it (that of the sample by `git checkout data/sample`)"
    if not (root / table).is_file():
        raise StudyError(f"{table}: missing; {restore}.")
    with (root / table).open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"file", *FIELDS} - set(reader.fieldnames or ())
        if missing:
            raise StudyError(f"{table}: the column '{min(missing)}' is missing; {restore}.")
        rows = [row for row in reader if row["split"] in SPLITS]
    if not rows:
        raise StudyError(f"{table}: lists no photographs; {restore}.")
    unlicensed = [row["file"] for row in rows if not row["licence"]]
    if unlicensed:
        raise StudyError(f"{table}: '{unlicensed[0]}' has no licence; add it, or remove the row.")
    photos = [
        Photo(id=Path(row["file"]).stem, path=table.parent / row["file"], **{name: row[name] for name in FIELDS})
        for row in rows
    ]
    return sorted(photos, key=lambda photo: photo.id)
