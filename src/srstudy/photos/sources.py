"""Where photographs come from: the sources of `params.yaml` (paper Table 1), found, or got from Kaggle or Git."""

import errno
import io
import logging
import os
import shutil
import sys
import zipfile
from contextlib import redirect_stdout
from importlib.metadata import version
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import requests
from filelock import FileLock

from srstudy import StudyError
from srstudy.parsing import pick
from srstudy.photos.archives import COMPRESSED_TARS, unpack
from srstudy.photos.repositories import check_listed, fetch
from srstudy.settings import Source
from srstudy.study import Study

SPLITS = ("train", "validation", "test")
FIELDS = ["split", "source", "content", "title", "author", "licence"]  # of a photograph, in a source's table
SAMPLE_TABLE = Path("data/sample/SOURCES.csv")
KAGGLE_INPUT = Path("/kaggle/input")  # where Kaggle mounts what is attached to a notebook
TIMEOUT = 60.0  # seconds without a byte after which a connection counts as cut
LOG_IN = (
    "run `kaggle auth login`, or create a token on Kaggle under Settings > API and set KAGGLE_API_TOKEN to it "
    "(under Python 3.10: create a legacy key, and set KAGGLE_USERNAME and KAGGLE_KEY)"
)
LATER = "run again later, the download goes on where it stopped"
_send = requests.Session.send


def paper_table(study: Study) -> pd.DataFrame:
    """The paper's Table 1, and of each set its name under `data.sources`, the size it is known for, its Kaggle page."""
    return pd.DataFrame(
        {"source": name, "data set": one.title, **one.paper.model_dump(), "size": one.native, "on Kaggle": one.kaggle}
        for name, one in study.data.sources.items()
        if one.paper is not None
    )


def locate(study: Study, name: str, mount: Path = KAGGLE_INPUT) -> Path:
    """The folder, .zip or .tar with the images of a source, downloaded if need be; for `archives.open_archive`.

    In this order: the source's `path`; what Kaggle has attached under `mount`; `data/raw/NAME`, a folder or an archive;
    the repository, or the archive on Kaggle. A compressed tar, and an archive inside an archive, are laid out once in
    `data/raw/unpacked`. Raises StudyError for an unknown name, a path that is not there, a file that is not as listed,
    or what `fetch`, `download` and `unpack` raise.
    """
    source, raw = pick(study.data.sources, name, "data.sources"), study.root / "data" / "raw"
    rows = listed_files(study.root, name, source) if source.listed else None
    if source.path is None:
        found = _there(source, raw / name, mount)
        if found is None and (source.git or not source.kaggle):
            found = fetch(name, source, rows, study.root)
        found = found or download(name, source, raw / "kaggle")
    else:
        found = study.root / Path(source.path).expanduser()  # an absolute path stays what it is
        if not found.exists():
            raise StudyError(f"data.sources.{name}.path: there is no '{found}'; correct it, or set it to null.")
    if source.inner is not None:
        folder = found if found.is_dir() else _unpacked(found, raw / "unpacked" / name, source.inner)
        found = folder / source.inner
        if not found.exists():
            raise StudyError(f"{folder}: '{source.inner}' is not in it; correct `inner`, or set it to null.")
    compressed = found.name.lower().endswith(COMPRESSED_TARS)
    found = _unpacked(found, raw / "unpacked" / f"{name}-files") if compressed else found
    if rows is not None:
        check_listed(name, rows, found)
    return found


def _there(source: Source, folder: Path, mount: Path) -> Path | None:
    """What is attached, or `folder`, or an archive beside it. Kaggle mounts `OWNER/NAME` at datasets/OWNER/NAME or, as
    it did before, at NAME; so with competitions.
    """
    owner, _, slug = (source.kaggle or "").partition("/")
    full = mount / "competitions" / slug if owner == "competitions" else mount / "datasets" / owner / slug
    attached = (full, mount / slug) if slug else ()
    folders = (place for place in (*attached, folder) if place.is_dir() and any(place.iterdir()))
    archives = (folder.with_name(f"{folder.name}{ending}") for ending in (".zip", ".tar", *COMPRESSED_TARS))
    return next(folders, None) or next((archive for archive in archives if archive.is_file()), None)


def _unpacked(archive: Path, folder: Path, member: str | None = None) -> Path:
    """`folder` with what the archive holds. It gets the archive's time, so that another archive is noticed."""
    changed = int(archive.stat().st_mtime)
    if not (folder.is_dir() and int(folder.stat().st_mtime) == changed):
        print(f"{archive}: unpacking {member or 'it'} to {folder}, once", file=sys.stderr)
        unpack(archive, folder, member)
        os.utime(folder, (changed, changed))
    return folder


def photo_table(root: Path, table: Path = SAMPLE_TABLE) -> pd.DataFrame:
    """The photographs in a source's table, by id: `FIELDS`, id, and path from the project's folder `root`.

    `id` is the stem of the file's name, `source` the package or the author that a photograph comes from.
    Raises StudyError if the table is missing, or lacks a column, or a licence.
    """
    try:
        rows = pd.read_csv(root / table, dtype=str, keep_default_na=False)[["file", *FIELDS]]
    except (OSError, KeyError, ValueError) as error:
        raise StudyError(f"{table}: not readable ({error}); restore it, as by `git checkout {table.parent}`.") from None
    rows = rows[rows.split.isin(SPLITS)]  # not the sample's clip
    unlicensed = list(rows.file[rows.licence == ""])
    if unlicensed:
        raise StudyError(f"{table}: '{unlicensed[0]}' has no licence; add it, or remove the row.")
    ids, paths = [Path(file).stem for file in rows.file], [table.parent / file for file in rows.file]
    return rows[FIELDS].assign(id=ids, path=paths).sort_values("id", ignore_index=True)


def listed_files(root: Path, name: str, source: Source) -> pd.DataFrame:
    """Rows of the CSV `source.listed`, all text: file, sha256, split ("" if not given), repository, commit, path.

    If it has a column `source`, those of `name`. Where columns are missing, repository and commit are the source's
    `git` and `commit`, path is file. Raises StudyError if it is not readable, lists nothing, or something wrongly.
    """
    try:
        rows = pd.read_csv(root / source.listed, dtype=str, keep_default_na=False)
        rows = rows[rows.source == name] if "source" in rows else rows
        place = {"repository": source.git or "", "commit": source.commit or "", "path": rows.file}
        rows = pd.DataFrame({"split": "", **place, **rows}, rows.index)[["file", "sha256", "split", *place]]
    except (OSError, AttributeError, KeyError, ValueError) as error:
        raise StudyError(f"{source.listed}: not readable ({error}); restore it, or correct its columns.") from None
    right = rows.split.isin(["", *SPLITS]) & rows.commit.str.fullmatch("([0-9a-f]{40})?") & ~rows.file.duplicated()
    wrong = list(rows.file[~right | rows.file.str.contains(r"^/|\.\.|\\")])
    if wrong or not len(rows):
        what = f"'{wrong[0]}' is there twice, or its name, split or commit is wrong" if wrong else "no photograph"
        raise StudyError(f"{source.listed}: of source {name}, {what}; correct it.")
    return rows


def sample_photos(root: Path) -> list:
    """The committed photographs by id, as `photo_table` has them: rows with id, path, split, licence and the others."""
    return list(photo_table(root).itertuples(index=False))


def download(name: str, source: Source, folder: Path) -> Path:
    """The archive of a source on Kaggle, downloaded to `folder` by Kaggle's client if it is not there yet.

    It appears when it is whole, by its size and its directory. Until then, what came lies in a hidden folder beside it,
    and a later call goes on from there; under Python 3.10, whose client can't resume, it begins anew.
    Raises StudyError, with no secret in it, when Kaggle refuses or fails, what came is damaged, or the disk is full.
    """
    target = folder / f"{source.kaggle}{'' if source.version is None else f'-version-{source.version}'}.zip"
    begun = target.with_name(f".{target.stem}.part")
    part = begun / f"{source.kaggle.partition('/')[2]}.zip"  # as the client calls it
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(f".{target.name}.lock")):  # another run may be downloading it
        if target.is_file():
            return target
        begun.mkdir(exist_ok=True)
        error = _receive(source, part) or (None if zipfile.is_zipfile(part) else ValueError("no whole zip"))
        if error is None:
            os.replace(part, target)
        if error is None or isinstance(error, ValueError):  # behind what is damaged, the client would go on
            shutil.rmtree(begun)
    if error is not None:
        raise StudyError(f"data.sources.{name}: {_trouble(source, error)}.")
    return target


def _receive(source: Source, part: Path) -> BaseException | None:
    """Let Kaggle's client bring `part` to its end. What goes wrong is returned, not raised: its text, and that of the
    errors before it, may hold a signed address.
    """
    logging.getLogger("urllib3").setLevel(logging.INFO)  # at DEBUG it writes signed addresses
    owner, _, slug = source.kaggle.partition("/")
    anew = version("kaggle").startswith("1.")  # 1.7 fails where it tries to go on
    try:
        # It prints pages of advice, and that there is a newer version of it: none of it belongs in a notebook.
        with redirect_stdout(io.StringIO()), patch.object(requests.Session, "send", _careful_send):
            from kaggle.api.kaggle_api_extended import KaggleApi  # logs in while it is imported

            client = KaggleApi()
            client.args = []  # "--verbose", which VERBOSE=true brings, prints tokens and holds whole archives in memory
            client.authenticate()
            if owner == "competitions":
                client.competition_download_files(slug, path=str(part.parent), force=anew, quiet=False)
            else:
                client.split_dataset_string = lambda _: (owner, slug, source.version)  # 1.7 takes no version as text
                client.dataset_download_files(source.kaggle, path=str(part.parent), force=anew, quiet=False)
    except (Exception, SystemExit) as error:
        return error


def _careful_send(*request: object, **options: object) -> requests.Response:
    # The client waits for ever where a connection falls silent, writes an error page over what came before, and 1.7
    # holds the archive in memory; it has no option for any of these.
    response = _send(*request, **{"timeout": TIMEOUT, **options, "stream": True})
    response.raise_for_status()
    return response


def _trouble(source: Source, error: BaseException) -> str:
    """What went wrong and the way out, in words that hold no address."""
    what = source.kaggle if source.version is None else f"{source.kaggle} version {source.version}"
    status = getattr(getattr(error, "response", None), "status_code", 0)
    refusals = {
        401: f"Kaggle does not accept the credentials (401); {LOG_IN}",
        403: f"Kaggle refuses {what} (403); open its page, accept its terms or rules, check the name, and run again",
        404: f"Kaggle has no {what} (404); correct `kaggle` or `version`",
    }
    if status == 429 or status >= 500:
        return f"Kaggle is busy ({status}); {LATER}"
    if status:
        return refusals.get(status, f"Kaggle answers {what} with error {status}; set `path` to a copy of it")
    if isinstance(error, requests.RequestException):
        return f"the connection failed ({type(error).__name__}); {LATER}"
    if isinstance(error, SystemExit) or (isinstance(error, OSError) and error.errno is None):  # kaggle 2, kaggle 1.7
        return f"no valid Kaggle credentials found; {LOG_IN}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full; free some space and {LATER}"
    return f"what came is damaged ({error if type(error) is ValueError else type(error).__name__}); run again"
