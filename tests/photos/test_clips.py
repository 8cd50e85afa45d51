"""Clips as recorders leave them, made by PyAV: which frames come, when, how they lie, and in what colours."""

import hashlib
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from tests.enhance.footage import (
    TURNS,
    add_sound,
    number,
    numbers,
    one_behind_the_other,
    overwrite,
    picture,
    planes,
    spots,
    together,
    turn,
    write,
)  # fmt: skip

from srstudy import StudyError
from srstudy.photos import clips
from srstudy.photos.clips import open_clip, read_frames
from srstudy.photos.frames import BT709, SMPTE170M

COUNT = 30
PICTURES = [picture(n) for n in range(COUNT)]


def read(path, **how):
    """What is known of a clip that was read to its end, and its frames."""
    clip = open_clip(path, **how)
    with clip.container:
        frames = list(clip.frames())
        known = {name: getattr(clip, name) for name in ("shape", "rate", "time_base", "lost", "mended", "cut", "sizes")}
    return SimpleNamespace(**known, deinterlaced=clip.deinterlaced), frames


def times(clip, frames):
    """Seconds from the first frame on."""
    return [(frame.pts - frames[0].pts) * clip.time_base for frame in frames]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264", "a.flv", "a.mov"])
def test_every_frame_comes_in_order_at_its_time_with_b_frames_in_any_container(tmp_path, name):
    clip, frames = read(write(tmp_path / name, PICTURES, options={"bf": "3"}))
    assert (numbers(frames), clip.lost, clip.cut) == (list(range(COUNT)), 0, False)
    assert times(clip, frames) == [Fraction(n, 25) for n in range(COUNT)]


@pytest.mark.parametrize("rate", [15, 25, Fraction(30000, 1001)])
def test_raw_h264_has_no_times_and_gets_those_of_the_rate_that_its_headers_state(tmp_path, rate):
    path = write(tmp_path / "a.h264", PICTURES, rate=Fraction(rate), clock=1 / Fraction(rate), shape=Fraction(6, 11))
    clip, frames = read(path)
    assert (clip.rate, clip.mended, clip.shape) == (rate, COUNT, Fraction(6, 11))
    assert [abs(time - n / rate) <= n * clip.time_base for n, time in enumerate(times(clip, frames))] == [True] * COUNT
    assert [number(rgb) for rgb in read_frames(path, 3)] == [0, 14, 29]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_recording_that_begins_within_a_group_of_pictures_begins_with_the_next_keyframe(tmp_path, codec):
    path = _transport_stream(tmp_path, codec)
    path.write_bytes(path.read_bytes()[spots(path)[5][0] // 188 * 188 :])
    _, frames = read(path)
    assert numbers(frames) == list(range(10, COUNT))
    assert [number(rgb) for rgb in read_frames(path, 3)] == [10, 20, 29]


def _transport_stream(folder, codec, group=10):
    """Groups of pictures of that many frames."""
    own = {"x265-params": f"keyint={group}:min-keyint={group}:scenecut=0:open-gop=0:bframes=0:log-level=none"}
    options = own if codec == "libx265" else {"g": str(group), "bf": "0", "sc_threshold": "0"}
    return write(folder / "a.ts", PICTURES, codec=codec, options=options)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_after_damaged_bytes_only_what_was_hit_is_missing_and_from_the_next_keyframe_on_all_is_right(tmp_path, codec):
    path = _transport_stream(tmp_path, codec)
    whole, places = read(path)[1], spots(path)
    overwrite(path, places[12][0], places[14][0])
    clip, frames = read(path)
    assert (len(frames), clip.cut) == (COUNT - 2, False)
    assert [frame.md5 for frame in frames[:12] + frames[18:]] == [frame.md5 for frame in whole[:12] + whole[20:]]
    assert times(clip, frames) == [Fraction(n, 25) for n in range(COUNT) if n not in (12, 13)]


def test_a_packet_that_does_not_decode_is_counted_and_passed_over(tmp_path):
    path = write(tmp_path / "a.mp4", PICTURES, options={"bf": "0"})
    place, size = spots(path)[14]
    overwrite(path, place, place + size, 255)
    clip, frames = read(path)
    assert (clip.lost, numbers(frames)[:14], numbers(frames)[-10:]) == (1, list(range(14)), list(range(20, 30)))
    assert len(frames) == COUNT - 1


def test_a_container_that_reports_an_error_in_the_middle_is_read_on(tmp_path):
    """DV frames have one size, so where each begins is known; one that names another kind of DV is refused."""
    path = write(tmp_path / "a.dv", [np.full((576, 720, 3), 60 + 15 * n, np.uint8) for n in range(8)], codec="dvvideo")
    size = path.stat().st_size // 8
    one_behind_the_other(path, *[path] * 6)  # more than is looked at in opening
    overwrite(path, 41 * size + 451, 41 * size + 452, 0x98)
    with av.open(str(path)) as container, pytest.raises(av.FFmpegError):
        list(container.demux())
    clip, frames = read(path)
    assert [round((frame.rgb.mean() - 60) / 15) for frame in frames[-5:]] == [2, 4, 5, 6, 7]
    assert (len(frames), clip.lost, clip.cut) == (46, 1, False)


def test_of_an_avi_cut_in_the_middle_without_an_index_all_frames_before_the_cut_are_read(tmp_path):
    path = write(tmp_path / "a.avi", PICTURES, options={"bf": "0"})
    path.write_bytes(path.read_bytes()[: spots(path)[20][0] + 20])
    _, frames = read(path)
    assert numbers(frames)[:20] == list(range(20)) and len(frames) <= 21
    assert number(read_frames(path, 2)[0]) == 0


@pytest.mark.parametrize("how", list(TURNS))
def test_frames_stand_upright_as_the_display_matrix_says_and_so_do_their_pixels(tmp_path, how):
    """The matrix is the picture's: column x and row y of what is stored go to a x + c y and b x + d y."""
    path = write(tmp_path / "a.mp4", PICTURES[:2], shape=Fraction(12, 11), options={"crf": "0"})
    stored = read(path)[1][1].rgb
    turn(path, how)
    clip, frames = read(path)
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    a, b, c, d = TURNS[how]
    column, row = a * x + c * y, b * x + d * y
    expected = np.zeros((*(stored.shape[1::-1] if b else stored.shape[:2]), 3), np.uint8)
    expected[row - row.min(), column - column.min()] = stored
    np.testing.assert_array_equal(frames[1].rgb, expected)
    assert clip.shape == (Fraction(11, 12) if b else Fraction(12, 11))


def woven(count):
    """Grey frames whose lines are by turns of two moments, over a background that stands still."""
    frames = picture(0)[None, ..., :1].repeat(3, axis=3).repeat(count, axis=0)
    for moment in range(2 * count):
        frames[moment // 2, 12 + moment % 2 : 40 : 2, 8 + 2 * moment : 16 + 2 * moment] = 235
    return list(frames)


def combed(rgb):
    """How much lines differ from the mean of both neighbours."""
    y = rgb.astype(float).mean(axis=2)[12:40]
    return np.abs(y[1:-1] - (y[:-2] + y[2:]) / 2).mean()


def test_interlaced_frames_are_deinterlaced_left_or_refused_as_asked(tmp_path):
    path = write(tmp_path / "a.mp4", woven(8), options={"x264-params": "tff=1", "qp": "0"})
    frames = {how: read(path, deinterlace=how) for how in ("auto", "never", "always")}
    assert {how: clip.deinterlaced for how, (clip, _) in frames.items()} == {"auto": 8, "never": 0, "always": 8}
    whole, left = (frames[how][1] for how in ("auto", "never"))
    assert [frame.pts for frame in whole] == [frame.pts for frame in left]
    assert combed(whole[4].rgb) < 0.4 * combed(left[4].rgb)
    np.testing.assert_array_equal(whole[4].rgb[:8], left[4].rgb[:8])  # where nothing moves
    assert [frame.md5 for frame in whole] == [frame.md5 for frame in left]  # of what was decoded, not of what was made
    with pytest.raises(StudyError, match=r"a\.mp4: is interlaced"):
        read(path, deinterlace="refuse")


def test_interlaced_frames_that_carry_no_flag_are_deinterlaced_on_request_alone(tmp_path):
    path = write(tmp_path / "a.avi", woven(5), codec="mjpeg", pixels="yuvj420p")
    assert [read(path, deinterlace=how)[0].deinterlaced for how in ("auto", "refuse", "always")] == [0, 0, 5]
    assert len(read(write(tmp_path / "b.mp4", woven(1), options={"x264-params": "tff=1"}))[1]) == 1


KR_KB = {BT709: (0.2126, 0.0722), 5: (0.299, 0.114), SMPTE170M: (0.299, 0.114), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}


def in_rgb(y, cb, cr, matrix, full):
    """ITU-T H.273, equations 11 to 47: float levels 0 to 255 [..., 3]."""
    kr, kb = KR_KB[matrix]
    y, cb, cr = (np.asarray(part, float) for part in (y, cb, cr))
    y, c = (y, 1) if full else (255 / 219 * (y - 16), 255 / 224)
    cb, cr = c * (cb - 128), c * (cr - 128)
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], axis=-1).clip(0, 255)


def patches(height=32):
    """Planes of 4:2:0 in squares of one colour each, of 16 pixels a side; and the squares' Y, Cb and Cr [2, 4]."""
    y, cb, cr = np.array([[[40, 90, 180, 120], [60, 150, 110, 200]], [[128, 100, 150, 110], [140, 90, 128, 120]],
                          [[128, 140, 120, 160], [100, 130, 150, 118]]], np.uint8)  # fmt: skip
    y, cb, cr = (np.tile(part, (height // 32, 1)) for part in (y, cb, cr))
    large = [np.kron(part, np.ones((side, side), np.uint8)) for part, side in ((y, 16), (cb, 8), (cr, 8))]
    return planes(*large), (y, cb, cr)


@pytest.mark.parametrize(
    ("matrix", "full"), [(BT709, False), (BT709, True), (SMPTE170M, False), (5, True), (9, False), (7, False)]
)
@pytest.mark.parametrize("interlaced", [False, True])
def test_a_stated_matrix_and_range_are_read_as_the_standard_says(tmp_path, matrix, full, interlaced):
    frame, colours = patches()
    options = {"qp": "0"} | ({"x264-params": "tff=1"} if interlaced else {})
    path = write(tmp_path / "a.mp4", [frame] * 2, tags=(matrix, 1, 1), full=full, options=options)
    clip, frames = read(path)
    read_as = frames[1].rgb[8::16, 8::16].astype(float)
    assert np.abs(read_as - in_rgb(*colours, matrix, full)).max() < 1.6
    assert (frames[0].colour.matrix, frames[0].colour.full, frames[0].colour.stated) == (matrix, full, True)
    assert clip.deinterlaced == 2 * interlaced


@pytest.mark.parametrize(("height", "codec", "matrix"), [
    (32, "ffv1", SMPTE170M), (704, "ffv1", SMPTE170M), (736, "ffv1", BT709), (736, "mjpeg", SMPTE170M),
])  # fmt: skip
def test_where_nothing_is_stated_lines_decide_the_matrix_but_for_jpeg_which_has_full_range(
    tmp_path, height, codec, matrix
):
    frame, colours = patches(height)
    jpeg = codec == "mjpeg"
    frame = frame.reformat(format="yuvj420p", src_color_range=2, dst_color_range=2) if jpeg else frame
    _, (read_as,) = read(write(tmp_path / "a.mkv", [frame], codec=codec, options={"q": "1"} if jpeg else {}))
    error = np.abs(read_as.rgb[8::16, 8::16] - in_rgb(*colours, matrix, jpeg)).max()
    assert error < (4 if jpeg else 1.6)  # JPEG's own loss
    colour = read_as.colour
    stated = colour.matrix, colour.primaries, colour.transfer, colour.stated
    assert colour.full == jpeg and (jpeg or stated == (matrix, matrix, matrix, False))


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_textured_frames_are_as_bright_as_the_standard_says(tmp_path, pixels, size):
    """Luma that changes at every pixel under one colour: where chroma is, is then no matter."""
    y = np.random.default_rng(0).integers(40, 200, size, np.uint8)
    small = np.ones([-(-side // 2) for side in size], np.uint8)
    frame = planes(y, 120 * small, 140 * small).reformat(format=pixels, src_color_range=1, dst_color_range=1)
    _, (read_as,) = read(write(tmp_path / "a.nut", [frame], codec="ffv1"))
    check_brightness(read_as.rgb, y)


def check_brightness(rgb, y):
    error = rgb - in_rgb(y, np.full(y.shape, 120), np.full(y.shape, 140), SMPTE170M, False)
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.15
    assert np.abs(error).max() < 2.1


@pytest.mark.parametrize(("pixels", "order"), [("yuyv422", [0, 1]), ("uyvy422", [1, 0])])
def test_packed_frames_of_capture_cards_are_as_bright_too(tmp_path, pixels, order):
    y = np.random.default_rng(0).integers(40, 200, (48, 64), np.uint8)
    samples = np.stack([y, np.tile(np.array([120, 140], np.uint8), (48, 32))], axis=-1)[..., order]
    frame = planes(samples.reshape(48, 128)[:, :64], pixels=pixels)
    frame.planes[0].update(np.ascontiguousarray(samples))
    _, (read_as,) = read(write(tmp_path / "a.nut", [frame], codec="rawvideo"))
    check_brightness(read_as.rgb, y)
    assert read_as.md5 == hashlib.md5(samples.tobytes()).hexdigest()


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_md5_is_that_of_the_planes_one_after_the_other(tmp_path, size):
    random = np.random.default_rng(1)
    parts = [random.integers(16, 235, size, np.uint8)]
    parts += [random.integers(16, 235, [-(-side // 2) for side in size], np.uint8) for _ in range(2)]
    _, (frame,) = read(write(tmp_path / "a.mkv", [planes(*parts)], codec="ffv1"))
    assert frame.md5 == hashlib.md5(b"".join(part.tobytes() for part in parts)).hexdigest()
    assert frame.rgb.shape == (*size, 3)
    rgb = random.integers(0, 256, (*size, 3), np.uint8)
    _, (frame,) = read(write(tmp_path / "b.nut", [rgb], codec="rawvideo", pixels="bgr24"))
    assert frame.md5 == hashlib.md5(rgb[..., ::-1].tobytes()).hexdigest()
    np.testing.assert_array_equal(frame.rgb, rgb)


def test_frames_of_two_sizes_in_one_stream_all_come(tmp_path):
    one = write(tmp_path / "1.h264", PICTURES[:10])
    two = write(tmp_path / "2.h264", [picture(n, 96, 80) for n in range(10, 20)])
    clip, frames = read(one_behind_the_other(tmp_path / "a.h264", one, two), deinterlace="always")
    assert numbers(frames) == list(range(20))
    assert clip.sizes == {(64, 48), (96, 80)}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_times_that_start_late_are_uneven_or_jump_forward_are_kept(tmp_path, name):
    clock, ticks = Fraction(1, 1000), [5000, 5040, 5060, 5140, 5141, 9141, 9500, 3_600_000]
    path = write(tmp_path / name, PICTURES[:8], times=ticks.__getitem__, clock=clock)
    clip, frames = read(path)
    assert numbers(frames) == list(range(8))
    for time, tick in zip(times(clip, frames), ticks):
        assert abs(time - (tick - ticks[0]) * clock) <= clip.time_base
    assert clip.mended == 0


def test_where_a_clock_was_set_back_times_go_on(tmp_path):
    """Two recordings of the same hour, one behind the other."""
    parts = [write(tmp_path / f"{n}.ts", PICTURES[10 * n : 10 * n + 10], times=lambda n: 25 * n) for n in range(3)]
    clip, frames = read(one_behind_the_other(tmp_path / "a.ts", *parts))
    assert numbers(frames) == list(range(30))
    assert [float(step) for step in np.diff(times(clip, frames))] == [1] * 9 + [0.04] + [1] * 9 + [0.04] + [1] * 9
    assert clip.mended == 2


def test_of_several_streams_the_one_of_the_number_is_read(tmp_path):
    parts = [write(tmp_path / f"{n}.mkv", PICTURES[n : n + 2]) for n in (0, 10)]
    together(tmp_path / "a.mkv", *parts)
    found = {n: numbers(read(tmp_path / "a.mkv", number=n)[1]) for n in (0, 1, None)}
    assert found == {0: [0, 1], 1: [10, 11], None: [0, 1]}
    for wrong in (2, -1):
        with pytest.raises(StudyError, match=r"a\.mkv: no video in it \(0: video, 1: video\)"):
            open_clip(tmp_path / "a.mkv", number=wrong)


def test_sound_alone_and_a_clip_without_a_frame_are_named_in_one_sentence(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as out:
        add_sound(out, "pcm_alaw", 0.5)
    with pytest.raises(StudyError, match=r"a\.mov: no video in it \(0: audio\); give a clip"):
        open_clip(tmp_path / "a.mov")
    path = write(tmp_path / "b.mp4", PICTURES[:5], options={"bf": "0"})
    for place, size in spots(path):
        overwrite(path, place, place + size)
    for function in (read, lambda path: read_frames(path, 1)):
        with pytest.raises(StudyError, match=r"b\.mp4: no frame in it can be decoded"):
            function(path)


def test_metadata_in_another_encoding_than_utf_8_is_no_hindrance(tmp_path):
    path = write(tmp_path / "a.avi", PICTURES[7:8], codec="mjpeg", pixels="yuvj420p")
    path.write_bytes(path.read_bytes().replace(b"Lavf", "监控".encode("gbk")))
    assert numbers(read(path)[1]) == [7]


@pytest.mark.parametrize(("name", "rate"), [("a.mp4", 25), ("a.mkv", 25), ("a.ts", 5)])
def test_frames_of_a_long_clip_are_sought(tmp_path, monkeypatch, name, rate):
    clock = 1 / Fraction(rate)
    path = write(
        tmp_path / name, (picture(n % 256) for n in range(240)), clock=clock, rate=Fraction(rate), options={"bf": "2"}
    )
    decoded, inner = [], clips.Clip.decoded
    monkeypatch.setattr(clips, "LONG", 200)
    monkeypatch.setattr(clips.Clip, "decoded", lambda clip: (decoded.append(raw.pts) or raw for raw in inner(clip)))
    assert [number(rgb) for rgb in read_frames(path, 3)] == [0, 120, 239]
    assert len(decoded) < 240 * 2 / 3
