"""Training: what a step does, and what a recipe's settings change in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tests.tiny import RECIPES, SETTINGS

from srstudy import checkpoints, training
from srstudy.errors import StudyError
from srstudy.files import COMPLETE
from srstudy.networks import save_model
from srstudy.players import FusedAdam, build_generator, make_players
from srstudy.settings import LossWeights
from srstudy.step import Update
from srstudy.tiles import Tiles

SRGAN, PIXEL = RECIPES["srgan"], RECIPES["pixel"]


@pytest.fixture(autouse=True)
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(7)


@pytest.fixture
def fit(tiles, tmp_path):
    """A function (recipe, steps, **run) -> Trained, with the tiny settings and tiles."""

    def run(recipe, steps, settings=SETTINGS, **options):
        options = {"tiles": tiles, "epoch_steps": 8, "seed": 1, "checkpoints": tmp_path / "checkpoints", **options}
        return training.train(training.Run(recipe=recipe, steps=steps, **options), settings)

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


def test_a_changed_configuration_never_goes_on_from_anothers_checkpoint(
    fit, tiles, study, tmp_path, monkeypatch, capsys
):
    start = tmp_path / "start.keras"
    save_model(build_generator(PIXEL.generator), start)
    runs = [
        {},
        {"recipe": replace(PIXEL, learning_rate=1e-4)},
        {"steps": 4},
        {"seed": 2},
        {"snapshot_step": 2},
        {"warm_start": start},
        {"camera": study.degradations["cctv"]},
        {"camera": replace(study.degradations["cctv"], storing_last=0.5)},
        {"tiles": Tiles(hr=tiles.hr[::-1].copy(), lr=tiles.lr[::-1].copy())},
        {"settings": replace(SETTINGS, validations=1)},
        {"settings": replace(SETTINGS, precision="mixed_float16")},
        {"recipe": replace(PIXEL, precision="mixed_bfloat16")},
    ]
    for number, change in enumerate(runs, 1):
        fit(**{"recipe": PIXEL, "steps": 3, **change})
        assert len(list(tmp_path.glob("checkpoints/*/ckpt-3.index"))) == number
        assert ("starting anew" in capsys.readouterr().err) == (number > 1)
    monkeypatch.setattr(checkpoints, "CODE", checkpoints.CODE[1:])
    fit(PIXEL, 3)
    assert len(list(tmp_path.glob("checkpoints/*/ckpt-3.index"))) == len(runs) + 1


def test_the_code_that_a_checkpoint_is_tied_to_is_what_a_training_stage_depends_on(root):
    deps = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["train"]["do"]["deps"]
    assert {f"src/srstudy/{name}.py" for name in checkpoints.CODE} == {dep for dep in deps if dep.startswith("src/")}


@pytest.fixture
def interrupted(fit, tmp_path, monkeypatch) -> Path:
    """The folder of a run of 20 steps that ended after 8, with checkpoints after 3 and 6."""
    call = Update.__call__

    def cut(self, lr, hr, number):
        if number == 8:
            raise KeyboardInterrupt
        call(self, lr, hr, number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Update, "__call__", cut)
        fit(PIXEL, 20)
    [folder] = (tmp_path / "checkpoints").iterdir()
    return folder


@pytest.mark.parametrize("damaged", ["ckpt-6.data-00000-of-00001", "ckpt-6.index", "history-6.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(fit, interrupted, monkeypatch, capsys, damaged):
    (interrupted / damaged).write_bytes(b"")
    assert first_step(fit, monkeypatch) == 4
    assert "ckpt-6.index: this checkpoint is damaged" in capsys.readouterr().err


def test_a_damaged_list_of_checkpoints_is_not_needed(fit, interrupted, monkeypatch):
    (interrupted / "checkpoint").write_bytes(b"")
    assert first_step(fit, monkeypatch) == 7
    assert {path.name for path in interrupted.glob("history-*.json")} >= {"history-20.json"}


def test_a_first_checkpoint_that_was_cut_off_is_no_reason_to_stop(fit, interrupted, monkeypatch):
    for path in interrupted.iterdir():
        if path.name != "ckpt-3.index" and path.is_file():
            path.unlink()
    (interrupted / "ckpt-3.index").write_bytes(b"")
    assert first_step(fit, monkeypatch) == 1


def first_step(fit, monkeypatch) -> int:
    """The first step of a run of 20 that goes on."""
    call, seen = Update.__call__, []

    def counted(self, lr, hr, number):
        seen.append(number)
        call(self, lr, hr, number)

    with monkeypatch.context() as patch:
        patch.setattr(Update, "__call__", counted)
        fit(PIXEL, 20)
    return seen[0]


def test_comments_and_layout_are_no_change_of_the_code():
    code = 'def f(x):\n    """What it does."""\n    return x + 1  # why\n'
    assert checkpoints._meaning(code) == checkpoints._meaning("def f(x):\n    return (x +\n        1)\n")
    assert checkpoints._meaning(code) != checkpoints._meaning("def f(x):\n    return x + 2\n")


def test_the_mark_of_a_complete_run_is_left_by_its_end_alone(fit, tmp_path):
    fit(PIXEL, 3, settings=replace(SETTINGS, time_budget=1e-6)).save(tmp_path / "model")
    assert not list(tmp_path.glob(f"checkpoints/*/{COMPLETE}"))
    fit(PIXEL, 3).save(tmp_path / "model")
    assert len(list(tmp_path.glob(f"checkpoints/*/{COMPLETE}"))) == 1


def test_when_no_checkpoint_can_be_read_the_folder_is_named(fit, interrupted):
    for path in interrupted.glob("history-*.json"):
        path.write_text("[", encoding="utf-8")
    with pytest.raises(StudyError, match="none of its checkpoints can be read; remove the folder to start anew"):
        fit(PIXEL, 20)


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


def test_a_generator_learns_from_what_a_camera_made_of_the_tiles(fit, study):
    assert not weights_equal(fit(PIXEL, 3).generator, fit(PIXEL, 3, camera=study.degradations["cctv"]).generator)


def test_the_averaged_weights_are_saved_when_asked_for(fit, tiles):
    assert not weights_equal(fit(replace(PIXEL, ema=0.0), 5).generator, fit(PIXEL, 5).generator)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_rate_follows_its_schedule(fit, schedule):
    rates = [row["learning_rate"] for row in fit(replace(PIXEL, schedule=schedule), 20).history]
    expected = {
        "constant": [1e-3] * 20,
        "cosine": [1e-3 * (1 + np.cos(np.pi * step / 20)) / 2 for step in range(20)],
        "step": [1e-3] * 11 + [5e-4] * 5 + [2.5e-4] * 3 + [1.25e-4],
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


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_arithmetic_in_16_bits_leaves_a_float32_generator_that_learned(fit, tiles, precision):
    trained = fit(replace(SRGAN, learning_rate=1e-3), 24, replace(SETTINGS, precision=precision))
    assert keras.config.dtype_policy().name == "float32"
    assert {weight.dtype for weight in trained.generator.weights} == {"float32"}
    assert trained.generator.dtype_policy.name == "float32"
    content = [row["content"] for row in trained.history]
    assert np.mean(content[-8:]) < np.mean(content[:8])
