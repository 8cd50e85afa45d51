"""`python -m srstudy enhance`, as users run it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from tests.enhance.footage import write

from srstudy.enhance import photo as photos
from srstudy.enhance.command import main

SCRIPT = """
import os, subprocess, sys
from pathlib import Path
from srstudy.enhance.command import main
sys.stderr, disk = sys.stdout, Path(sys.argv[1])
{before}
code = main(['enhance', {source!r}, '-o', str(disk), '-n', 'psnr', '--ext', '.{ending}'])
print('code', code, sorted(os.listdir(disk)))
"""


@pytest.fixture
def folder(save_image, photo, tmp_path, monkeypatch):
    """A folder of two photographs, and of what is none, in the current folder."""
    monkeypatch.chdir(tmp_path)
    save_image(photo[100:120, 100:130].copy(), "in/one.png")
    save_image(photo[100:124, 100:116].copy(), "in/two.jpg", quality=95)
    (tmp_path / "in" / "notes.txt").write_text("no photograph")
    (tmp_path / "in" / ".hidden.png").write_text("no photograph")
    return tmp_path / "in"


def run(*arguments):
    return main(["enhance", "-n", "psnr", *map(str, arguments)])


def outputs(folder):
    """Names of the outputs; each has a record and its page, and nothing else is there."""
    names = {path.name for path in folder.iterdir()}
    found = {name for name in names if not name.endswith((".record.json", ".record.html", ".consistency.png"))}
    assert names == found | {
        f"{name}.{what}" for name in found for what in ("record.json", "record.html", "consistency.png")
    }
    return found


def test_a_file_is_enlarged_into_a_file_by_the_steps_given(folder, tmp_path, capsys):
    assert run("in/one.png", "-o", "large.tif", "--denoise", "--strength", "0.5", "--clahe", "--gps", "-n", "cctv") == 0
    with Image.open("large.tif") as image:
        assert image.size == (120, 80)
    said, settings = capsys.readouterr(), json.loads((tmp_path / "large.tif.record.json").read_text())["settings"]
    assert "large.tif" in said.out and "no evidence of identity" in said.err
    assert settings["steps"] == {"denoise": 6, "strength": 0.5, "clahe": True, "mark": True} and settings["gps"]


def test_ctrl_c_stops_a_photograph_while_it_is_written(tmp_path, save_image, photo, monkeypatch):
    """The signal comes when libvips has begun to write, in code that is not Python's."""
    monkeypatch.chdir(tmp_path)
    for name in ("one.png", "two.png"):
        save_image(np.tile(photo[:64, :64], (12, 1, 1)), f"in/{name}")
    inner, read = photos.Reader.__call__, []

    def call(self, first, last):
        read.append(threading.current_thread())
        if len(read) == 4:
            for _ in range(2):  # the second comes while the first waits for this strip
                signal.raise_signal(signal.SIGINT)
                time.sleep(1)
        return inner(self, first, last)

    monkeypatch.setattr(photos.Reader, "__call__", call)
    assert run("in", "-o", "out", "-t", "64") == 130
    assert read[3] is not threading.main_thread() and len(read) < 8
    assert not [path for path in (tmp_path / "out").iterdir() if path.suffix == ".png"]


def test_a_stop_between_a_photograph_and_its_record_costs_nothing(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("srstudy.enhance.work.write_record", lambda *_: signal.raise_signal(signal.SIGINT))
        assert run("in/one.png", "-o", "out") == 130
    assert run("in/one.png", "-o", "out") == 0
    assert outputs(tmp_path / "out") == {"one-x4.png"}


def test_what_the_originals_format_can_not_hold_is_written_as_png(tmp_path, save_image, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image(np.tile(photo[:4, :8], (1, 520, 1)), "wide.webp")
    assert run("wide.webp", "-o", "out", "-t", "512") == 0
    assert outputs(tmp_path / "out") == {"wide-x4.png"}


def test_folders_and_patterns_are_enlarged_into_a_folder(folder, tmp_path):
    assert run("-i", folder, "-o", "out", "-s", "4", "--suffix", "_big") == 0
    assert outputs(tmp_path / "out") == {"one_big.png", "two_big.jpg"}
    assert run("in/*.png", "in/one.png", "in/two.jpg", "-o", "png", "--ext", ".png") == 0
    assert outputs(tmp_path / "png") == {"one-x4.png", "two-x4.png"}


def test_evidence_is_written_without_loss_by_the_default_model(folder, tmp_path):
    assert main(["enhance", "in/two.jpg", "-o", "out", "--mode", "evidence", "--tile", "64", "--no-mark"]) == 0
    record = json.loads((tmp_path / "out" / "two-x4.png.record.json").read_text())
    assert record["model"]["name"] == "general" and record["computed_by"]["precision"] == "f32"
    assert record["settings"]["tile"] == 64 and [step["step"] for step in record["steps"]] == ["enlarge"]


def test_a_bad_file_of_a_folder_is_named_and_stops_no_other(folder, tmp_path, capsys):
    (folder / "damaged.jpg").write_bytes((folder / "two.jpg").read_bytes()[:-300])
    assert run(folder, "-o", "out") == 1
    assert outputs(tmp_path / "out") == {"one-x4.png", "two-x4.jpg"}
    said = capsys.readouterr().err
    assert "damaged.jpg: damaged image (" in said and "1 of 3 failed" in said


@pytest.mark.parametrize("out", ["out", "in"])
def test_a_second_run_leaves_what_is_finished_and_makes_what_is_not(folder, tmp_path, out):
    def times():
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / out).iterdir()}

    assert run(folder, "-o", out) == 0
    before = times()
    assert run(folder, "-o", out) == 0 and times() == before
    (tmp_path / out / "two-x4.jpg").write_bytes(b"half")
    assert run(folder, "-o", out) == 0 and {name for name, time in times().items() if time != before[name]} == {
        f"two-x4.jpg{what}" for what in ("", ".record.json", ".record.html", ".consistency.png")}  # fmt: skip
    assert run(folder, "-o", out, "--strength", "0.5") == 0 and len(times()) == len(before)


def test_an_original_is_never_written_over(folder, capsys):
    before = (folder / "one.png").read_bytes()
    assert run("in/one.png", "-o", "in/one.png") == 1 and run("in/one.png", "-o", "in", "--suffix", "") == 1
    said = capsys.readouterr().err
    assert "is the original, which stays as it is" in said and "would be written over in/one.png, an input" in said
    (folder / "one-x4.png").write_bytes(b"the user's own")  # by itself, and as one of the inputs
    assert run("in/one.png", "-o", "in") == 1 and "no record says that it is an output" in capsys.readouterr().err
    assert run("in", "-o", "in") == 1 and "would be written over in/one-x4.png, an input" in capsys.readouterr().err
    assert (folder / "one-x4.png").read_bytes() == b"the user's own" and (folder / "one.png").read_bytes() == before


def test_outputs_are_no_inputs_of_the_next_run(folder, capsys):
    assert run("in/one.png", "in/two.jpg", "-o", "in") == 0
    made = sorted(path.name for path in folder.iterdir())
    assert run("in", "-o", "in") == 0 and run("in/*.png", "in/*.jpg", "-o", "in") == 0
    expanded = [f"in/{name}" for name in made if re.fullmatch(r"[^.].*\.(png|jpg)", name)]  # by a shell
    assert run(*expanded, "-o", "in") == 0
    assert sorted(path.name for path in folder.iterdir()) == made


WRONG = [
    (["empty", "-o", "out"], "no photograph or clip in this folder"),
    (["none.png", "-o", "out"], "no such file or folder, and no pattern that fits one"),
    (["-o", "out"], "no input"),
    (["in/one.png", "-o", "out", "-n", "nope"], "-n nope: no such model; choose one of: cctv, "),
    (["in/one.png", "-o", "out", "-s", "2"], "-s 2: pictures are enlarged four times and no other"),
    (["in/one.png", "-o", "out", "--strength", "1.5"], "--strength 1.5: is a share"),
    (["in/one.png", "-o", "out", "--strength", "nan"], "--strength nan: is a share"),
    (["in/one.png", "-o", "out", "--denoise", "0.2"], "--denoise 0.2: is too little or too much"),
    (["in/one.png", "-o", "out", "--tile", "2"], "--tile 2: is too small"),
    (["in/one.png", "-o", "out", "--ext", ".bmp"], "--ext .bmp: photographs are written as"),
    (["in/one.png", "-o", "out.mp4"], "out.mp4: photographs are written as"),
    (["in/one.png", "-o", "out.bmp"], "out.bmp: photographs are written as"),
    (["in/one.png", "-o", "out.jgp"], "out.jgp: '.jgp' ends no photograph or clip; mend that"),
    (["in", "-o", "out.png"], "out.png: is a file's name, and there are 2 inputs; name a folder"),
    (["in/one.png", "-o", "out", "--sign-key", "key.pem"], "--sign-key, --sign-certificates: 'key.pem' is no file"),
    (["in/one.png", "other/one.png", "-o", "out"], "would be written over that of"),
    (["in/one.png", "-o", "in/notes.txt/out"], "notes.txt"),
    (["in/one.png", "-o", "out/a.jpg", "--mode", "evidence"], "evidence is written without loss, as .png or .tif"),
    (["in", "-o", "out", "--mode", "evidence", "--ext", "webp"], "evidence is written without loss, as .png or .tif"),
    (["in", "-o", "out", "--mode", "evidence", "--codec", "h264"], "--codec h264: evidence is written without loss"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wrong_with_a_command_is_said_in_a_sentence(
    folder, save_image, photo, tmp_path, capsys, arguments, message
):
    (tmp_path / "empty").mkdir()
    save_image(photo[:8, :8].copy(), "other/one.png")
    assert run(*arguments) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in said and message in said and not (tmp_path / "out").exists()


FILLED = "(disk / 'filled').write_bytes(bytes(200_000))"
READ_ONLY = "subprocess.run(['mount', '-o', 'remount,ro', disk])"
NO_ROOM = "noise.png: its enlargement can't be written (the disk is full, or takes no more;"


@pytest.mark.parametrize(("before", "name", "ending", "message", "left"), [
    *((FILLED, "noise.png", ending, NO_ROOM, ["filled"]) for ending in ("png", "jpg", "tif", "webp")),
    (FILLED, "noise.mkv", "png", "the disk is full; free some space and run again", [".noise-x4.mp4.parts", "filled"]),
    (READ_ONLY, "noise.png", "png", "Read-only file system; check its permissions", []),
])  # fmt: skip
def test_a_disk_that_is_full_or_read_only_is_named_and_holds_no_half(
    folder, small_disk, before, name, ending, message, left
):
    noise = np.random.default_rng(0).integers(0, 256, (70, 70, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    write(folder / "noise.mkv", [noise] * 8, codec="ffv1", pixels="bgr0")
    said = small_disk(SCRIPT.format(before=before, source=str(folder / name), ending=ending))
    assert message in said and said.strip().endswith(f"code 1 {left}")


@pytest.mark.slow
def test_the_command_runs_by_its_name_and_verifies(folder, root, tmp_path):
    def start(*arguments):
        command = [sys.executable, "-m", "srstudy", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(root / "src")}
        )
        return done.returncode, done.stdout, done.stderr.strip().splitlines()[-1:]

    assert start("enhance", folder / "one.png", "-o", tmp_path / "out", "--mode", "evidence")[0] == 0
    record = tmp_path / "out" / "one-x4.png.record.json"
    same = f"{record}: equal: the pixels of the output are what the original gives.\n"
    assert start("verify", tmp_path / "out" / "one-x4.png")[:2] == (0, same)
    (folder / "one.png").write_bytes((folder / "two.jpg").read_bytes())
    code, out, [said] = start("verify", record)
    assert (code, out) == (1, "") and "one.png: the original has changed since it was recorded" in said
    if sys.platform == "linux":  # elsewhere such names can't be
        odd = (folder / "one.png").rename(folder / os.fsdecode(b"\xff.png"))
        code, _, [said] = start("enhance", odd, "-o", tmp_path / "out", "-n", "psnr")
        assert code == 1 and said.endswith(r"\udcff.png: a name that is not UTF-8; rename it.")
        code, _, [said] = start("enhance", odd.rename(odd.with_suffix(".jpg")), "-o", tmp_path / "out", "-n", "psnr")
        assert code == 1 and said.endswith(r"\udcff.jpg: a name that is not UTF-8; rename it.")
    assert start("models")[0] == 0
