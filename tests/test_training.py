import subprocess
import sys
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from srstudy import training
from srstudy.config import Content, Discriminator, Generator, LossWeights, Recipe
from srstudy.degrade import downscale
from srstudy.errors import StudyError
from srstudy.networks import save_model
from srstudy.tiles import Tiles, save_tiles

SRGAN = Recipe(
    generator=Generator("srgan", filters=4, blocks=1),
    loss_weights=LossWeights(content=1.0, adversarial=1e-3, pixel=0.0),
    learning_rate=2e-4,
    batch_size=1,
    discriminator=Discriminator(filters=2, dense=4, momentum=0.5),
    content=Content("hed-vgg16", "block1_conv1"),
)
PIXEL = Recipe(
    generator=Generator("residual", filters=4, blocks=1),
    loss_weights=LossWeights(content=0.0, adversarial=0.0, pixel=1.0),
    learning_rate=1e-3,
    batch_size=4,
    schedule="cosine",
    ema=0.9,
    crop=6,
    flips=True,
)


@pytest.fixture(autouse=True)
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(7)


@pytest.fixture
def tiles(photo):
    hr = np.stack([photo[32 * i : 32 * i + 32, 64:96] for i in range(8)])
    return Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))


def weights_equal(first, second):
    return all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights()))


def test_a_pixel_loss_brings_sr_nearer_to_hr(tiles, tmp_path):
    trained = training.train(replace(PIXEL, ema=0.0), tiles, 80, 1, tmp_path)
    first, last = trained.history[0]["pixel"], trained.history[-1]["pixel"]
    lr, hr = (images / 127.5 - 1.0 for images in (tiles.lr, tiles.hr))
    bicubic = tf.image.resize(lr, hr.shape[1:3], method="bicubic")
    assert np.abs(trained.generator(lr) - hr).mean() < np.abs(bicubic - hr).mean()
    assert last < first


def test_an_srgan_step_moves_both_players_and_reports_every_loss(tiles):
    players = training.make_players(SRGAN, 32, 1, None)
    before = [model.get_weights() for model in (players.generator, players.discriminator)]
    losses = training.make_step(SRGAN, players)(tiles.lr[:1], tiles.hr[:1])
    assert set(losses) == {"discriminator", "content", "adversarial", "generator"}
    expected = float(losses["content"]) + 1e-3 * float(losses["adversarial"])
    assert float(losses["generator"]) == pytest.approx(expected, rel=1e-5)
    for old, model in zip(before, (players.generator, players.discriminator)):
        kernels = [(a != b).any() for a, b in zip(old, model.get_weights()) if a.ndim == 4]
        assert all(kernels)


def test_the_discriminators_update_leaves_no_trace_in_the_generators_gradient(tiles):
    """With content alone the generator moves as if there were no discriminator."""
    alone = replace(SRGAN, loss_weights=LossWeights(content=1.0, adversarial=0.0, pixel=0.0))
    nearly = replace(SRGAN, loss_weights=LossWeights(content=1.0, adversarial=1e-30, pixel=0.0))
    moved = []
    for recipe in (alone, nearly):
        keras.utils.set_random_seed(7)
        players = training.make_players(recipe, 32, 1, None)
        training.make_step(recipe, players)(tiles.lr[:1], tiles.hr[:1])
        moved.append(players.generator.get_weights())
    for first, second in zip(*moved):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_another_configuration_never_goes_on_from_this_ones_checkpoint(tiles, tmp_path):
    fingerprints = {
        training._fingerprint(recipe, data, steps, seed, None, snapshot)
        for recipe in (SRGAN, replace(SRGAN, learning_rate=1e-4))
        for data in (tiles, Tiles(hr=tiles.hr[::-1].copy(), lr=tiles.lr[::-1].copy()))
        for steps in (5, 6)
        for seed in (1, 2)
        for snapshot in (None, 3)
    }
    assert len(fingerprints) == 32


def test_a_snapshot_is_the_generator_after_so_many_steps(tiles, tmp_path):
    constant = replace(PIXEL, schedule="constant", ema=0.0)
    keras.utils.set_random_seed(7)
    short = training.train(constant, tiles, 3, 1, tmp_path)
    keras.utils.set_random_seed(7)
    long = training.train(constant, tiles, 6, 1, tmp_path, snapshot_step=3)
    assert weights_equal(short.generator, long.snapshot)


def test_a_warm_start_takes_over_the_weights(tiles, tmp_path):
    start = training.build_generator(PIXEL.generator)
    start.set_weights([w + 0.01 for w in start.get_weights()])
    save_model(start, tmp_path / "start.keras")
    still = replace(PIXEL, learning_rate=0.0, ema=0.0)
    trained = training.train(still, tiles, 1, 1, tmp_path / "checkpoints", warm_start=tmp_path / "start.keras")
    assert weights_equal(start, trained.generator)


def test_the_averaged_weights_are_saved_when_asked_for(tiles, tmp_path):
    keras.utils.set_random_seed(7)
    last = training.train(replace(PIXEL, ema=0.0), tiles, 5, 1, tmp_path).generator
    keras.utils.set_random_seed(7)
    averaged = training.train(PIXEL, tiles, 5, 1, tmp_path).generator
    assert not weights_equal(last, averaged)


def test_a_loss_that_is_no_longer_finite_stops_the_run_with_a_sentence(tiles, tmp_path):
    with pytest.raises(StudyError, match=r"loss is .* lower learning_rate"):
        training.train(replace(PIXEL, learning_rate=1e30, schedule="constant"), tiles, 60, 1, tmp_path)


APART = """
import sys
from srstudy import runtime
runtime.start(7, training=True)
from srstudy import training
import pandas as pd
from srstudy.files import write_csv
from srstudy.tiles import open_tiles
from tests import test_training
training.CHECKPOINT_STEPS = 3
recipe, folder, name = sys.argv[1:]
tiles = open_tiles(folder + "/tiles")
trained = training.train(getattr(test_training, recipe), tiles, 16, 1, f"{folder}/{name}-checkpoints", snapshot_step=2)
trained.save(f"{folder}/{name}")
write_csv(f"{folder}/{name}/history.csv", pd.DataFrame(trained.history))
"""


@pytest.mark.parametrize("recipe", ["SRGAN", "PIXEL"])
def test_equal_runs_and_a_killed_one_end_with_equal_bytes(recipe, tiles, tmp_path, root):
    """Each in a process of its own, as every stage is: within one, what ran before may change the order of a sum."""
    save_tiles(tmp_path / "tiles", tiles)

    def start(name):
        return subprocess.Popen([sys.executable, "-c", APART, recipe, str(tmp_path), name], cwd=root)

    first, killed = start("first"), start("killed")
    while not list(tmp_path.glob("killed-checkpoints/*/ckpt-*.index")):
        assert killed.poll() is None, "ended before it could be killed"
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "killed").exists()
    assert first.wait() == 0
    again, resumed = start("again"), start("killed")
    assert (again.wait(), resumed.wait()) == (0, 0)
    files = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert files == ["generator.keras", "history.csv", "snapshot.keras"]
    for name in ("again", "killed"):
        assert not list(tmp_path.glob(f"{name}-checkpoints/*"))
        for file in files:
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "first" / file).read_bytes(), f"{name}/{file}"
