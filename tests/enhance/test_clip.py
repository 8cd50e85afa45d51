"""Clips enlarged by a released network and written: frames, times, colours and sound, also after a kill."""

import csv
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import time
import tracemalloc
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.enhance.footage import number, numbers, one_behind_the_other, packets, picture, together, turn, write

from srstudy import StudyError
from srstudy.enhance import clip
from srstudy.enhance.clip import enhance_clip, fitted, parts_of
from srstudy.enhance.engine import Engine
from srstudy.enhance.steps import Steps, bicubic
from srstudy.enhance.writing import Format, check_container, container_for, write_segment
from srstudy.photos.clips import open_clip
from srstudy.photos.frames import SMPTE170M, Colour

MODEL = "models/released/psnr/generator.onnx"
PLAIN = Steps(strength=0.0, mark=False)  # bicubic, so that what comes is known
PICTURES = [picture(n) for n in range(6)]
SD = Colour(SMPTE170M, SMPTE170M, SMPTE170M, False, False)


@pytest.fixture(scope="module")
def engine(root):
    return Engine(root / MODEL)


@pytest.fixture
def enhance(engine, tmp_path):
    """A function (clip, ending, ...) -> the enlarged clip and what a record says."""

    def run(source, ending=".mp4", codec="h264", steps=PLAIN, plan=None, progress=lambda done, total: None, **more):
        target = tmp_path / f"out{ending}"
        rows = tmp_path / "frames.csv"
        facts = enhance_clip(source, target, rows, engine, steps, codec, plan or {}, progress, **more)
        shutil.rmtree(parts_of(target))  # as the caller does when the record is there
        return target, facts

    return run


@pytest.fixture
def short(monkeypatch):
    """Segments of two frames."""
    monkeypatch.setattr(clip, "LONGEST", 2)
    monkeypatch.setattr(clip, "SHORTEST", 2)


def read(path):
    """Frames, their times in seconds from the first on, and the pixels' shape."""
    opened = open_clip(path)
    with opened.container:
        frames = list(opened.frames())
        return frames, [(frame.pts - frames[0].pts) * opened.time_base for frame in frames], opened.shape


def test_every_frame_is_enlarged_by_the_network_and_has_a_row(enhance, engine, tmp_path, short):
    source, seen = write(tmp_path / "a.mp4", PICTURES[:5]), []
    target, facts = enhance(source, ".mkv", "ffv1", Steps(mark=False), progress=lambda *done: seen.append(done))
    (small, times, _), (large, same, _) = read(source), read(target)
    for one, other in zip(small, large):
        np.testing.assert_array_equal(other.rgb, next(engine.run([np.ascontiguousarray(one.rgb)])))
    rows = list(csv.DictReader((tmp_path / "frames.csv").open(encoding="utf-8")))
    assert [(row["md5_in"], row["md5_out"]) for row in rows] == [(a.md5, b.md5) for a, b in zip(small, large)]
    assert (facts["frames"], seen, times) == (5, [(n, 5) for n in range(1, 6)], same)
    assert facts["consistency"]["psnr_db_least"] > 25 and json.dumps(facts)


def test_a_tiled_frame_is_equal_to_a_whole_one(enhance, tmp_path):
    source = write(tmp_path / "a.mp4", [picture(3, 160, 144)])
    target, _ = enhance(source, ".mkv", "ffv1", Steps())
    (whole,), _, _ = read(target)
    target, _ = enhance(source, ".mkv", "ffv1", Steps(), {"of": "tiles"}, tile=64)
    np.testing.assert_array_equal(read(target)[0][0].rgb, whole.rgb)


@pytest.mark.parametrize("codec", ["ffv1", "h264"])
@pytest.mark.parametrize("size", [(47, 63), (48, 64)])
def test_what_is_written_is_what_is_read(tmp_path, codec, size, photo):
    """FFV1 to the bit; H.264 within what it loses, and no darker."""
    pictures = [np.ascontiguousarray(photo[k : k + 4 * size[0], 99 : 99 + 4 * size[1]]) for k in (0, 100, 200)]
    how = Format(codec, 4 * size[1], 4 * size[0], Fraction(25), Fraction(1, 1000), Fraction(1), SD)
    md5s = write_segment(tmp_path / "a.nut", zip(pictures, (0, 33, 71)), how)
    frames, times, _ = read(tmp_path / "a.nut")
    assert [frame.md5 for frame in frames] == md5s
    assert times == [Fraction(ms, 1000) for ms in (0, 33, 71)]
    for frame, rgb in zip(frames, pictures):
        error = frame.rgb.astype(float) - rgb
        assert np.abs(error).max() == 0 if codec == "ffv1" else abs(error.mean()) < 0.2
        assert np.sqrt(np.square(error).mean()) < 8


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(("tags", "said"), [((1, 1, 1), (1, 1, 1)), ((5, 5, 6), (5, 5, 6)), (None, (6, 6, 6))])
def test_shape_of_pixels_and_all_colour_tags_are_in_the_file(enhance, tmp_path, ending, tags, said):
    source = write(tmp_path / "a.mkv", PICTURES[:2], tags=tags, full=bool(tags), shape=Fraction(12, 11))
    target, facts = enhance(source, ending)
    with av.open(str(target)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (*said, 1)
        assert container.streams.video[0].sample_aspect_ratio == Fraction(12, 11)
    assert facts["colour"]["stated"] == bool(tags)
    (before, *_), (after, *_) = read(source)[0], read(target)[0]
    error = after.rgb.astype(float) - bicubic(np.ascontiguousarray(before.rgb))
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.3


@pytest.mark.parametrize("width", [88, 22])
def test_lossless_clips_keep_the_shape_of_pixels(enhance, tmp_path, width):
    pictures = [picture(n, width, 48) for n in range(3)]
    source = write(tmp_path / "a.mp4", pictures, shape=Fraction(6, 11), sound="aac")
    target, facts = enhance(source, ".mkv", "ffv1")
    _, times, shape = read(target)
    assert (shape, times, facts["left_out"]) == (Fraction(6, 11), [Fraction(n, 25) for n in range(3)], [])
    head = target.read_bytes()
    tracks = head.rindex(b"\x16\x54\xae\x6b", 0, head.index(b"V_FFV1")) + 4
    start = head.index(b"\xbf\x84", tracks)  # a checksum of 4 bytes, of all behind it
    end = start + int.from_bytes(head[tracks:start], "big") - (1 << 7 * (start - tracks))
    assert head[start + 2 : start + 6] == zlib.crc32(head[start + 6 : end]).to_bytes(4, "little")


@pytest.mark.parametrize(("name", "codec", "pixels", "bits"), [("a.avi", "rawvideo", "bgr24", 8),
                                                               ("a.mkv", "ffv1", "yuv420p10le", 10)])  # fmt: skip
def test_rgb_and_10_bits_are_tagged_like_what_says_nothing_and_recorded(enhance, tmp_path, name, codec, pixels, bits):
    target, facts = enhance(write(tmp_path / name, PICTURES[:1], codec=codec, pixels=pixels))
    colour = read(target)[0][0].colour
    assert (colour.matrix, colour.primaries, colour.transfer) == (6, 6, 6)
    assert (facts["bits"], facts["bits_read"]) == (bits, 8)


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("ticks", [[5000, 5040, 5060, 5140, 5141, 9141], [0, 1, 2, 3, 3_600_000, 3_600_040]])
def test_each_frame_keeps_its_own_time_from_the_start_on_across_segments(enhance, tmp_path, short, ending, ticks):
    source = write(tmp_path / "a.ts", PICTURES, times=ticks.__getitem__, clock=Fraction(1, 1000))
    target, _ = enhance(source, ending)
    frames, times, _ = read(target)
    assert numbers(frames) == list(range(6))
    assert max(abs(t - Fraction(tick - ticks[0], 1000)) for t, tick in zip(times, ticks)) <= Fraction(1, 1000)


def test_a_clip_that_lies_on_its_side_is_written_upright(enhance, tmp_path):
    source = write(tmp_path / "a.mp4", PICTURES[:2], shape=Fraction(12, 11))
    turn(source, 90)
    target, facts = enhance(source)
    frames, _, shape = read(target)
    assert (frames[0].rgb.shape, shape, facts["turned"]) == ((256, 192, 3), Fraction(11, 12), True)
    assert number(np.rot90(frames[1].rgb)) == 1


def test_frames_of_another_size_than_the_first_are_fitted_in_with_black_around(enhance, tmp_path, short):
    one = write(tmp_path / "1.h264", PICTURES[:2])
    two = write(tmp_path / "2.h264", [picture(n, 96, 48) for n in (2, 3)])
    target, facts = enhance(one_behind_the_other(tmp_path / "a.h264", one, two))
    frames, _, _ = read(target)
    assert [frame.rgb.shape for frame in frames] == [(192, 256, 3)] * 4
    assert (facts["frames_fitted"], facts["sizes"]) == (2, [(64, 48), (96, 48)])
    white = fitted(np.full((48, 96, 3), 255, np.uint8), 48, 64)
    assert (white[8:40] == 255).all() and (white[:8] == 0).all() and (white[40:] == 0).all()


SOUNDS = [("mp4", "aac", ".mp4"), ("mkv", "aac", ".mkv"), ("mkv", "libopus", ".mp4"), ("mov", "pcm_alaw", ".mov"),
          ("avi", "pcm_mulaw", ".mov"), ("avi", "pcm_s16le", ".mp4")]  # fmt: skip


def heard(path):
    """When a tone begins, in seconds from the first picture on."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    wave = np.abs(np.concatenate([frame.to_ndarray().ravel().astype(float) for frame in frames]))
    return frames[0].time + np.argmax(wave > wave.max() / 5) / frames[0].sample_rate - picture


@pytest.mark.parametrize(("name", "codec", "ending"), SOUNDS)
def test_sound_is_copied_packet_by_packet_and_begins_when_it_did(enhance, tmp_path, name, codec, ending):
    source = write(tmp_path / f"a.{name}", PICTURES, sound=codec)
    opened = open_clip(source)
    with opened.container:
        assert container_for(opened, "h264") == (".mov" if "law" in codec else ".mp4")
    target, facts = enhance(source, ending)
    assert facts["left_out"] == []
    assert packets(target, "audio") == packets(source, "audio")
    assert heard(target) == pytest.approx(heard(source), abs=0.0015)


def test_subtitles_are_copied_and_what_a_container_cannot_hold_is_said(enhance, tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:00,040 --> 00:00:00,120\ngate 3\n", encoding="utf-8")
    source = together(tmp_path / "a.mkv", write(tmp_path / "a.mp4", PICTURES[:3]), tmp_path / "a.srt")
    target, _ = enhance(source, ".mkv")
    assert packets(target, "subtitle") == packets(source, "subtitle") == [b"gate 3"]
    _, facts = enhance(source, ".mp4")
    assert facts["left_out"] == ["subtitles (srt) can't be copied into .mp4; write .mkv to keep it"]
    alaw = write(tmp_path / "b.mov", PICTURES[:1], sound="pcm_alaw")
    assert enhance(alaw, ".mkv")[1]["left_out"] == ["sound (pcm_alaw) can't be copied into .mkv; write .mov to keep it"]
    left_out = enhance(alaw, ".mkv", "ffv1")[1]["left_out"]
    assert left_out == ["sound (pcm_alaw) can't be copied into .mkv; it stays in the original alone"]
    with pytest.raises(StudyError, match=r"a\.mp4: ffv1 is written as \.mkv; name the output so"):
        check_container(tmp_path / "a.mp4", "ffv1")


def test_sound_goes_on_where_a_clock_was_set_back(enhance, tmp_path):
    parts = [
        write(tmp_path / f"{n}.ts", PICTURES[3 * n : 3 * n + 3], times=lambda n: 50 * n, sound="aac") for n in (0, 1)
    ]
    target, _ = enhance(one_behind_the_other(tmp_path / "a.ts", *parts))
    assert numbers(read(target)[0]) == list(range(6))
    assert len(packets(target, "audio")) == sum(len(packets(part, "audio")) for part in parts)


def test_a_clip_that_is_refused_leaves_nothing_behind(enhance, tmp_path):
    source = write(tmp_path / "a.mp4", PICTURES[:2], options={"x264-params": "tff=1"})
    with pytest.raises(StudyError, match="is interlaced"):
        enhance(source, deinterlace="refuse")
    wide = write(tmp_path / "b.mkv", [picture(0, 4100, 16)], codec="ffv1", pixels="bgr0")
    with pytest.raises(StudyError, match=r"b\.mkv: 16400x64 is more than H\.264 holds; use --codec ffv1"):
        enhance(wide)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mkv"]


class Stopped(Exception):
    """What ends a run in these tests."""


def test_a_run_goes_on_behind_the_last_segment_and_drops_those_of_another_plan(enhance, tmp_path, short, monkeypatch):
    def stop(done, total):
        if done == 5:  # the first of the third segment
            raise Stopped

    source, parts, made = write(tmp_path / "a.mp4", PICTURES), parts_of(tmp_path / "out.mp4"), []
    for plan in ({"strength": 0}, {"strength": 1}):
        with pytest.raises(Stopped):
            enhance(source, plan=plan, progress=stop)
    assert json.loads((parts / "plan.json").read_text()) == {"strength": 1}
    inner = clip.write_segment
    monkeypatch.setattr(clip, "write_segment", lambda path, *more: made.append(path.name) or inner(path, *more))
    (parts / "000001.json").unlink()  # as if killed between the two
    target, facts = enhance(source, plan={"strength": 1})
    assert len(made) == 2 and not parts.exists()
    resumed = target.read_bytes(), (tmp_path / "frames.csv").read_bytes()
    assert enhance(source, plan={"strength": 1})[1] == facts
    assert (target.read_bytes(), (tmp_path / "frames.csv").read_bytes()) == resumed


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no colon in names")
def test_a_time_of_day_in_a_name_is_no_protocol(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = write(tmp_path / "a.mp4", PICTURES[:2]), Path("2024-01-01T12:30-x4.mp4")
    enhance_clip(source, target, Path("rows.csv"), engine, PLAIN, "h264", {}, lambda done, total: None)
    assert len(read(target.absolute())[0]) == 2


@pytest.mark.parametrize("ending", ["mkv", "mp4", "avi"])
def test_a_clip_says_how_many_frames_it_has(tmp_path, ending):
    path = write(tmp_path / f"a.{ending}", PICTURES, sound="aac")
    with (opened := open_clip(path)).container:
        assert clip.frames_said(opened) == len(PICTURES)


def test_a_claim_outlives_a_change_of_plan(tmp_path):
    clip._drop_others(parts_of(target := tmp_path / "a-x4.mp4"), {"plan": 1})
    clip.claim(target)
    clip._drop_others(parts_of(target), {"plan": 2})
    assert clip.is_claimed(target)


KILLED = """
import shutil
import sys
from pathlib import Path
from srstudy.enhance import clip
from srstudy.enhance.engine import Engine
from srstudy.enhance.steps import Steps
clip.LONGEST = clip.SHORTEST = 4
source, target, model = map(Path, sys.argv[1:])
print("begun", flush=True)
engine = Engine(model, "evidence")
clip.enhance_clip(source, target, target.with_suffix(".csv"), engine, Steps(), "h264", {"a": 1}, lambda *done: None)
shutil.rmtree(clip.parts_of(target))
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_run_ends_with_the_clip_of_one_that_was_not(tmp_path, root):
    source = write(tmp_path / "a.mp4", [picture(n, 96, 72) for n in range(32)], sound="aac")
    environment = os.environ | {"PYTHONPATH": str(root / "src")}

    def start(name):
        call = [sys.executable, "-c", KILLED, str(source), str(tmp_path / name), str(root / MODEL)]
        return subprocess.Popen(call, env=environment, stdout=subprocess.PIPE)

    began = time.monotonic()
    assert start("whole.mp4").wait() == 0
    lasts, moments, kills, last = time.monotonic() - began, random.Random(5), 0, False
    while not last:
        last, run = kills == 20, start("killed.mp4")
        run.stdout.readline()
        time.sleep(moments.uniform(0.1, 0.6) * lasts)
        if not last:
            run.kill()
        if run.wait() != 0:
            kills += 1
            continue
        for ending in (".mp4", ".csv"):  # behind the segments of those before it; then once more from the beginning
            assert (tmp_path / f"killed{ending}").read_bytes() == (tmp_path / f"whole{ending}").read_bytes()
            (tmp_path / f"killed{ending}").unlink()
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "whole.mp4", "whole.csv"}


def test_memory_does_not_grow_with_the_number_of_frames(enhance, tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "LONGEST", 16)
    source = write(tmp_path / "a.mp4", (picture(n % 256, 16, 16) for n in range(128)))
    held = []

    def look(done, total):
        if done % 16 == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        enhance(source, progress=look)
    finally:
        tracemalloc.stop()
    assert len(held) == 8
    assert held[-1] - held[3] < 200 * 64  # bytes; a frame's row is half as much again
