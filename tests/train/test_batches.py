"""The pipeline that feeds training: a function of seed and step, the same for LR and HR."""

import threading

import numpy as np
import pytest
import tensorflow as tf
from tests.tiny import RECIPES, changed, run_of

from srstudy.degrade.bicubic import downscale
from srstudy.degrade.camera import with_every_step
from srstudy.sets.tiles import Tiles
from srstudy.train.batches import batches


@pytest.fixture
def tiles(photo):
    hr = np.stack([photo[32 * i : 32 * i + 32, :32] for i in range(6)])
    return Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))


@pytest.fixture
def read(tmp_path):
    """A function (tiles, batch_size, stop) -> batches as [(lr, hr), ...]."""

    def batches_of(tiles, batch_size, stop, start=0, context=None, seed=1, camera=None, **recipe):
        recipe = changed(RECIPES["srgan"], batch_size=batch_size, **recipe)
        run = run_of(recipe, tmp_path, stop, seed=seed, camera=camera)
        return [(lr.numpy(), hr.numpy()) for lr, hr in batches(tiles, run, start, context)]

    return batches_of


def test_an_epoch_shows_every_tile_once_and_the_next_in_another_order(tiles, read):
    shown = [hr for _, batch in read(tiles, 2, 6) for hr in batch]
    order = [int(np.flatnonzero((tiles.hr == hr).all(axis=(1, 2, 3)))[0]) for hr in shown]
    assert sorted(order[:6]) == sorted(order[6:]) == list(range(6))
    assert order[:6] != order[6:]


def test_lr_belongs_to_hr(tiles, read):
    for lr, hr in read(tiles, 3, 2):
        np.testing.assert_array_equal(lr, [downscale(tile) for tile in hr])


def test_a_pipeline_that_starts_later_gives_the_batches_it_would_have_given(tiles, read, study):
    for camera in (None, with_every_step(study.degradations["cctv"])):
        whole, later = (read(tiles, 2, 9, start, crop=4, flips=True, camera=camera) for start in (0, 5))
        for before, after in zip(whole[5:], later, strict=True):
            np.testing.assert_array_equal(before[0], after[0])
            np.testing.assert_array_equal(before[1], after[1])


def test_several_devices_and_workers_get_the_parts_of_the_same_batches(tiles, read, study):
    camera = with_every_step(study.degradations["cctv"])
    whole = [lr for lr, _ in read(tiles, 4, 6, crop=4, camera=camera)]
    for workers in (1, 2):  # of 2 devices each, or of 1
        parts = []
        for worker in range(workers):
            context = tf.distribute.InputContext(workers, worker, num_replicas_in_sync=2)
            found = [lr for lr, _ in read(tiles, 4, 6, context=context, crop=4, camera=camera)]
            parts.append(np.reshape(found, (6, -1, *found[0].shape[1:])))
        np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))


def test_another_seed_gives_other_batches(tiles, read):
    first, second = (read(tiles, 6, 1, seed=seed)[0][1] for seed in (1, 2))
    assert (first != second).any()


def test_a_random_crop_takes_the_same_place_of_lr_and_hr(tiles, read):
    places = [(number, top, left) for number in range(6) for top in range(6) for left in range(6)]
    for lr, hr in read(tiles, 2, 20, crop=3):
        for small, large in zip(lr, hr):
            found = [(n, t, c) for n, t, c in places if (tiles.lr[n, t : t + 3, c : c + 3] == small).all()]
            assert any((tiles.hr[n, 4 * t : 4 * t + 12, 4 * c : 4 * c + 12] == large).all() for n, t, c in found)


def test_flips_turn_lr_and_hr_alike_and_reach_all_eight_positions(tiles, read):
    one = Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1])
    turned, small = (
        [np.rot90(image, k) for image in (tile, tile[:, ::-1]) for k in range(4)] for tile in (one.hr[0], one.lr[0])
    )
    positions = set()
    for lr, hr in read(one, 1, 60, flips=True):
        [position] = [k for k in range(8) if (turned[k] == hr[0]).all()]
        np.testing.assert_array_equal(small[position], lr[0])
        positions.add(position)
    assert positions == set(range(8))


class Noticed(np.ndarray):
    """Tiles that say when the third one of them is read."""

    def __array_finalize__(self, other):
        self.count, self.third = 0, threading.Event()

    def __getitem__(self, place):
        self.count += 1
        if self.count == 3:
            self.third.set()
        return np.asarray(self)[place]


def test_batches_are_made_ahead_of_the_step_that_wants_them(tiles, tmp_path):
    """Also where operations are deterministic: TensorFlow then makes none ahead that it must take for random."""
    tf.config.experimental.enable_op_determinism()
    hr, run = tiles.hr.view(Noticed), run_of(RECIPES["srgan"], tmp_path, 6)
    ahead = iter(batches(Tiles(hr=hr, lr=tiles.lr), run))  # without a name it would end with its first batch
    next(ahead)
    assert hr.third.wait(20)


def test_a_camera_makes_lr_of_the_hr_crop_and_leaves_hr_as_it_is_without_one(tiles, read, study):
    plain, made = (
        read(tiles, 3, 4, crop=4, flips=True, camera=camera) for camera in (None, study.degradations["cctv"])
    )
    for (lr, hr), (lr_made, hr_made) in zip(plain, made):
        np.testing.assert_array_equal(hr, hr_made)
        assert (lr_made.shape, lr_made.dtype) == (lr.shape, lr.dtype)
        assert all((one != other).any() for one, other in zip(lr, lr_made))
        assert np.abs(lr_made.mean(axis=(1, 2)) - hr.mean(axis=(1, 2))).max() < 40  # it shows the same place


def test_a_camera_degrades_a_tile_anew_in_every_epoch(tiles, read, study):
    one, camera = Tiles(hr=tiles.hr[:1], lr=tiles.lr[:1]), with_every_step(study.degradations["cctv"])
    assert len({lr.tobytes() for lr, _ in read(one, 1, 12, camera=camera)}) == 12
