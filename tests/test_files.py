"""A reader never meets half a file: not after an error, not after a kill, not on a full disk."""

import json
import signal
import subprocess
import sys

import pandas as pd
import pytest

from srstudy.files import replacing, write_csv, write_json, write_text


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one_as_utf8_with_lf_on_every_system(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    write_text(path, "ΔE − 4×\nzwei\n")
    assert path.read_bytes() == "ΔE − 4×\nzwei\n".encode()
    assert names(path.parent) == ["a.txt"]


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
