import threading

import numpy as np
import pytest
import tensorflow as tf

from srstudy.data.tiles import Tiles
from srstudy.degrade.bicubic import downscale
from srstudy.degrade.camera import with_every_step
from srstudy.errors import StudyError
from srstudy.train.dataset import batches


@pytest.fixture
def tiles(photo):
    hr = np.stack([photo[32 * i : 32 * i + 32, :32] for i in range(6)])
    return Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))


def read(dataset):
    return [(lr.numpy(), hr.numpy()) for lr, hr in dataset]


def test_an_epoch_shows_every_tile_once_and_the_next_in_another_order(tiles):
    seen = [hr for _, batch in read(batches(tiles, 1, 2, 0, 6)) for hr in batch]
    order = [int(np.flatnonzero((tiles.hr == hr).all(axis=(1, 2, 3)))[0]) for hr in seen]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))
    assert order[:6] != order[6:]


def test_lr_belongs_to_hr(tiles):
    for lr, hr in read(batches(tiles, 1, 3, 0, 2)):
        for index in range(3):
            np.testing.assert_array_equal(lr[index], downscale(hr[index]))


def test_a_pipeline_that_starts_later_gives_the_batches_it_would_have_given(tiles):
    options = {"crop": 4, "flips": True}
    whole = read(batches(tiles, 1, 2, 0, 9, **options))
    for (lr, hr), (lr_later, hr_later) in zip(whole[5:], read(batches(tiles, 1, 2, 5, 9, **options))):
        np.testing.assert_array_equal(lr, lr_later)
        np.testing.assert_array_equal(hr, hr_later)


def test_another_seed_gives_other_batches(tiles):
    first, second = (read(batches(tiles, seed, 6, 0, 1))[0][1] for seed in (1, 2))
    assert (first != second).any()


def test_a_random_crop_takes_the_same_place_of_lr_and_hr(tiles):
    for lr, hr in read(batches(tiles, 1, 2, 0, 20, crop=3)):
        for index in range(2):
            places = [
                (number, top, left)
                for number in range(6)
                for top in range(6)
                for left in range(6)
                if (tiles.lr[number, top : top + 3, left : left + 3] == lr[index]).all()
            ]
            assert any((tiles.hr[n, 4 * t : 4 * t + 12, 4 * c : 4 * c + 12] == hr[index]).all() for n, t, c in places)


def test_flips_turn_lr_and_hr_alike_and_reach_all_eight_positions(tiles):
    one = Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1])
    turned = {k: np.rot90(one.hr[0], k) for k in range(4)} | {k + 4: np.rot90(one.hr[0][:, ::-1], k) for k in range(4)}
    small = {k: np.rot90(one.lr[0], k) for k in range(4)} | {k + 4: np.rot90(one.lr[0][:, ::-1], k) for k in range(4)}
    seen = set()
    for lr, hr in read(batches(one, 1, 1, 0, 60, flips=True)):
        [position] = [k for k in turned if (turned[k] == hr[0]).all()]
        np.testing.assert_array_equal(small[position], lr[0])
        seen.add(position)
    assert seen == set(range(8))


def test_a_crop_larger_than_the_tiles_is_refused(tiles):
    with pytest.raises(StudyError, match="crop: 9"):
        batches(tiles, 1, 1, 0, 1, crop=9)


class Noticed(np.ndarray):
    """Tiles that say when the third one of them is read."""

    def __array_finalize__(self, other):
        self.count, self.third = 0, threading.Event()

    def __getitem__(self, place):
        self.count += 1
        if self.count == 3:
            self.third.set()
        return np.asarray(self)[place]


def test_batches_are_made_ahead_of_the_step_that_wants_them(tiles):
    """Also where operations are deterministic: TensorFlow then makes none ahead that it must take for random."""
    tf.config.experimental.enable_op_determinism()
    hr = tiles.hr.view(Noticed)
    ahead = iter(batches(Tiles(hr=hr, lr=tiles.lr), 1, 1, 0, 6))  # without a name it would end with its first batch
    next(ahead)
    assert hr.third.wait(20)


def test_a_camera_makes_lr_of_the_hr_crop_and_leaves_hr_as_it_is_without_one(tiles, study):
    options = {"crop": 4, "flips": True}
    plain = read(batches(tiles, 1, 3, 0, 4, **options))
    made = read(batches(tiles, 1, 3, 0, 4, camera=study.degradations["cctv"], **options))
    for (lr, hr), (lr_made, hr_made) in zip(plain, made):
        np.testing.assert_array_equal(hr, hr_made)
        assert (lr_made.shape, lr_made.dtype) == (lr.shape, lr.dtype)
        assert all((one != other).any() for one, other in zip(lr, lr_made))
        assert np.abs(lr_made.mean(axis=(1, 2)) - hr.mean(axis=(1, 2))).max() < 40  # it shows the same place


def test_a_camera_s_batches_are_a_function_of_seed_and_step_and_of_nothing_else(tiles, study):
    camera = with_every_step(study.degradations["cctv"])
    whole = read(batches(tiles, 1, 2, 0, 6, crop=4, camera=camera))
    for (lr, _), (lr_later, _) in zip(whole[4:], read(batches(tiles, 1, 2, 4, 6, crop=4, camera=camera))):
        np.testing.assert_array_equal(lr, lr_later)
    parts = [read(batches(tiles, 1, 2, 0, 6, crop=4, camera=camera, replicas=range(n, n + 1), of=2)) for n in (0, 1)]
    for (lr, _), (first, _), (second, _) in zip(whole, *parts):
        np.testing.assert_array_equal(lr, np.concatenate([first, second]))


def test_a_camera_degrades_a_tile_anew_in_every_epoch(tiles, study):
    one, camera = Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1]), with_every_step(study.degradations["cctv"])
    seen = {lr.tobytes() for lr, _ in read(batches(one, 1, 1, 0, 12, camera=camera))}
    assert len(seen) == 12
