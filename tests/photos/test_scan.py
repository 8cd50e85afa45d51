"""A scan is equal bytes however it was run, takes up what an earlier one left, and takes nothing stale."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import psutil
import pytest
from PIL import Image

from srstudy import StudyError
from srstudy.photos import scan
from srstudy.photos.facts import facts_of
from srstudy.photos.scan import CHUNK, main, photo_id, scan_source
from srstudy.settings import Scan

SETTINGS = Scan(window=64, workers=2)
COUNT = 4 * CHUNK + 3


@pytest.fixture
def pile(tmp_path, photo) -> Path:
    for number in range(COUNT):
        path = tmp_path / "pile" / f"part{number % 2}" / f"im{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[number : number + 80, 2 * number : 2 * number + 90]).save(path)
    (tmp_path / "pile" / "readme.txt").write_text("photographs\n")
    return tmp_path / "pile"


def scanned(root: Path, name: str = "out", settings: Scan = SETTINGS, pattern: str = "*.jpg") -> Path:
    out = root / "scans" / f"{name}.parquet"
    scan_source("pile", Path("pile"), pattern, settings, out, root)
    return out


# The same scan, which says so and waits when two of its chunks are saved.
STOPPED = """
import signal, sys
from pathlib import Path
from srstudy.photos import scan
from tests.photos.test_scan import scanned

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born deaf to it
saved, replacing = [], scan.replacing

def waiting(path):
    if len(saved) == 2:
        print("two chunks are saved", flush=True)
        sys.stdin.read()
    saved.append(path)
    return replacing(path)

scan.replacing = waiting
scanned(Path(sys.argv[1]))
"""


def names(path: Path) -> list[str]:
    return list(pd.read_parquet(path).member)


def spoil(path: Path) -> None:
    """Put other bytes into a file, which looks unchanged."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_every_file_has_its_row_of_facts_in_equal_bytes_by_one_process_and_by_many_and_resumed(pile, tmp_path):
    out = scanned(tmp_path)
    table, before = pd.read_parquet(out), out.read_bytes()
    assert list(table.member) == sorted(path.relative_to(pile).as_posix() for path in pile.rglob("*.jpg"))
    assert list(table.id[:2]) == ["pile--part0--im000.jpg", "pile--part0--im002.jpg"]
    assert (set(table.source), set(table.archive)) == ({"pile"}, {"pile"})  # relative to the project's folder
    for row in table.iloc[[0, COUNT // 2, COUNT - 1]].to_dict("records"):
        facts = facts_of((pile / row["member"]).read_bytes(), row["member"], SETTINGS.window)
        assert {name: row[name] for name in facts} == facts
    for path in sorted((tmp_path / "scans" / ".out.part").iterdir())[:2]:
        path.unlink()
    assert scanned(tmp_path).read_bytes() == before
    assert scanned(tmp_path, "one", Scan(window=64, workers=1)).read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda number: number.name)
def test_an_interrupted_scan_goes_on_without_looking_at_a_file_twice(pile, tmp_path, number):
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same modules
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    process = subprocess.Popen(command, start_new_session=True, env=paths, **streams)
    assert process.stdout.readline().strip() == b"two chunks are saved"
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    done = [name for path in (tmp_path / "scans" / ".out.part").glob("[!.]*.parquet") for name in names(path)]
    assert len(done) == 2 * CHUNK
    for name in done:
        spoil(pile / name)
    table = pd.read_parquet(scanned(tmp_path))
    assert len(table) == COUNT
    assert (table.excluded == "").all()


def test_only_what_has_changed_is_looked_at_again_with_its_chunk(pile, tmp_path, photo):
    out = scanned(tmp_path)
    before, parts = out.read_bytes(), out.with_name(".out.part")
    for path in pile.rglob("*.jpg"):
        spoil(path)
    out.write_bytes(b"that of a profile without this source")
    assert scanned(tmp_path).read_bytes() == before
    kept, changed = set(parts.iterdir()), names(sorted(parts.iterdir())[0])
    Image.fromarray(photo[:70, :70]).save(pile / changed[-1])
    table = pd.read_parquet(scanned(tmp_path)).set_index("member")
    assert table.width[changed[-1]] == 70
    assert (table.excluded != "").sum() == len(changed) - 1
    assert (len(kept - set(parts.iterdir())), len(list(parts.iterdir()))) == (1, len(kept))  # what is stale is gone
    for settings, pattern in ((Scan(window=60, workers=2), "*.jpg"), (SETTINGS, "part[01]/*[13579].jpg")):
        assert (pd.read_parquet(scanned(tmp_path, "out", settings, pattern)).excluded != "").sum() > COUNT // 2 - 3


def test_a_zip_is_scanned_in_place_and_a_damaged_file_in_it_harms_no_other(tmp_path, photo):
    Image.fromarray(photo[:64, :64]).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "pile.zip", "w") as file:
        for name in ("x/a.png", "x/b.png", "x/notes.txt"):
            file.write(tmp_path / "a.png", name)
    content = bytearray((tmp_path / "pile.zip").read_bytes())
    content[content.index(b"x/b.png") + 2000] ^= 255  # the checksum no longer fits
    (tmp_path / "pile.zip").write_bytes(content)
    scan_source("sample", tmp_path / "pile.zip", "X/*.PNG", SETTINGS, tmp_path / "out.parquet", tmp_path)
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert list(table.id) == ["a", "b"]  # those of the sample are short
    assert table.excluded[0] == ""
    assert table.excluded[1].startswith("not readable: ")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such names")
@pytest.mark.parametrize("kind", ["folder", "tar", "zip"])
def test_names_that_are_not_utf8_and_hidden_files_stop_no_source(tmp_path, photo, kind):
    folder = tmp_path / "pile"
    (folder / "__MACOSX").mkdir(parents=True)
    for name in ("a.jpg", b"caf\xe9.jpg", "._a.jpg", "__MACOSX/._a.jpg", "é $1.jpg"):
        Image.fromarray(photo[:64, :64]).save(folder / os.fsdecode(name), format="JPEG")
    if kind == "zip":  # which can't hold such a name
        (folder / os.fsdecode(b"caf\xe9.jpg")).unlink()
    path = folder if kind == "folder" else Path(shutil.make_archive(str(folder), kind, folder))
    scan_source("pile", path, "*.jpg", SETTINGS, tmp_path / "out.parquet", tmp_path)
    excluded = pd.read_parquet(tmp_path / "out.parquet").set_index("member").excluded
    unnamed = {} if kind == "zip" else {r"caf\udce9.jpg": "not readable: its name is not UTF-8; rename the file"}
    assert dict(excluded) == {"a.jpg": "", "é $1.jpg": "", **unnamed}


def test_an_id_can_be_the_name_of_a_png_however_deep_its_file_lies():
    deep = ["2019/" * count + "é.jpg" for count in range(1, 100)]
    ids = {photo_id("pile", name) for name in deep}
    assert len(ids) == len(deep) and max(len(f"{id}.png".encode()) for id in ids) <= 255
    assert photo_id("pile", deep[1]) == "pile--2019--2019--é.jpg"


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # as the system does where memory runs out


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGKILL")
def test_a_worker_that_dies_and_a_pattern_that_nothing_matches_are_told_with_the_way_out(pile, tmp_path, monkeypatch):
    with pytest.raises(StudyError, match=r"no file in it matches '\*\.gif'; correct data\.sources\.pile\.images"):
        scanned(tmp_path, pattern="*.gif")
    monkeypatch.setattr(scan, "_rows", die)
    with pytest.raises(StudyError, match=r"a process that scanned it died.*run it again to go on"):
        scanned(tmp_path)


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
    assert len(pd.read_parquet(tiny_study.root / "data" / "scans" / "mirflickr.parquet")) == 0
    assert "mirflickr: not among profiles.sample.sources, so its table is empty" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["scan.py", "pyle"])
    with pytest.raises(StudyError, match="'pyle' is unknown, did you mean 'pile'"):
        main()
