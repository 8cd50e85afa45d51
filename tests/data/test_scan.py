"""A scan is equal bytes however it was run, takes up what an earlier one left, and takes nothing stale."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import psutil
import pytest
from PIL import Image

from srstudy.data.facts import facts_of
from srstudy.data.scan import CHUNK, main, scan_source
from srstudy.errors import StudyError
from srstudy.settings import Scan

SETTINGS = Scan(window=64, workers=2)
COUNT = 4 * CHUNK + 3


@pytest.fixture
def pile(tmp_path, photo) -> Path:
    """A folder of many small photographs, in two folders, beside a text."""
    folder = tmp_path / "pile"
    for number in range(COUNT):
        path = folder / f"part{number % 2}" / f"im{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[number : number + 80, 2 * number : 2 * number + 90]).save(path)
    (folder / "readme.txt").write_text("photographs\n")
    return folder


def scanned(root: Path, name: str = "out", settings: Scan = SETTINGS, pattern: str = "*.jpg") -> Path:
    """Scan the pile under `root`; return the table's path."""
    out = root / "scans" / f"{name}.parquet"
    scan_source("pile", Path("pile"), pattern, settings, out, root)
    return out


# The same scan, which says so and waits when two of its chunks are saved.
STOPPED = """
import signal
import sys
from pathlib import Path
from srstudy.data import scan
from tests.data.test_scan import scanned

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
saved, table = [], scan._table

def waiting(*arguments):
    if len(saved) == 2:
        print("two chunks are saved", flush=True)
        sys.stdin.read()
    saved.append(1)
    return table(*arguments)

scan._table = waiting
scanned(Path(sys.argv[1]))
"""


def environment() -> dict[str, str]:
    """That of a process of its own, which finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def names(path: Path) -> list[str]:
    """The members that a table, or a part of one, has rows of."""
    return list(pd.read_parquet(path).member)


def spoil(path: Path) -> None:
    """Put other bytes into a file, which looks unchanged."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def finished(pile, tmp_path, monkeypatch) -> Path:
    """The parts of a scan that ended when all but the last step was done."""

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("srstudy.data.scan._join", stop)
        scanned(tmp_path)
    return tmp_path / "scans" / ".out.part"


def test_every_file_that_matches_has_its_row_of_facts(pile, tmp_path):
    table = pd.read_parquet(scanned(tmp_path))
    files = sorted(path.relative_to(pile).as_posix() for path in pile.rglob("*.jpg"))
    assert list(table.member) == files
    assert len(files) == COUNT
    assert list(table.id[:2]) == ["pile--part0--im000.jpg", "pile--part0--im002.jpg"]
    assert set(table.source) == {"pile"}
    assert set(table.archive) == {"pile"}  # relative to the project's folder
    for row in table.iloc[[0, COUNT // 2, COUNT - 1]].to_dict("records"):
        facts = asdict(facts_of((pile / row["member"]).read_bytes(), row["member"], SETTINGS.window))
        assert {name: row[name] for name in facts} == facts


def test_a_scan_is_equal_bytes_by_one_process_and_by_many_and_when_it_was_interrupted(finished, tmp_path):
    for path in sorted(finished.glob("*.parquet"))[:2]:
        path.unlink()  # as if the scan had ended before they were saved
    resumed = scanned(tmp_path)
    one = scanned(tmp_path, "one", Scan(window=64, workers=1))
    assert one.read_bytes() == resumed.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_interrupted_scan_goes_on_without_looking_at_a_file_twice(pile, tmp_path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path)], start_new_session=True, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout.readline().strip() == b"two chunks are saved"
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    done = [name for path in (tmp_path / "scans" / ".out.part").glob("[!.]*.parquet") for name in names(path)]
    assert len(done) in range(CHUNK + 1, 2 * CHUNK + 1)  # the last chunk is a short one
    for name in done:
        spoil(pile / name)
    table = pd.read_parquet(scanned(tmp_path))
    assert len(table) == COUNT
    assert (table.excluded == "").all()


def test_a_file_that_has_changed_is_looked_at_again_with_its_chunk_alone(finished, pile, tmp_path, photo):
    changed = names(sorted(finished.glob("*.parquet"))[0])
    for path in pile.rglob("*.jpg"):
        if path.relative_to(pile).as_posix() not in changed:
            spoil(path)
    Image.fromarray(photo[:70, :70]).save(pile / changed[-1])
    table = pd.read_parquet(scanned(tmp_path)).set_index("member")
    assert table.width[changed[-1]] == 70
    assert (table.excluded == "").all()


def test_after_a_finished_scan_only_what_has_changed_is_looked_at_again(pile, tmp_path):
    out = scanned(tmp_path)
    before, parts = out.read_bytes(), out.parent / ".out.part"
    for path in pile.rglob("*.jpg"):
        spoil(path)
    out.write_bytes(b"that of a profile without this source")
    assert scanned(tmp_path).read_bytes() == before
    os.utime(pile / "part0" / "im000.jpg", (1, 1))
    kept = {path.name for path in parts.iterdir()}
    assert (pd.read_parquet(scanned(tmp_path)).excluded != "").sum() == CHUNK
    assert len(kept - {path.name for path in parts.iterdir()}) == 1  # what is stale is gone
    assert len(list(parts.iterdir())) == len(kept)


@pytest.mark.parametrize("change", ["settings", "pattern"])
def test_nothing_is_taken_from_a_scan_with_another_setting_or_pattern(finished, pile, tmp_path, change):
    for path in pile.rglob("*.jpg"):
        spoil(path)
    settings = Scan(window=60, workers=2) if change == "settings" else SETTINGS
    pattern = "part[01]/*[13579].jpg" if change == "pattern" else "*.jpg"
    table = pd.read_parquet(scanned(tmp_path, settings=settings, pattern=pattern))
    assert (table.excluded != "").all()


def test_a_zip_is_scanned_in_place_and_a_damaged_file_in_it_harms_no_other(tmp_path, photo):
    Image.fromarray(photo[:64, :64]).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as file:
        for name in ("x/a.png", "x/b.png", "x/notes.txt"):
            file.write(tmp_path / "a.png", name)
    content = bytearray((tmp_path / "pile.zip").read_bytes())
    content[content.index(b"x/b.png") + 2000] ^= 255  # the checksum no longer fits
    (tmp_path / "pile.zip").write_bytes(content)
    scan_source("pile", tmp_path / "pile.zip", "X/*.PNG", SETTINGS, tmp_path / "out.parquet", tmp_path)
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert list(table.id) == ["pile--x--a.png", "pile--x--b.png"]
    assert table.excluded[0] == ""
    assert table.excluded[1].startswith("not readable: ")


def test_photographs_of_the_sample_keep_their_short_names(tmp_path, photo):
    Image.fromarray(photo[:64, :64]).save(tmp_path / "kitten.png")
    scan_source("sample", tmp_path, "*.png", SETTINGS, tmp_path / "out.parquet", tmp_path)
    assert list(pd.read_parquet(tmp_path / "out.parquet").id) == ["kitten"]


def test_a_pattern_that_nothing_matches_is_named(pile, tmp_path):
    with pytest.raises(StudyError, match=r"no file in it matches '\*\.gif'; correct data\.sources\.pile\.images"):
        scanned(tmp_path, pattern="*.gif")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_a_worker_that_dies_is_told_with_the_way_out(pile, tmp_path, monkeypatch):
    monkeypatch.setattr("srstudy.data.scan._facts", die)
    with pytest.raises(StudyError, match=r"a process that scanned it died.*run it again to go on"):
        scanned(tmp_path)


def die(*_) -> None:
    """What a process does whose memory the system takes."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_do_without_tensorflow():
    code = "import sys, srstudy.data.scan; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0


def test_a_source_of_the_study_is_scanned_by_its_name_if_the_profile_uses_it(pile, tiny_study, monkeypatch, capsys):
    tiny_study.params["data"]["sources"]["pile"] = {
        "title": "Pile", "licence": "CC0", "native": "any", "path": "pile", "images": "part1/*1.jpg"
    }  # fmt: skip
    tiny_study.set("data.scan", {"window": 64, "workers": 1})
    tiny_study.set("profiles.sample.sources", ["pile"])
    tiny_study.load()
    monkeypatch.chdir(tiny_study.root)
    monkeypatch.setattr(sys, "argv", ["scan.py", "pile", "mirflickr"])
    main()
    assert names(tiny_study.root / "data" / "scans" / "pile.parquet")[:2] == ["part1/im001.jpg", "part1/im011.jpg"]
    (told,) = capsys.readouterr().out.splitlines()
    assert told.startswith("mirflickr: not among profiles.sample.sources, so its table is empty; name it there")
    assert len(pd.read_parquet(tiny_study.root / "data" / "scans" / "mirflickr.parquet")) == 0
    monkeypatch.setattr(sys, "argv", ["scan.py"])
    with pytest.raises(StudyError, match=r"name sources to scan, of mirflickr, .*, pile\."):
        main()
    monkeypatch.setattr(sys, "argv", ["scan.py", "pyle"])
    with pytest.raises(StudyError, match="'pyle' is unknown, did you mean 'pile'"):
        main()
