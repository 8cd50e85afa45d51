"""Measures without an original, on pictures whose grid, noise and frequency are known; and frames of the clip."""

import av
import numpy as np
import pytest

from srstudy import StudyError
from srstudy.degrade.bicubic import upscale
from srstudy.degrade.camera import degrade
from srstudy.judge import footage
from srstudy.judge.footage import FRAME, blockiness, frequency, no_reference_measures, overlap
from srstudy.judge.metrics import luma
from srstudy.photos.clips import open_clip
from srstudy.photos.images import read_rgb
from srstudy.photos.sources import sample_photos
from srstudy.sets.tiles import grid_tiles


def grey(levels):
    """float [H, W] as an image."""
    return np.repeat(np.floor(levels + 0.5).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize(("offset", "height"), [(0, 3), (3, 3), (7, 3), (0, 1)])
def test_blockiness_is_the_step_at_the_grid_over_that_elsewhere_wherever_the_grid_begins(offset, height):
    """A ramp of 1 level a pixel, and `height` levels a pixel across a grid of 8 that begins at `offset`."""
    rise = np.where(np.arange(1, 64) % 8 == offset % 8, height, 1)
    levels = np.concatenate([[0], np.cumsum(rise)])
    assert blockiness((levels[:, None] + levels[None]) / 2 + 20) == pytest.approx(height, rel=0.02)


def test_blockiness_of_a_picture_of_blocks_alone_is_that_of_its_steps_over_those_of_rounding():
    blocks = np.kron(np.arange(64.0).reshape(8, 8) % 9 * 20, np.ones((8, 8)))
    assert 100 < blockiness(blocks) < 1000


@pytest.mark.parametrize("waves", [0.2, 0.8, 1.6])
def test_frequency_is_that_of_a_wave_whatever_its_contrast(waves):
    for contrast in (30, 100):
        wave = 128 + contrast * np.sin(waves * np.arange(400))[:, None] + np.zeros(32)
        assert frequency(wave) == pytest.approx(2 * np.sin(waves / 2), rel=0.03)


@pytest.mark.parametrize("sigma", [0.0, 2.0, 5.0, 10.0])
def test_noise_is_the_deviation_of_what_was_added_to_a_ramp(sigma):
    ramp = np.arange(40.0, 190.0)[:, None] + np.zeros(250)
    noisy = grey(ramp + np.random.default_rng(0).normal(0, sigma, ramp.shape))
    # luma of BT.601 has 219 levels for 255
    assert no_reference_measures([noisy]).noise[0] == pytest.approx(sigma * 219 / 255, rel=0.05, abs=0.01)


def test_measures_of_an_enlarged_image_are_by_the_pixels_of_before(photo):
    patches = [photo[:96, :96], photo[96:192, :96]]
    repeated = [np.kron(patch, np.ones((4, 4, 1), np.uint8)) for patch in patches]
    before, after = no_reference_measures(patches), no_reference_measures(repeated, 4)
    assert (list(after), len(after)) == (["blockiness", "noise", "frequency"], 2)
    assert np.isfinite(no_reference_measures([np.full((32, 32, 3), 90, np.uint8)])).all(axis=None)  # a flat one
    np.testing.assert_allclose(after[["blockiness", "noise"]], before[["blockiness", "noise"]])
    wave = grey(128 + 90 * np.sin(0.1 * np.arange(512))[:, None] + np.zeros(64))
    assert no_reference_measures([wave], 4).frequency[0] == pytest.approx(0.4, rel=0.03)


def test_overlap_is_the_area_under_both_distributions():
    random = np.random.default_rng(0)
    normal = random.normal(0, 1, 40_000)
    assert overlap(normal, normal) == pytest.approx(1)
    assert overlap(normal, normal + 100) == 0
    assert overlap(normal, random.normal(2, 1, 40_000)) == pytest.approx(0.3173, abs=0.01)  # 2 Phi(-1)
    assert overlap([0.0, 1.0], [0.0, 0.0]) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def frames(root):
    return footage.read_frames(root / footage.CLIP, 3)


@pytest.fixture(scope="module")
def corner(frames):
    """Pieces of two frames."""
    return [frame[:192, 256:512] for frame in frames[:2]]


def test_frames_are_the_first_the_middle_and_the_last_of_the_clip(root, frames):
    clip = open_clip(root / footage.CLIP)
    with clip.container:
        every = [frame.rgb for frame in clip.frames()]
    np.testing.assert_array_equal(frames, [every[number] for number in (0, 74, 149)])
    with pytest.raises(StudyError, match=r"cctv\.avi: has only 150 frames; ask for fewer than 151"):
        footage.read_frames(root / footage.CLIP, 151)


@pytest.mark.parametrize(("name", "content"), [("gone.avi", None), ("empty.avi", b""), ("text.avi", b"no video" * 99)])
def test_what_is_no_clip_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=name):
        footage.read_frames(tmp_path / name, 1)


def test_sound_alone_and_a_clip_without_contrast_are_refused(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as sound, av.open(str(tmp_path / "dark.avi"), "w") as dark:
        audio, video = sound.add_stream("pcm_s16le", rate=8000), dark.add_stream("mjpeg", rate=10)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        sound.mux([*audio.encode(frame), *audio.encode(None)])
        video.width = video.height = 128
        video.pix_fmt = "yuvj420p"
        black = av.VideoFrame.from_ndarray(np.zeros((128, 128, 3), np.uint8), format="rgb24")
        dark.mux([*video.encode(black), *video.encode(None)])
    with pytest.raises(StudyError, match=r"sound\.wav: no video"):
        footage.read_frames(tmp_path / "sound.wav", 1)
    with pytest.raises(StudyError, match=r"dark\.avi: no square of 64x64 px in it has contrast"):
        footage.read_frames(tmp_path / "dark.avi", 1)


def test_the_camera_s_lr_is_more_like_the_clip_than_bicubic_lr_is(root, study, frames):
    """In the mean over the three measures, on every other tile of ten training photographs."""
    photos = [photo for photo in sample_photos(root) if photo.split == "train"][:30:3]
    tiles, camera = grid_tiles([read_rgb(root / photo.path) for photo in photos], 256), study.degradations["cctv"]
    made = [degrade(hr, camera, np.random.default_rng([1, number])) for number, hr in enumerate(tiles.hr[::2])]
    groups = {"real": frames[:1], "bicubic": tiles.lr[::2], "cctv": made}
    table = footage.overlaps({name: footage.measures_of_patches(lrs) for name, lrs in groups.items()}).set_index("LR")
    assert table.loc["cctv"].mean() > table.loc["bicubic"].mean() + 0.05
    assert table.loc["cctv"].blockiness > table.loc["bicubic"].blockiness + 0.1


def test_measures_are_those_of_the_same_patches_by_every_method(corner):
    enlarged = {"repeated": np.kron(corner[0], np.ones((4, 4, 1), np.uint8))}
    table = footage.measures_of_enlarged(corner[0], enlarged).set_index("method")
    np.testing.assert_array_equal(table.loc[FRAME], footage.measures_of_patches(corner[:1]))
    np.testing.assert_allclose(table.loc["repeated"].iloc[:, :2], table.loc[FRAME].iloc[:, :2])


def test_figures_of_two_clips_of_one_name_lie_apart_and_those_of_the_committed_one_where_they_are(root, tmp_path, home):
    place = tmp_path / "reports" / "footage"
    for name in (footage.CLIP, f"./{footage.CLIP}", tmp_path / footage.CLIP):
        assert footage.results_folder(tmp_path, name) == place
    clips = ("one/a.mp4", "two/a.mp4", "one/a.avi", tmp_path / "one" / "a.mp4", "~/a.mp4", home / "a.mp4")
    first, second, third, same, mine, also_mine = (footage.results_folder(tmp_path, clip).name for clip in clips)
    assert (first, same, mine) == ("a", "a", also_mine)
    assert len({first, second, third, mine}) == 4
    assert str(tmp_path) not in (place / "a" / "source.txt").read_text()


def test_crops_are_the_places_with_most_contrast_the_same_by_every_method(corner):
    crops = footage.crops(corner[0], {"bicubic": upscale(corner[0])}, 2)
    contrast = [luma(crop[FRAME]).std() for crop in crops]
    assert contrast == sorted((luma(corner[0][place]).std() for place in footage.patches(corner[0])), reverse=True)[:2]
    for crop in crops:
        assert {name: image.shape for name, image in crop.items()} == {FRAME: (64, 64, 3), "bicubic": (256, 256, 3)}
        means = crop["bicubic"].reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        assert np.abs(means[4:-4, 4:-4] - crop[FRAME][4:-4, 4:-4]).mean() < 8
