"""Training: what a step does, and what survives a crash, a signal, a full budget and more than one device."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tests.tiny import RECIPES, SETTINGS

from srstudy import training
from srstudy.checkpoints import fingerprint
from srstudy.degrade import downscale
from srstudy.devices import strategy_for
from srstudy.errors import StudyError
from srstudy.networks import save_model
from srstudy.players import FusedAdam, build_generator, make_players
from srstudy.settings import LossWeights
from srstudy.step import Update
from srstudy.tiles import Tiles, save_tiles

SRGAN, PIXEL = RECIPES["srgan"], RECIPES["pixel"]
KILLS = 20
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither SIGKILL nor SIGTERM for a child")


@pytest.fixture(autouse=True)
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(7)


@pytest.fixture
def tiles(photo) -> Tiles:
    hr = np.stack([photo[32 * i : 32 * i + 32, 64:96] for i in range(8)])
    return Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))


@pytest.fixture
def fit(tiles, tmp_path):
    """A function (recipe, steps, **run) -> Trained, with the tiny settings."""

    def run(recipe, steps, settings=SETTINGS, seed=1, **options):
        options = {"epoch_steps": 8, "checkpoints": tmp_path / "checkpoints", **options}
        return training.train(training.Run(recipe, tiles, steps, seed=seed, **options), settings)

    return run


def weights_equal(first, second) -> bool:
    return all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights()))


def one_step(recipe, tiles):
    """Players after one step on the first batch, and what it reported."""
    players = make_players(recipe, 32, 1, None)
    update = Update(recipe, players, 1, tf.distribute.get_strategy())
    update(tf.constant(tiles.lr[:1]), tf.constant(tiles.hr[:1]), 1)
    return players, update.means(1)


def test_a_pixel_loss_brings_sr_nearer_to_hr(fit, tiles):
    trained = fit(replace(PIXEL, ema=0.0), 80)
    lr, hr = (images / 127.5 - 1.0 for images in (tiles.lr, tiles.hr))
    bicubic = tf.image.resize(lr, hr.shape[1:3], method="bicubic")
    assert np.abs(trained.generator(lr) - hr).mean() < np.abs(bicubic - hr).mean()
    assert trained.history[-1]["pixel"] < trained.history[0]["pixel"]


def test_an_srgan_step_moves_both_players_and_reports_every_loss(tiles):
    keras.utils.set_random_seed(7)
    before = make_players(SRGAN, 32, 1, None)
    old = [model.get_weights() for model in (before.generator, before.discriminator)]
    keras.utils.set_random_seed(7)
    players, report = one_step(SRGAN, tiles)
    assert {"discriminator", "content", "adversarial", "generator", "real_accuracy"} <= set(report)
    assert report["generator"] == pytest.approx(report["content"] + 1e-3 * report["adversarial"], rel=1e-5)
    for weights, model in zip(old, (players.generator, players.discriminator)):
        assert all((a != b).any() for a, b in zip(weights, model.get_weights()) if a.ndim == 4)


def test_the_discriminators_update_leaves_no_trace_in_the_generators_gradient(tiles):
    """With content alone the generator moves as if there were no discriminator."""
    moved = []
    for adversarial in (0.0, 1e-30):
        keras.utils.set_random_seed(7)
        weights = LossWeights(content=1.0, adversarial=adversarial, pixel=0.0)
        players, _ = one_step(replace(SRGAN, loss_weights=weights), tiles)
        moved.append(players.generator.get_weights())
    for first, second in zip(*moved):
        np.testing.assert_allclose(first, second, atol=1e-6)


def test_the_fused_adam_is_keras_s(tiles):
    variables = [[keras.Variable(np.linspace(-1, 1, 12).reshape(3, 4))] for _ in range(2)]
    optimizers = [
        FusedAdam(1e-2, use_ema=True, ema_momentum=0.9),
        keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9),
    ]
    for step in range(5):
        for optimizer, variable in zip(optimizers, variables):
            optimizer.apply([tf.sin(variable[0].value * (step + 1.0))], variable)
    np.testing.assert_allclose(variables[0][0], variables[1][0], rtol=1e-6)
    averages = [optimizer._model_variables_moving_average[0] for optimizer in optimizers]
    np.testing.assert_allclose(*averages, rtol=1e-6)


def test_the_adversarial_loss_gains_its_weight_over_the_ramp(tiles):
    recipe = replace(SRGAN, adversarial_ramp=0.5, loss_weights=LossWeights(content=1.0, adversarial=1.0, pixel=0.0))
    players = make_players(recipe, 32, 1, None)
    shares = []
    for number in (1, 2, 4):
        update = Update(recipe, players, 8, tf.distribute.get_strategy())
        update(tf.constant(tiles.lr[:1]), tf.constant(tiles.hr[:1]), number)
        report = update.means(1)
        shares.append((report["generator"] - report["content"]) / report["adversarial"])
    assert shares == pytest.approx([0.25, 0.5, 1.0], abs=1e-3)


def test_a_changed_configuration_never_goes_on_from_anothers_checkpoint(tiles):
    fingerprints = {
        fingerprint(recipe, data, seed, None, steps)
        for recipe in (SRGAN, replace(SRGAN, learning_rate=1e-4))
        for data in (tiles, Tiles(hr=tiles.hr[::-1].copy(), lr=tiles.lr[::-1].copy()))
        for steps in (5, 6)
        for seed in (1, 2)
    }
    assert len(fingerprints) == 16


def test_a_snapshot_is_the_generator_after_so_many_steps(fit):
    constant = replace(PIXEL, schedule="constant")
    short = fit(constant, 3)
    assert weights_equal(short.generator, fit(constant, 6, snapshot_step=3).snapshot)


def test_a_warm_start_takes_over_the_weights(fit, tmp_path):
    start = build_generator(PIXEL.generator)
    start.set_weights([w + 0.01 for w in start.get_weights()])
    save_model(start, tmp_path / "start.keras")
    still = replace(PIXEL, learning_rate=1e-30, ema=0.0)
    assert weights_equal(start, fit(still, 1, warm_start=tmp_path / "start.keras").generator)


def test_the_averaged_weights_are_saved_when_asked_for(fit, tiles):
    assert not weights_equal(fit(replace(PIXEL, ema=0.0), 5).generator, fit(PIXEL, 5).generator)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_rate_follows_its_schedule(fit, schedule):
    rates = [row["learning_rate"] for row in fit(replace(PIXEL, schedule=schedule), 20).history]
    expected = {
        "constant": [1e-3] * 20,
        "cosine": [1e-3 * (1 + np.cos(np.pi * step / 20)) / 2 for step in range(1, 21)],
        "step": [1e-3] * 10 + [5e-4] * 5 + [2.5e-4] * 3 + [1.25e-4] * 2,
    }[schedule]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint_before(fit, tmp_path, monkeypatch):
    call = Update.__call__

    def broken(self, lr, hr, number):
        if number == 8:
            self.players.generator.trainable_variables[0].assign_add(np.inf)
        call(self, lr, hr, number)

    with monkeypatch.context() as patch, pytest.raises(StudyError, match=r"not finite in step 8; .* lower learning"):
        patch.setattr(Update, "__call__", broken)
        fit(PIXEL, 20)
    kept = {int(path.stem.removeprefix("ckpt-")) for path in tmp_path.glob("checkpoints/*/ckpt-*.index")}
    assert max(kept) == 6  # one was due after every third step
    resumed, whole = fit(PIXEL, 20).history, fit(PIXEL, 20, checkpoints=tmp_path / "others").history
    assert [row["pixel"] for row in resumed] == pytest.approx([row["pixel"] for row in whole])


def test_float16_arithmetic_leaves_a_float32_generator_that_learned(fit, tiles):
    trained = fit(replace(SRGAN, learning_rate=1e-3), 24, replace(SETTINGS, precision="mixed_float16"))
    assert keras.config.dtype_policy().name == "float32"
    assert {weight.dtype for weight in trained.generator.weights} == {"float32"}
    assert trained.generator.dtype_policy.name == "float32"
    content = [row["content"] for row in trained.history]
    assert np.mean(content[-8:]) < np.mean(content[:8])


# Runs in processes of their own -------------------------------------------------------------------------------------


class Apart:
    """Runs of `tests.apart` on the same tiles, in one folder."""

    def __init__(self, folder: Path, root: Path):
        self.folder, self._root = folder, root

    def start(self, name: str, recipe: str, *options: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.apart", str(self.folder), name, recipe, *options]
        return subprocess.Popen(
            command, cwd=self._root, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def files(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name).rglob("*") if path.is_file()}

    def history(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / name / "history.csv")


@pytest.fixture
def apart(tiles, tmp_path, root) -> Apart:
    save_tiles(tmp_path / "tiles", tiles)
    return Apart(tmp_path, root)


def finish(process: subprocess.Popen) -> str:
    """Wait for the end of a process; what it said on stderr, if it ended well."""
    _, said = process.communicate()
    assert process.returncode == 0, said[-2000:]
    return said


@UNIX
@pytest.mark.parametrize("recipe", ["srgan", "pixel"])
def test_killed_at_random_steps_a_run_ends_with_the_bytes_of_one_that_was_not(apart, recipe):
    """kill -9 at a random moment of a step, again and again; weights, snapshot and history are equal to the bit."""
    steps = ["--steps", "400"]
    whole = apart.start("whole", recipe, *steps)
    kills, moment = 0, random.Random(recipe)
    while kills < KILLS // 2:
        before = set(apart.folder.glob("killed-checkpoints/*/ckpt-*.index"))
        victim = apart.start("killed", recipe, *steps)
        while victim.poll() is None and set(apart.folder.glob("killed-checkpoints/*/ckpt-*.index")) <= before:
            time.sleep(0.001)
        time.sleep(moment.uniform(0, 0.05))
        assert victim.poll() is None, "it ended before it could be killed as often as wanted"
        victim.kill()
        victim.wait()
        kills += 1
        assert not (apart.folder / "killed").exists()
    finish(apart.start("killed", recipe, *steps))
    finish(whole)
    assert apart.files("killed") == apart.files("whole")
    assert not list(apart.folder.glob("killed-checkpoints/*"))


@UNIX
def test_sigterm_ends_the_step_saves_and_says_how_to_go_on(apart):
    whole = apart.start("whole", "srgan", "--steps", "200")
    stopped = apart.start("stopped", "srgan", "--steps", "200", "--set", '{"checkpoint_steps": 1000}')
    while not list(apart.folder.glob("stopped-checkpoints/*/ckpt-*.index")):  # the end of the first epoch
        assert stopped.poll() is None
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate()
    assert stopped.returncode != 0
    assert "SIGTERM came after step" in said
    assert not (apart.folder / "stopped").exists()
    finish(apart.start("stopped", "srgan", "--steps", "200", "--set", '{"checkpoint_steps": 1000}'))
    finish(whole)
    assert apart.files("stopped") == apart.files("whole")


def test_a_time_budget_leaves_an_incomplete_run_that_goes_on(apart):
    brief = ["--steps", "30", "--set", '{"time_budget": 1e-6}']
    finish(apart.start("brief", "pixel", *brief))
    assert json.loads(apart.files("brief")["run.json"]) == {"complete": False, "step": 1}
    assert len(apart.history("brief")) == 1
    finish(apart.start("brief", "pixel", *brief))
    assert json.loads(apart.files("brief")["run.json"]) == {"complete": False, "step": 2}
    finish(apart.start("brief", "pixel", "--steps", "30"))
    finish(apart.start("whole", "pixel", "--steps", "30"))
    assert apart.files("brief") == apart.files("whole")


LOSSES = ["discriminator", "content", "adversarial", "generator", "real_accuracy"]


def assert_equal_losses(first: pd.DataFrame, second: pd.DataFrame) -> None:
    assert len(first) == len(second) == 20
    np.testing.assert_allclose(first[LOSSES], second[LOSSES], rtol=1e-5, atol=1e-5)


def test_two_devices_give_the_losses_of_one_for_the_same_batch(apart):
    options = ["--steps", "20", "--change", '{"batch_size": 4}']
    one, two = apart.start("one", "srgan", *options), apart.start("two", "srgan", *options, "--devices", "2")
    finish(one), finish(two)
    assert_equal_losses(apart.history("one"), apart.history("two"))


def test_two_workers_give_the_losses_of_one_for_the_same_batch(apart):
    options = ["--steps", "20", "--change", '{"batch_size": 4}']
    finish(apart.start("one", "srgan", *options))
    ports = [free_port() for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = [
        apart.start(
            "workers", "srgan", *options,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]  # fmt: skip
    for worker in workers:
        finish(worker)
    assert_equal_losses(apart.history("one"), apart.history("workers"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_batch_that_two_devices_cannot_share_is_refused_with_the_way_out(apart):
    process = apart.start("odd", "srgan", "--devices", "2")
    _, said = process.communicate()
    assert process.returncode != 0
    assert "a batch of 1 can't be divided among 2 devices; set batch_size to a multiple of 2" in said


def test_a_recipe_for_one_device_trains_on_one_of_two(apart):
    change = ["--steps", "4", "--change", '{"devices": "one"}']
    one, two = apart.start("one", "srgan", *change), apart.start("two", "srgan", *change, "--devices", "2")
    finish(one), finish(two)
    assert apart.files("one") == apart.files("two")


@pytest.mark.parametrize(
    ("change", "settings", "named"),
    [({"devices": "one"}, {}, "devices: one"), ({}, {"time_budget": 5.0}, r"training\.time_budget")],
)
def test_several_workers_are_refused_what_each_would_decide_by_itself(monkeypatch, change, settings, named):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(StudyError, match=f"several workers can't train with {named}; unset one of the two"):
        strategy_for(replace(SRGAN, **change), replace(SETTINGS, **settings))


def test_two_devices_share_float16_arithmetic_and_averaged_weights(apart):
    options = ["--steps", "8", "--set", '{"precision": "mixed_float16"}']
    finish(apart.start("half", "pixel", *options, "--devices", "2"))
    pixel = apart.history("half").pixel
    assert np.isfinite(pixel).all()
    assert len(pixel) == 8
