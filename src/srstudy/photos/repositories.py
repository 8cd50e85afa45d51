"""Photographs in Git repositories: of a commit, those that are wanted alone, and compared with listed hashes."""

import hashlib
import os
import re
import subprocess
import tempfile
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import pandas as pd
from filelock import FileLock

from srstudy import StudyError
from srstudy.files import replacing
from srstudy.photos.archives import is_hidden, open_archive
from srstudy.settings import Source


def fetch(name: str, source: Source, rows: pd.DataFrame | None, root: Path) -> Path:
    """The folder with a source's photographs, fetched to `data/raw/git` if it is not there yet: those in `rows` of
    `sources.listed_files`, by the names there; or without rows, of `git` at `commit` all that match `images`.

    It appears when it is whole; after a cut, the next call begins anew. Raises StudyError when git is missing or fails,
    and for a commit or a file that is not there, or not as listed.
    """
    groups = () if rows is None else rows.groupby(["repository", "commit"])
    parts = {place: dict(zip(some.path, some.file)) for place, some in groups}
    parts = parts or {(source.git, source.commit): source.images}
    folder = root / "data" / "raw" / "git" / f"{name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:8]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):  # another run may be fetching it
        if not folder.is_dir():
            with replacing(folder) as temporary:
                temporary.mkdir()
                for (repository, commit), wanted in parts.items():
                    _copy(repository, commit, wanted, temporary, root)
                if rows is not None:
                    check_listed(name, rows, temporary)
    return folder


def check_listed(source: str, rows: pd.DataFrame, place: Path) -> None:
    """Raises StudyError, which names the file, if a folder or archive lacks one of `rows`, or has it in other bytes."""
    archive = open_archive(place)
    names = set(archive.names())
    for file, digest in zip(rows.file, rows.sha256):
        if file not in names or hashlib.sha256(archive.read(file)).hexdigest() != digest:
            what = "has other bytes than are" if file in names else "is missing, but"
            raise StudyError(f"data.sources.{source}: '{file}' in {place} {what} listed; get it again.")


def _copy(repository: str, commit: str, wanted: str | dict[str, str], folder: Path, root: Path) -> None:
    """Write files of a commit to `folder`: those that match a pattern, or those at some paths, by other names."""
    url = f"https://github.com/{repository}" if re.fullmatch(r"\w[\w-]*/[\w.-]+", repository) else repository
    with tempfile.TemporaryDirectory(prefix=".git-", dir=folder) as place:
        git = partial(_git, f"{repository} at {commit}", place, root)
        fetching = ("fetch", "--quiet", "--no-tags", "--filter=blob:none")
        git("init", "--quiet", "--bare")
        git("remote", "add", "--", "origin", url)
        git(*fetching, "--depth=1", "--", "origin", commit)
        lines = os.fsdecode(git("ls-tree", "-r", "-z", commit)).split("\0")[:-1]
        blobs = {line.partition("\t")[2]: line.split()[2] for line in lines if line.startswith("100")}  # plain files
        if isinstance(wanted, str):
            alike = [path for path in blobs if fnmatchcase(path.lower(), wanted.lower())]
            wanted = {path: path for path in alike if not is_hidden(path) and ".." not in path}
        if gone := [path for path in wanted if path not in blobs]:
            raise StudyError(f"{repository}: '{gone[0]}' is not in commit {commit}; correct the path or the commit.")
        # All at once, not one by one when they are read. A checkout could change their line ends.
        git(*fetching, "--stdin", "origin", given="\n".join(blobs[path] for path in wanted))
        for path, file in wanted.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(git("cat-file", "blob", blobs[path]))


def _git(what: str, place: str, root: Path, *arguments: str, given: str = "") -> bytes:
    """What git prints; it asks nobody for a password. Raises StudyError, with git's own reason, if it fails."""
    slow = ["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"]  # a minute without a byte is a cut connection
    command = ["git", f"--git-dir={place}", *slow, *arguments]
    environment = os.environ | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(command, input=given.encode(), capture_output=True, cwd=root, env=environment)
    except FileNotFoundError:
        raise StudyError(f"{what}: there is no git to fetch it; install git, or set `path` to a copy.") from None
    if done.returncode:
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.startswith("fatal:")]
        reason = said[0] if said else f"git ended with code {done.returncode}"
        raise StudyError(f"{what}: not fetched ({reason}); check repository, commit and connection, then run again.")
    return done.stdout
