"""Sets on disk: written as they come, opened without being read; and photographs covered with tiles."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tests.pixels import coordinates, places
from tests.tiny import save_tiles

from srstudy.data.images import read_rgb
from srstudy.data.tiles import Tiles, grid_tiles, open_tiles, training_tiles, writing_tiles
from srstudy.degrade.bicubic import downscale, resize
from srstudy.errors import StudyError


def test_grid_tiles_show_every_pixel_of_a_photograph():
    photo = coordinates()[:150, :203]
    tiles = grid_tiles([photo], 64)
    shown = {(x, y) for x, y, _ in tiles.hr.reshape(-1, 3).tolist()}
    assert shown == {(x, y) for x in range(200) for y in range(148)}  # all but the cut to a multiple of 4
    assert len(tiles) == 3 * 4  # as few as can do


def test_grid_tiles_have_the_lr_of_the_whole_photograph(photo):
    whole = photo[:200, :180]
    tiles, lr = grid_tiles([whole], 64), downscale(whole)
    for hr_tile, lr_tile in zip(tiles.hr, tiles.lr):
        ((top, left),) = places(whole, hr_tile)
        assert top % 4 == left % 4 == 0
        assert np.array_equal(lr_tile, lr[top // 4 : top // 4 + 16, left // 4 : left // 4 + 16])


def test_grid_tiles_leave_out_photographs_that_are_too_small(photo):
    assert len(grid_tiles([photo[:63, :500], photo[:64, :64]], 64)) == 1
    with pytest.raises(StudyError, match="no photograph is as large as a tile of 64x64"):
        grid_tiles([photo[:63, :500]], 64)


@pytest.fixture
def saved(tmp_path, photo):
    """A saved set of two tiles, and its folder."""
    hr = np.stack([photo[:64, :64], photo[64:128, :64]])
    tiles = Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))
    save_tiles(tmp_path / "set", tiles)
    return tiles, tmp_path / "set"


def test_a_set_is_opened_as_it_was_saved_and_is_not_read_into_memory(saved):
    tiles, folder = saved
    opened = open_tiles(folder)
    assert isinstance(opened.hr, np.memmap)
    assert np.array_equal(opened.hr, tiles.hr)
    assert np.array_equal(opened.lr, tiles.lr)
    assert len(opened) == 2


def test_the_files_are_those_that_numpy_writes(saved, tmp_path):
    tiles, folder = saved
    for name, array in (("hr.npy", tiles.hr), ("lr.npy", tiles.lr)):
        np.save(tmp_path / name, array)
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_set_is_nowhere_until_its_last_tile_is_written(tmp_path, photo):
    with pytest.raises(KeyboardInterrupt), writing_tiles(tmp_path / "set", 2, 16) as write:
        write(photo[:64, :64], photo[:16, :16])
        assert not (tmp_path / "set").exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_tiles_that_lie_anyhow_in_memory_are_written_row_by_row(tmp_path, photo):
    hr = photo[:64, :64].transpose(1, 0, 2)
    save_tiles(tmp_path / "set", Tiles(hr=hr[None], lr=downscale(hr)[None]))
    assert np.array_equal(open_tiles(tmp_path / "set").hr[0], hr)


def test_saving_again_replaces_the_whole_set(saved):
    tiles, folder = saved
    save_tiles(folder, Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1]))
    assert len(open_tiles(folder)) == 1
    assert sorted(path.name for path in folder.parent.iterdir()) == ["set"]


@pytest.mark.parametrize("missing", ["hr.npy", "lr.npy"])
def test_a_set_not_prepared_is_asked_for(saved, missing):
    (saved[1] / missing).unlink()
    with pytest.raises(StudyError, match="set: this training set is not prepared yet; run `dvc repro prepare`"):
        open_tiles(saved[1])


@pytest.mark.parametrize("kept", [0, 5, 100, 2000])
def test_a_damaged_set_is_named(saved, kept):
    content = (saved[1] / "hr.npy").read_bytes()
    (saved[1] / "hr.npy").write_bytes(content[:kept])
    with pytest.raises(StudyError, match="set: damaged training set"):
        open_tiles(saved[1])


def test_a_variant_trains_on_its_own_set(tiny_study, saved):
    study = tiny_study.load()
    with pytest.raises(StudyError, match="curated-10k-64-augmented: this training set is not prepared yet"):
        training_tiles(study, "10k-64-augmented")
    save_tiles(study.root / "data" / "prepared" / "curated-10k-64-augmented", saved[0])
    assert np.array_equal(training_tiles(study, "10k-64-augmented").hr, saved[0].hr)


def test_warm_starts_train_on_the_sample_s_training_photographs_only(tiny_study, save_image):
    lines = ["file,split,source,content,title,author,licence"]
    for split, colour in (("train", "red"), ("validation", "green"), ("test", "blue")):
        save_image(Image.new("RGB", (256, 300), colour), f"data/sample/photos/{split}.png")
        lines.append(f"photos/{split}.png,{split},camera,wall,{split},me,CC0-1.0")
    (tiny_study.root / "data" / "sample" / "SOURCES.csv").write_text("\n".join(lines) + "\n")
    tiles = training_tiles(tiny_study.load("paper"), "srgan")
    assert len(tiles) == 2
    assert (tiles.hr == (255, 0, 0)).all()


def test_with_several_scales_tiles_are_cut_at_each_that_is_large_enough(tiny_study, save_image):
    lines = ["file,split,source,content,title,author,licence", "photos/one.png,train,camera,wall,one,me,CC0-1.0"]
    photo = save_image(np.tile(coordinates(), (3, 3, 1))[:600, :520], "data/sample/photos/one.png")
    (tiny_study.root / "data" / "sample" / "SOURCES.csv").write_text("\n".join(lines) + "\n")
    tiny_study.set("released.recommended-psnr.scales", [1.0, 0.5, 0.4])
    tiles, whole = training_tiles(tiny_study.load(), "recommended-psnr"), read_rgb(photo)
    halved = grid_tiles([resize(whole, 0.5)], 256)  # 0.4 is too small
    assert len(halved) == 4
    assert np.array_equal(tiles.hr, np.concatenate([grid_tiles([whole], 256).hr, halved.hr]))
    tiny_study.set("released.recommended-psnr.scales", [0.4, 0.001])
    with pytest.raises(StudyError, match="no photograph is as large as a tile of 256x256"):
        training_tiles(tiny_study.load(), "recommended-psnr")
