"""A reader never meets half a file: not after an error, not after a kill, not on a full disk."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from srstudy import StudyError
from srstudy.files import replacing, resolved, write_csv, write_json, write_text


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one_as_utf8_with_lf_on_every_system(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    write_text(path, "ΔE − 4×\nzwei\n")
    assert path.read_bytes() == "ΔE − 4×\nzwei\n".encode()
    assert names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("length", [200, 240, 250, 255])
def test_a_name_may_be_as_long_as_file_systems_allow(tmp_path, length):
    for name in ("a" * (length - 5) + ".json", "é" * (length // 2 - 1)):
        for text in ("old", "new"):
            write_text(tmp_path / name, text)
        assert (tmp_path / name).read_text() == "new"
    with replacing(tmp_path / ("a" * (length - 5) + ".json")) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".json")
        temporary.write_text("x")
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_or_none(tmp_path, error):
    (tmp_path / "old.txt").write_text("old")
    for name in ("old.txt", "none.txt"):
        with pytest.raises(error), replacing(tmp_path / name) as temporary:
            temporary.write_text("half")
            raise error("stop")
    assert (tmp_path / "old.txt").read_text() == "old"
    assert names(tmp_path) == ["old.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.keras"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".keras"  # which writers go by
        assert temporary.parent == tmp_path  # else the replacement would be a copy across disks
    assert path.read_text() == "new"


KILLED = """
import sys, time
from srstudy.files import replacing
with replacing(sys.argv[1]) as temporary, open(temporary, "w") as file:
    file.write("half"); file.flush(); print("writing", flush=True); time.sleep(60)
"""


def test_a_killed_run_leaves_the_old_file_and_does_not_stop_the_next(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "writing"
        process.kill()
    assert process.returncode == (1 if sys.platform == "win32" else -signal.SIGKILL)
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2  # the temporary is left over: nothing could clean up
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one_and_leftovers_are_no_obstacle(tmp_path):
    for number in (1, 2):
        with replacing(tmp_path / "set") as temporary:
            temporary.mkdir()
            (temporary / f"part-{number}").write_text("x")
        temporary.mkdir()  # as a killed run would leave it
        (temporary / "half").write_text("x")
    write_text(tmp_path / "other", "x")
    with pytest.raises(RuntimeError), replacing(tmp_path / "set") as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("x")
        raise RuntimeError
    assert names(tmp_path / "set") == ["part-2"]
    assert names(tmp_path) == ["other", "set"]


ON_A_FULL_DISK = """
import sys
from pathlib import Path
from srstudy import StudyError
from srstudy.files import write_text

path = Path(sys.argv[1]) / "result"
write_text(path, "old")
try:
    write_text(path, "x" * 4_000_000)
except StudyError as error:
    print(error)
print(path.read_text(), [entry.name for entry in path.parent.iterdir()])
"""


def test_a_full_disk_is_named_and_leaves_the_old_file(small_disk):
    message, after = small_disk(ON_A_FULL_DISK).splitlines()
    assert "result: the disk is full" in message
    assert after == "old ['result']"


IN_USE = """
import sys
from pathlib import Path
from srstudy import StudyError
from srstudy.files import replacing

folder = Path(sys.argv[1])  # a disk is mounted there, so it can't be renamed: as on Windows while a file in it is open
(folder / "tile").write_text("old")
try:
    with replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "tile").write_text("new")
        print((folder / "tile").read_text())
except StudyError as error:
    print(error)
print((folder / "tile").read_text(), list(folder.parent.glob(f".{folder.name}*")))
"""


def test_a_folder_that_is_in_use_is_named_and_stays_as_it_was(small_disk):
    meanwhile, message, after = small_disk(IN_USE).splitlines()
    assert meanwhile == "old"
    assert re.search(r"disk\d*: can't be replaced \(.+\); close what has it open", message)
    assert after == "old []"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs two users")
def test_a_file_that_must_not_be_replaced_is_named_and_stays_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o1777)  # in which everybody may write, and remove only what is their own
    write_text("a.txt", "old")
    os.seteuid(65534)
    try:
        with pytest.raises(StudyError, match=r"a\.txt: can't be replaced \(.*not permitted\)"):
            write_text("a.txt", "new")
    finally:
        os.seteuid(0)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_links_into_a_cache_are_replaced_though_they_are_read_only_and_the_cache_stays(tmp_path):
    for name in ("set/tile", "table"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("old")
        os.link(tmp_path / "data" / name, tmp_path / Path(name).name)
        (tmp_path / "data" / name).chmod(0o444)
    with replacing(tmp_path / "data" / "set") as temporary:
        temporary.mkdir()
        (temporary / "tile").write_text("new")
    write_text(tmp_path / "data" / "table", "new")
    assert [(tmp_path / "data" / name).read_text() for name in ("set/tile", "table")] == ["new", "new"]
    assert [(tmp_path / name).read_text() for name in ("tile", "table")] == ["old", "old"]


def test_other_system_errors_are_not_called_a_full_disk(tmp_path):
    with (
        pytest.raises(IsADirectoryError if sys.platform != "win32" else PermissionError),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.mkdir()
        temporary.write_text("x")


def test_a_file_where_a_folder_is_needed_is_an_error_not_a_loss(tmp_path):
    (tmp_path / "set").write_text("precious")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        write_text(tmp_path / "set" / "a.txt", "x")
    assert (tmp_path / "set").read_text() == "precious"


def test_json_is_sorted_and_refuses_what_json_cannot_hold(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [0.5], "b": 1}
    assert text.index('"a"') < text.index('"b"')
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "a.json", {"psnr": value})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == text


def test_csv_keeps_six_digits_and_no_index(tmp_path):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"name": ["x,y"], "value": [1 / 3]}, index=[7]))
    assert (tmp_path / "a.csv").read_bytes() == b'name,value\n"x,y",0.333333\n'


def test_a_place_is_absolute_or_starts_at_home_or_at_the_project_even_if_its_name_is_a_number(tmp_path):
    places = "photos", "~/photos", tmp_path / "elsewhere", 2024  # papermill makes a number of such a text
    starts = tmp_path / "photos", Path.home() / "photos", tmp_path / "elsewhere", tmp_path / "2024"
    assert [resolved(tmp_path, place) for place in places] == [place.resolve() for place in starts]
