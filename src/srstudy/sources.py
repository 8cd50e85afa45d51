"""Where photographs come from: the committed sample, or the paper's five data sets (paper Table 1)."""

from __future__ import annotations

import csv
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from srstudy.config import Study
from srstudy.errors import StudyError
from srstudy.images import EXTENSIONS
from srstudy.schema import pick

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PaperSource:
    """A row of the paper's Table 1, and the folder under `data/raw` where its photographs are expected."""

    name: str
    folder: str
    description: str
    paper_count: str
    attributes: str
    use: str
    kaggle: str


PAPER_SOURCES = (
    PaperSource("MirFlickr 25k", "mirflickr", "Flickr photographs of various scenes and objects", "~25,000",
                "scenes, objects", "scene classification, tagging", "paulrohan2020/mirflickr25k"),
    PaperSource("Human Detection Dataset", "human_detection", "CCTV footage of humans", "varies",
                "humans", "human detection, surveillance", "constantinwerner/human-detection-dataset"),
    PaperSource("Flickr-Faces-HQ (FFHQ)", "ffhq", "high-quality images of human faces", "~70,000",
                "human faces", "facial recognition, image generation", "arnaud58/flickrfaceshq-dataset-ffhq"),
    PaperSource("ImageNet", "imagenet", "images of thousands of categories", "~14,000,000",
                "many categories", "object recognition, deep learning", "ifigotin/imagenetmini-1000"),
    PaperSource("Intel Images", "intel", "outdoor scenes", "~25,000",
                "outdoor scenes, landmarks", "scene classification, object detection",
                "puneet6060/intel-image-classification"),
)  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """A photograph on disk. `id` is its name within the study, `path` relative to the project's folder."""

    id: str
    path: Path
    split: str
    source: str
    content: str
    title: str
    author: str
    licence: str


def paper_table() -> pd.DataFrame:
    """The paper's Table 1."""
    names = {
        "name": "data set",
        "description": "description",
        "paper_count": "images",
        "attributes": "attributes",
        "use": "use",
        "kaggle": "on Kaggle",
    }
    return pd.DataFrame([asdict(source) for source in PAPER_SOURCES])[list(names)].rename(columns=names)


def list_photos(study: Study) -> list[Photo]:
    """All photographs of the study's profile, by id.

    Raises StudyError when there are none, or when a selection names a source that is not among theirs.
    """
    if study.profile.photos == "sample":
        photos = sample_photos(study.root)
        _check_selections(study, {photo.source for photo in photos})
        return photos
    _check_selections(study, {source.folder for source in PAPER_SOURCES})  # before the long search for files
    return raw_photos(study.root)


def _check_selections(study: Study, sources: set[str]) -> None:
    for name, selection in study.profile.selections.items():
        if selection.source is not None:
            pick(
                dict.fromkeys(sorted(sources)),
                selection.source,
                f"profiles.{study.profile_name}.selections.{name}.source",
            )


def sample_photos(root: Path) -> list[Photo]:
    """The committed photographs, as `data/sample/SOURCES.csv` lists them (its clip left out)."""
    table = root / "data" / "sample" / "SOURCES.csv"
    if not table.is_file():
        raise StudyError(f"{table.relative_to(root)}: missing; restore it with `git checkout data/sample`.")
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in SPLITS]
    if not rows:
        raise StudyError(
            f"{table.relative_to(root)}: lists no photographs; restore it with `git checkout data/sample`."
        )
    fields = ("split", "source", "content", "title", "author", "licence")
    photos = [
        Photo(id=Path(row["file"]).stem, path=Path("data/sample") / row["file"], **{name: row[name] for name in fields})
        for row in rows
    ]
    return sorted(photos, key=lambda photo: photo.id)


def raw_photos(root: Path) -> list[Photo]:
    """The paper's data sets under `data/raw/<source>/`; 1 in 50 is held out for validation and for test each."""
    photos = []
    for source in PAPER_SOURCES:
        folder = root / "data" / "raw" / source.folder
        files = (
            sorted(path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS and path.is_file())
            if folder.is_dir()
            else []
        )
        if not files:
            raise StudyError(
                f"data/raw/{source.folder}: not downloaded yet: get {source.name} with `kaggle datasets download "
                f"{source.kaggle} --unzip -p data/raw/{source.folder}`, or set `profile: sample`."
            )
        photos += [_raw_photo(path.relative_to(root), source) for path in files]
    return photos


def _raw_photo(path: Path, source: PaperSource) -> Photo:
    # The split hangs on the file's name alone, so that adding files never moves a photograph into another split.
    bucket = zlib.crc32(path.as_posix().encode()) % 50
    split = {0: "test", 1: "validation"}.get(bucket, "train")
    return Photo(
        id=path.relative_to("data/raw").as_posix().replace("/", "--"),
        path=path, split=split, source=source.folder, content="", title=path.stem, author="", licence=source.kaggle,
    )  # fmt: skip
