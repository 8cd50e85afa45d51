"""Sets on disk: written as they come, opened without being read; and photographs covered with tiles."""

import hashlib

import numpy as np
import pytest
from tests.pixels import coordinates, places
from tests.tiny import save_tiles

from srstudy import StudyError
from srstudy.degrade.bicubic import downscale, resize
from srstudy.photos.images import read_rgb
from srstudy.sets.tiles import Tiles, grid_tiles, open_tiles, training_tiles, writing_tiles


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
    hr = np.stack([photo[:64, :64].transpose(1, 0, 2), photo[64:128, :64]])  # one that lies differently in memory
    tiles = Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))
    save_tiles(tmp_path / "set", tiles)
    return tiles, tmp_path / "set"


def test_a_set_is_opened_without_being_read_and_its_files_are_those_that_numpy_writes(saved, tmp_path):
    tiles, folder = saved
    opened = open_tiles(folder)
    assert isinstance(opened.hr, np.memmap)
    assert len(opened) == 2
    for name in ("hr", "lr"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(tiles, name))
        np.save(tmp_path / f"{name}.npy", getattr(tiles, name))
        assert (folder / f"{name}.npy").read_bytes() == (tmp_path / f"{name}.npy").read_bytes()


def test_a_set_is_nowhere_until_its_last_tile_is_written_and_replaces_an_older_one(saved, photo):
    _, folder = saved
    with writing_tiles(folder, 1, 16) as write:
        write(photo[:64, :64], photo[:16, :16])
        assert len(open_tiles(folder)) == 2
    assert len(open_tiles(folder)) == 1
    with pytest.raises(KeyboardInterrupt), writing_tiles(folder.with_name("other"), 2, 16) as write:
        raise KeyboardInterrupt
    assert [path.name for path in folder.parent.iterdir()] == ["set"]


def test_a_set_that_is_damaged_or_not_prepared_is_named(saved):
    content = (saved[1] / "hr.npy").read_bytes()
    for kept in (0, 5, 100, 2000):
        (saved[1] / "hr.npy").write_bytes(content[:kept])
        with pytest.raises(StudyError, match="set: damaged training set"):
            open_tiles(saved[1])
    (saved[1] / "lr.npy").unlink()
    (saved[1] / "hr.npy").write_bytes(content)
    with pytest.raises(StudyError, match="set: this training set is not prepared yet; run `dvc repro cut@set`"):
        open_tiles(saved[1])


def test_a_variant_trains_on_its_own_set(tiny_study, saved):
    study = tiny_study.load()
    save_tiles(study.root / "data" / "prepared" / "curated-10k-64-augmented", saved[0])
    assert np.array_equal(training_tiles(study, study.run("srgan-10k-64-augmented")).hr, saved[0].hr)


def test_others_train_on_the_sample_s_training_photographs_at_each_scale_that_is_large_enough(tiny_study, save_image):
    lines = ["file,split,source,content,title,author,licence"]
    for split, pixels in (("train", np.tile(coordinates(), (3, 3, 1))), ("test", np.zeros((900, 900, 3), np.uint8))):
        photo = save_image(pixels[:600, :520], f"data/sample/photos/{split}.png")
        lines.append(f"photos/{split}.png,{split},camera,wall,{split},me,CC0-1.0")
    (tiny_study.root / "data" / "sample" / "SOURCES.csv").write_text("\n".join(lines) + "\n")
    tiny_study.set("released.recommended-psnr.scales", [1.0, 0.5, 0.4])
    study, whole = tiny_study.load(), read_rgb(photo.with_name("train.png"))
    once, halved = grid_tiles([whole], 256), grid_tiles([resize(whole, 0.5)], 256)  # 0.4 is too small
    assert np.array_equal(training_tiles(study, study.run("srgan")).hr, once.hr)
    tiles = training_tiles(study, study.run("recommended-psnr"))
    assert np.array_equal(tiles.hr, np.concatenate([once.hr, halved.hr]))
    listed = save_image(whole[:300, :260], "data/raw/mine/a.png").read_bytes()
    table = f"file,sha256,split\na.png,{hashlib.sha256(listed).hexdigest()},train\n"
    (tiny_study.root / "mine.csv").write_text(table)
    words = dict.fromkeys(("title", "native", "licence"), "mine")
    tiny_study.set("data.sources.mine", {**words, "images": "*.png", "listed": "mine.csv"})
    tiny_study.set("released.recommended-psnr.photographs", ["sample", "mine"])
    study = tiny_study.load()
    more = training_tiles(study, study.run("recommended-psnr"))
    assert np.array_equal(more.hr, np.concatenate([once.hr, grid_tiles([whole[:300, :260]], 256).hr, halved.hr]))
    assert study.run("recommended-psnr").note == "all training photographs of sample, mine"
    tiny_study.set("released.recommended-psnr.scales", [0.4, 0.001])
    study = tiny_study.load()
    with pytest.raises(StudyError, match="no photograph is as large as a tile of 256x256"):
        training_tiles(study, study.run("recommended-psnr"))
