"""Every file of a source -> a table of facts, in parallel and bounded memory; an interruption repeats nothing saved."""

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from fnmatch import fnmatchcase
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from srstudy import StudyError
from srstudy.files import replacing
from srstudy.inputs import code_fingerprint
from srstudy.parsing import pick
from srstudy.photos.archives import is_hidden, open_archive, printable
from srstudy.photos.facts import FACTS, facts_of
from srstudy.photos.images import open_once
from srstudy.photos.sources import locate
from srstudy.settings import Scan
from srstudy.study import load_study

CHUNK = 32  # files between two savings
PACKAGES = ("pillow", "numpy", "scipy", "scikit-image")  # whose versions may change facts
COLUMNS = {**dict.fromkeys(("id", "source", "archive", "member"), ""), **FACTS}
SCHEMA = pa.schema([(name, pa.scalar(value).type) for name, value in COLUMNS.items()])


def scan_source(name: str, archive_path: Path, pattern: str, settings: Scan, out: Path, root: Path) -> None:
    """Write the facts of every file of a source to `out` (Parquet), one row a file, by name.

    `archive_path` is a folder, zip or tar, absolute or relative to the project's folder `root`. `pattern` is a shell
    pattern for names inside it, whose * also stands for "/", and upper or lower case are the same.
    Facts are kept in chunks beside `out`: a run that was interrupted, in whatever way, goes on from them, and a later
    one reads what has changed. That, and the number of processes, changes no byte of `out`. Raises StudyError if no
    file matches, or a process died.
    """
    path = root / archive_path
    parts = out.with_name(f".{out.stem}.part")  # DVC and git leave out such names
    chunks = {parts / f"{key}.parquet": names for key, names in _chunks(name, path, pattern, settings.window)}
    if not chunks:
        raise StudyError(f"{path}: no file in it matches '{pattern}'; correct data.sources.{name}.images.")
    missing = {part: names for part, names in chunks.items() if not part.is_file()}
    workers = min(settings.workers or os.cpu_count() or 1, len(missing) or 1, 61)  # Windows can't wait for more
    done, shown = len(chunks) - len(missing), path.relative_to(root) if path.is_relative_to(root) else path
    work = partial(_rows, name, path, shown.as_posix(), settings.window)
    try:
        with (
            tqdm(total=len(chunks), initial=done, unit="file", unit_scale=CHUNK, desc=f"scanning {name}") as bar,
            ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin) as pool,
            closing(pool.map(work, missing.values())) as results,
        ):
            for part, rows in zip(missing, results):
                with replacing(part) as temporary:
                    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), temporary)
                bar.update()
    except BrokenProcessPool as error:
        way_out = "close other programs, or lower data.scan.workers, then run it again to go on"
        raise StudyError(f"{path}: a process that scanned it died, probably for want of memory; {way_out}.") from error
    with replacing(out) as temporary:
        whole = pa.concat_tables(pq.read_table(part, schema=SCHEMA) for part in chunks)
        pq.write_table(whole, temporary, compression="zstd", row_group_size=4096)
    for part in set(parts.iterdir()) - chunks.keys():  # of files as they were earlier
        part.unlink()


def photo_id(source: str, member: str) -> str:
    """A photograph's name within the study: unique over all sources, and a file's. That of `data/sample` is short."""
    name = PurePosixPath(member).stem if source == "sample" else f"{source}--{member.replace('/', '--')}"
    short = hashlib.sha256(name.encode()).hexdigest()[:32]
    return name if len(name.encode()) <= 240 else short  # file systems allow 255 bytes, and ".png" follows


def _chunks(source: str, path: Path, pattern: str, window: int) -> Iterator[tuple[str, list[str]]]:
    """Every so many files that match, by name, under a fingerprint of all that their rows depend on."""
    shown = (name for name in open_archive(path).names() if not is_hidden(name))
    names = sorted(name for name in shown if fnmatchcase(name.lower(), pattern.lower()))
    code = code_fingerprint("srstudy.photos.scan.scan_source"), *map(version, PACKAGES)
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        files = [path / name for name in chunk] if path.is_dir() else [path]
        known = [file.stat() if file.exists() else file.lstat() for file in files]  # a link may lead nowhere
        states = [(one.st_mtime_ns, one.st_size) for one in known]
        yield hashlib.sha256(repr((source, str(path), chunk, states, window, code)).encode()).hexdigest()[:32], chunk


def _rows(source: str, path: Path, shown: str, window: int, names: list[str]) -> list[dict]:
    """A worker's task: the rows of some files. The archive is opened once in each process."""
    rows = []
    for name in names:
        text = printable(name)
        try:
            if text != name:
                raise StudyError(f"{path}: its name is not UTF-8; rename the file")
            facts = facts_of(open_once(path).read(name), name, window)
        except StudyError as error:  # as of a zip in which one file is damaged: the others are as good as ever
            if not path.exists():  # a disk that was pulled out
                raise
            facts = FACTS | {"excluded": f"not readable: {str(error).partition(': ')[2]}"}
        rows.append({"id": photo_id(source, text), "source": source, "archive": shown, "member": text, **facts})
    return rows


def _begin() -> None:
    """A worker's first act: leave Ctrl-C, which reaches the whole group, to the first process, and end with that."""

    def end_with_parent() -> None:
        multiprocessing.parent_process().join()  # when killed it can't tell its workers, which would wait for ever
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()


def main() -> None:
    """Scan the sources named on the command line, or all. That of one which the profile does not use is empty."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))  # a worker's
    study = load_study()
    for name in sys.argv[1:] or study.profile.sources:
        source = pick(study.data.sources, name, "data.sources")
        out = study.folder("data") / "scans" / f"{name}.parquet"
        if name in study.profile.sources:
            scan_source(name, locate(study, name), source.images, study.data.scan, out, study.root)
        else:
            print(f"{name}: not among profiles.{study.profile_name}.sources, so its table is empty; add it there.")
            with replacing(out) as temporary:
                pq.write_table(SCHEMA.empty_table(), temporary)


if __name__ == "__main__":  # `python -m srstudy.photos.scan mirflickr ffhq`
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: stopped by Ctrl-C; run it again to go on.")
