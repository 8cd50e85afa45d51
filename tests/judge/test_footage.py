"""Frames of the committed clip, what is compared of them, and what a tiny network makes of them."""

from __future__ import annotations

import av
import numpy as np
import pandas as pd
import pytest

from srstudy.data.images import read_rgb
from srstudy.data.sources import sample_photos
from srstudy.data.tiles import grid_tiles
from srstudy.degrade.bicubic import upscale
from srstudy.errors import StudyError
from srstudy.figures.camera import camera_steps, frame_crops, looks_histograms
from srstudy.figures.common import save_figure
from srstudy.judge import footage
from srstudy.judge.metrics import luma
from srstudy.networks.architectures import residual_generator
from srstudy.networks.enhance import Enhancer


@pytest.fixture(scope="module")
def frames(root):
    return footage.read_frames(root / footage.CLIP, 3)


@pytest.fixture(scope="module")
def corner(frames):
    """A piece of a frame that a tiny network enlarges quickly."""
    return [frame[:192, 256:512] for frame in frames[:2]]


@pytest.fixture(scope="module")
def enhanced(corner):
    return footage.enhance(corner, {"tiny": Enhancer(residual_generator(4, 1), "image")})


def test_frames_are_the_first_the_middle_and_the_last_of_the_clip(root, frames):
    with av.open(str(root / footage.CLIP)) as clip:
        every = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(every) == 150
    for frame, number in zip(frames, (0, 74, 149)):
        np.testing.assert_array_equal(frame, every[number])


def test_too_many_frames_are_refused(root):
    with pytest.raises(StudyError, match=r"cctv\.avi: has only 150 frames; ask for fewer than 151"):
        footage.read_frames(root / footage.CLIP, 151)


@pytest.mark.parametrize(("name", "content"), [("gone.avi", None), ("empty.avi", b""), ("text.avi", b"no video" * 99)])
def test_what_is_no_clip_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=name):
        footage.read_frames(tmp_path / name, 1)


def test_sound_alone_is_no_clip(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as sound:
        stream = sound.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            sound.mux(packet)
    with pytest.raises(StudyError, match=r"sound\.wav: no video"):
        footage.read_frames(tmp_path / "sound.wav", 1)


def test_patches_lie_side_by_side_and_flat_ones_are_left_out(photo):
    image = photo[:200, :200].copy()
    image[64:128, 64:128] = 100
    places = list(footage.patches(image))
    lively = [
        (top, left)
        for top in (0, 64, 128)
        for left in (0, 64, 128)
        if luma(image[top : top + 64, left : left + 64]).std() >= 8
    ]
    assert [(rows.start, columns.start) for rows, columns in places] == lively
    assert (64, 64) not in lively


def test_every_tile_is_degraded_in_its_own_way_and_equally_each_time(study, photo):
    tiles = np.stack([photo[:64, :64]] * 3)
    first, again = (list(footage.degraded(tiles, study.degradations["cctv"], 1)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len({lr.tobytes() for lr in first}) == 3


def test_the_camera_s_lr_looks_more_like_the_clip_than_bicubic_lr_does(root, study, frames):
    """In the mean over the three figures, on every other tile of ten training photographs."""
    photos = [photo for photo in sample_photos(root) if photo.split == "train"][:30:3]
    tiles = grid_tiles([read_rgb(root / photo.path) for photo in photos], 256)
    groups = {
        "real": footage.looks_of_patches(frames[:1]),
        "bicubic": footage.looks_of_patches(tiles.lr[::2]),
        "cctv": footage.looks_of_patches(footage.degraded(tiles.hr[::2], study.degradations["cctv"], study.seed)),
    }
    table = footage.overlaps(groups).set_index("LR")
    assert table.loc["cctv"].mean() > table.loc["bicubic"].mean() + 0.05
    assert table.loc["cctv"].blockiness > table.loc["bicubic"].blockiness + 0.1


def test_frames_are_enlarged_as_they_are_by_bicubic_and_by_each_method(corner, enhanced):
    assert list(enhanced) == ["bicubic", "tiny"]
    np.testing.assert_array_equal(enhanced["bicubic"][1], upscale(corner[1]))
    assert enhanced["tiny"][0].shape == (768, 1024, 3)


def test_looks_are_those_of_the_same_patches_by_every_method(corner, enhanced):
    table = footage.looks_of_enhanced(corner, enhanced).set_index("method")
    assert list(table.index) == ["the frame itself", "bicubic", "tiny"]
    pd.testing.assert_series_equal(
        table.loc["the frame itself"], footage.looks_of_patches(corner).mean(), check_names=False
    )
    repeated = {"repeated": [np.kron(frame, np.ones((4, 4, 1), np.uint8)) for frame in corner]}
    same = footage.looks_of_enhanced(corner, repeated).set_index("method")
    np.testing.assert_allclose(same.loc["repeated"].iloc[:2], same.loc["the frame itself"].iloc[:2])


def test_crops_are_the_places_with_most_contrast_the_same_by_every_method(corner, enhanced):
    found = footage.crops(corner[0], {name: images[0] for name, images in enhanced.items()}, 2)
    contrast = [luma(crop["the frame itself"]).std() for crop in found]
    assert contrast == sorted((luma(corner[0][place]).std() for place in footage.patches(corner[0])), reverse=True)[:2]
    for crop in found:
        assert [image.shape for image in crop.values()] == [(64, 64, 3), (256, 256, 3), (256, 256, 3)]
        means = crop["bicubic"].reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        assert np.abs(means[4:-4, 4:-4] - crop["the frame itself"][4:-4, 4:-4]).mean() < 8


def test_every_picture_of_a_crop_says_its_method(corner, enhanced):
    found = footage.crops(corner[0], {name: images[0] for name, images in enhanced.items()}, 2)
    titles = [axis.get_title() for axis in frame_crops(found, "crops").axes]
    assert titles == ["the frame itself", "bicubic", "tiny"] * 2


def test_figures_go_by_their_titles_and_are_equal_bytes_when_they_are_equal(corner, enhanced, photo, tmp_path):
    table = footage.looks_of_patches(corner)
    steps = [("optics", photo[:64, :64]), ("downscaling", photo[:64:4, :64:4])]
    drawn = {
        "steps": lambda: camera_steps(photo[:64, :64], steps, corner[0][:16, :16], "steps"),
        "looks": lambda: looks_histograms({"real frames": table, "bicubic": table * 2, "cctv": table}, "looks"),
        "crops": lambda: frame_crops(footage.crops(corner[0], {"bicubic": enhanced["bicubic"][0]}, 1), "crops"),
    }
    seen = {
        "steps": "One after another: HR, 1. optics, 2. downscaling, a real frame",
        "looks": "Overlap with real frames, 1 where the distributions are the same: " + ", ".join(
            f"{look} {group}: {footage.overlap(table[look], table[look] * times):.2f}"
            for look in footage.LOOKS for group, times in (("bicubic", 2), ("cctv", 1))
        ),
        "crops": "Side by side, a row for each of 1 places: the frame itself, bicubic",
    }  # fmt: skip
    for name, draw in drawn.items():
        for number in (1, 2):
            figure = draw()
            save_figure(figure, tmp_path / f"{name}-{number}.png")
        assert repr(figure) == f"Figure: {name}. {seen[name]}"
        assert (tmp_path / f"{name}-1.png").read_bytes() == (tmp_path / f"{name}-2.png").read_bytes()
