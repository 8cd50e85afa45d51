"""Every file of a source -> a table of facts, in parallel and bounded memory; an interruption repeats nothing saved."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from srstudy.config import load_study
from srstudy.data.archives import Archive, Member, open_archive
from srstudy.data.facts import Facts, facts_of
from srstudy.data.sources import locate
from srstudy.errors import StudyError
from srstudy.files import replacing
from srstudy.schema import pick
from srstudy.settings import Scan

_until_the_end = ExitStack()  # of a worker
_archive: Archive
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SAMPLE = "sample"  # the source whose photographs go by their short names
CHUNK = 32  # files between two savings
ROW_GROUP = 128  # chunks written at a time
SCHEMA = pa.schema([
    ("id", pa.string()), ("source", pa.string()), ("archive", pa.string()), ("member", pa.string()),
    ("bytes", pa.int64()), ("sha256", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
    ("mode", pa.string()), ("format", pa.string()), ("animated", pa.bool_()),
    ("phash", pa.string()), ("thumbnail", pa.binary()), ("sharpness", pa.float64()), ("jpeg_quality", pa.float64()),
    ("noise", pa.float64()), ("mean_l", pa.float64()), ("mean_a", pa.float64()), ("mean_b", pa.float64()),
    ("contrast", pa.float64()), ("colourfulness", pa.float64()), ("upscaled", pa.float64()), ("excluded", pa.string()),
])  # fmt: skip


def scan_source(name: str, archive_path: Path, pattern: str, settings: Scan, out: Path, root: Path) -> None:
    """Write the facts of every file of a source to `out` (Parquet), one row a file, by name.

    `archive_path` is a folder, zip or tar, absolute or relative to the project's folder `root`. `pattern` is a shell
    pattern for names inside it, whose * also stands for "/", and upper or lower case are the same.
    Facts are kept in chunks beside `out`; a run that was interrupted, in whatever way, goes on from them, and a later
    one reads only chunks in which something has changed. The bytes of `out` depend neither on that nor on the number
    of processes.
    Raises StudyError if no file matches, or a process died.
    """
    archive_path = root / archive_path
    archive_name = (archive_path.relative_to(root) if archive_path.is_relative_to(root) else archive_path).as_posix()
    parts = out.with_name(f".{out.stem}.part")  # DVC and git leave out such names
    chunks = {parts / f"{key}.parquet": names for key, names in _chunks(name, archive_path, pattern, settings)}
    if not chunks:
        raise StudyError(f"{archive_path}: no file in it matches '{pattern}'; correct data.sources.{name}.images.")
    missing = {path: names for path, names in chunks.items() if not path.is_file()}
    total, left = (sum(map(len, some.values())) for some in (chunks, missing))
    with (
        tqdm(total=total, initial=total - left, unit="file", desc=f"scanning {name}", mininterval=1) as bar,
        closing(_scanned(archive_path, missing, settings)) as scanned,
    ):
        for path, facts in scanned:
            with replacing(path) as temporary:
                pq.write_table(_table(name, archive_name, missing[path], facts), temporary)
            bar.update(len(facts))
    _join(list(chunks), out)
    for path in set(parts.iterdir()) - chunks.keys():  # of files as they were earlier
        path.unlink()


def photo_id(source: str, member: str) -> str:
    """A photograph's name within the study: unique over all sources, and no path. That of `data/sample` is short."""
    return PurePosixPath(member).stem if source == SAMPLE else f"{source}--{member.replace('/', '--')}"


def _table(source: str, archive: str, members: list[str], facts: list[Facts]) -> pa.Table:
    rows = [
        {"id": photo_id(source, member), "source": source, "archive": archive, "member": member, **asdict(fact)}
        for member, fact in zip(members, facts)
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def _join(parts: Sequence[Path], out: Path) -> None:
    with replacing(out) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(parts), ROW_GROUP):
            tables = [pq.read_table(path, schema=SCHEMA) for path in parts[start : start + ROW_GROUP]]
            writer.write_table(pa.concat_tables(tables).combine_chunks())


def _chunks(name: str, archive_path: Path, pattern: str, settings: Scan) -> Iterator[tuple[str, list[str]]]:
    """(fingerprint, names) of every so many files that match, by name."""
    with open_archive(archive_path) as archive:
        members = (member for member in archive.members() if fnmatchcase(member.name.lower(), pattern.lower()))
        while chunk := list(islice(members, CHUNK)):
            yield _fingerprint(name, archive_path, chunk, settings), [member.name for member in chunk]


def _fingerprint(name: str, archive_path: Path, members: Sequence[Member], settings: Scan) -> str:
    """What a chunk's facts depend on: its files, by name, size and time of change, the settings, and the code."""
    if archive_path.is_dir():
        times = [(archive_path / member.name).stat().st_mtime_ns for member in members]
    else:
        times = [archive_path.stat().st_mtime_ns, archive_path.stat().st_size]
    seen = (name, str(archive_path), members, times, settings.window, _code())
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


@cache
def _code() -> list[str]:
    folder = Path(__file__).parent
    names = "archives", "facts", "images", "scan"
    modules = [(folder / f"{name}.py").read_text(encoding="utf-8") for name in names]
    return modules + [version(package) for package in ("pillow", "numpy", "scikit-image")]


def _scanned(archive_path: Path, chunks: dict[Path, list[str]], settings: Scan) -> Iterator[tuple[Path, list[Facts]]]:
    """(key, facts) of each chunk of names, as they get done. Few are under way at a time, so memory is bounded."""
    workers = min(settings.workers or os.cpu_count() or 1, len(chunks), 61)  # Windows can't wait for more
    if not workers:
        return
    under_way: dict[Future, Path] = {}
    with _pool(workers, archive_path) as pool:
        for path, names in chunks.items():
            under_way[pool.submit(_facts, names, settings.window)] = path
            if len(under_way) > 2 * workers:
                yield from _done(under_way)
        while under_way:
            yield from _done(under_way)


def _done(under_way: dict[Future, Path]) -> Iterator[tuple[Path, list[Facts]]]:
    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
        yield under_way.pop(future), future.result()


@contextmanager
def _pool(workers: int, archive_path: Path) -> Iterator[ProcessPoolExecutor]:
    """Processes that begin anew and not as copies of this one, on every system; an error here ends them soon.

    Raises StudyError when one of them died.
    """
    # One thread each: they are as many as the cores already.
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(archive_path,)) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise StudyError(
            f"{archive_path}: a process that scanned it died, probably because memory ran out; close other programs, "
            "or lower data.scan.workers, then run it again to go on."
        ) from error
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _begin(archive_path: Path) -> None:
    """A worker's first act: open the archive, once for all its chunks."""
    global _archive
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the first process decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _archive = _until_the_end.enter_context(open_archive(archive_path))


def _end_with_parent() -> None:
    # A killed process can't tell its workers; they would wait for it for ever.
    multiprocessing.parent_process().join()
    os._exit(1)


def _facts(names: list[str], window: int) -> list[Facts]:
    """A worker's task: the facts of some files."""
    return [_facts_of_member(name, window) for name in names]


def _facts_of_member(name: str, window: int) -> Facts:
    try:
        content = _archive.read(name)
    except StudyError as error:  # as of a zip in which one file is damaged: the others are as good as ever
        if not _archive.path.exists():  # a disk that was pulled out
            raise
        return Facts(bytes=0, sha256="", excluded=f"not readable: {str(error).partition(': ')[2]}")
    return facts_of(content, name, window)


def main() -> None:
    """Scan the sources named on the command line; of those that the profile does not use, write an empty table."""
    study = load_study()
    if not sys.argv[1:]:
        raise StudyError(f"name sources to scan, of {', '.join(study.data.sources)}.")
    for name in sys.argv[1:]:
        source = pick(study.data.sources, name, "data.sources")
        out = study.root / "data" / "scans" / f"{name}.parquet"
        if name in study.profile.sources:
            scan_source(name, locate(study, name), source.images, study.data.scan, out, study.root)
            continue
        used = f"profiles.{study.profile_name}.sources"
        print(f"{name}: not among {used}, so its table is empty; name it there to have it scanned.")
        with replacing(out) as temporary:
            pq.write_table(SCHEMA.empty_table(), temporary)


if __name__ == "__main__":  # `python -m srstudy.data.scan mirflickr ffhq`
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: stopped by Ctrl-C; run it again to go on.")
