"""A reader never meets half a file: not after an error, not after a kill, not on a full disk."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pandas as pd
import pytest

from srstudy.files import replacing, write_csv, write_json, write_text


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text(path, "old")
    write_text(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert names(path.parent) == ["a.txt"]


def test_text_is_utf8_with_lf_on_every_system(tmp_path):
    write_text(tmp_path / "a.txt", "ΔE − 4×\nzwei\n")
    assert (tmp_path / "a.txt").read_bytes() == "ΔE − 4×\nzwei\n".encode()


@pytest.mark.parametrize("error", [RuntimeError, OSError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error("stop")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_the_temporary_has_the_ending_that_writers_go_by(tmp_path):
    with replacing(tmp_path / "model.keras") as temporary:
        assert temporary.suffix == ".keras"
        assert temporary.parent == tmp_path  # else the replacement would be a copy across disks
        temporary.write_text("x")


def test_an_exception_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []


def kill_while_writing(path):
    """Run a process that is killed half way through writing to `path`."""
    script = (
        "import sys, time\n"
        "from srstudy.files import replacing\n"
        "with replacing(sys.argv[1]) as temporary, open(temporary, 'w') as file:\n"
        "    file.write('half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().strip() == "writing"
        process.kill()
    return process.returncode


def test_a_killed_run_leaves_the_old_file_and_does_not_stop_the_next(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = kill_while_writing(path)
    assert code == (1 if sys.platform == "win32" else -signal.SIGKILL)
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2  # the temporary is left over: nothing could clean up
    write_text(path, "new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "set"
    for number in (1, 2):
        with replacing(path) as temporary:
            temporary.mkdir()
            (temporary / f"part-{number}").write_text("x")
    assert names(path) == ["part-2"]
    assert names(tmp_path) == ["set"]


def test_an_exception_leaves_the_old_folder(tmp_path):
    path = tmp_path / "set"
    path.mkdir()
    (path / "old").write_text("x")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("x")
        raise RuntimeError
    assert names(path) == ["old"]
    assert names(tmp_path) == ["set"]


def test_a_leftover_folder_of_a_killed_run_is_no_obstacle(tmp_path):
    with replacing(tmp_path / "set") as temporary:
        temporary.mkdir()
        leftover = temporary
    leftover.mkdir()
    (leftover / "half").write_text("x")
    with replacing(tmp_path / "set") as temporary:
        temporary.mkdir()
        (temporary / "whole").write_text("x")
    assert names(tmp_path / "set") == ["whole"]
    assert names(tmp_path) == ["set"]


WRITERS = {
    "write_text": "write_text(path, 'x' * 4_000_000)",
    "write_png": "write_png(path, noise[0])",
    "writing_tiles": "write_set(path)",
}
ON_A_FULL_DISK = """
import sys
from pathlib import Path
import numpy as np
from srstudy.errors import StudyError
from srstudy.files import write_text
from srstudy.data.images import write_png
from srstudy.data.tiles import writing_tiles

def write_set(path):
    with writing_tiles(path, len(noise), 150) as write:
        for tile in noise:
            write(tile, tile[::4, ::4])

noise = np.random.default_rng(0).integers(0, 256, (4, 600, 600, 3), np.uint8)
path = Path(sys.argv[1]) / "result"
write_text(path, "old")
try:
    {write}
except StudyError as error:
    print(error)
print(path.read_text(), [entry.name for entry in path.parent.iterdir()])
"""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_named_and_leaves_the_old_file(small_disk, writer):
    message, after = small_disk(ON_A_FULL_DISK.replace("{write}", WRITERS[writer])).splitlines()
    assert "result: the disk is full" in message
    assert after == "old ['result']"


def test_other_system_errors_are_not_called_a_full_disk(tmp_path):
    with pytest.raises(IsADirectoryError if sys.platform != "win32" else PermissionError):
        write_text_into_folder(tmp_path)


def write_text_into_folder(folder):
    with replacing(folder / "a.txt") as temporary:
        temporary.mkdir()
        temporary.write_text("x")


def test_json_is_sorted_and_ends_in_a_line_end(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": [0.5], "b": 1}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_json_refuses_what_json_cannot_hold(tmp_path, value):
    write_json(tmp_path / "a.json", {"psnr": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"psnr": value})
    assert json.loads((tmp_path / "a.json").read_text()) == {"psnr": 1}


def test_csv_keeps_six_digits_and_no_index(tmp_path):
    write_csv(tmp_path / "a.csv", pd.DataFrame({"name": ["x,y"], "value": [1 / 3]}, index=[7]))
    assert (tmp_path / "a.csv").read_bytes() == b'name,value\n"x,y",0.333333\n'


def test_a_file_where_a_folder_is_needed_is_an_error_not_a_loss(tmp_path):
    (tmp_path / "set").write_text("precious")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        write_text(tmp_path / "set" / "a.txt", "x")
    assert (tmp_path / "set").read_text() == "precious"
