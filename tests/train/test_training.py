"""Training: what a step does, and what a recipe's settings change in it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tests.tiny import RECIPES, SETTINGS

from srstudy import devices
from srstudy.data.tiles import Tiles
from srstudy.errors import StudyError
from srstudy.files import COMPLETE
from srstudy.judge.guards import Event
from srstudy.networks.architectures import save_model
from srstudy.report.tables import show
from srstudy.settings import LossWeights
from srstudy.train import checkpoints, losses, training
from srstudy.train.players import FusedAdam, build_generator, make_players
from srstudy.train.step import NotFinite, Update

SRGAN, PIXEL = RECIPES["srgan"], RECIPES["pixel"]
DATA = "ckpt-6.data-00000-of-00001"


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


def test_a_discriminator_may_learn_at_a_rate_of_its_own(fit):
    slow = replace(SRGAN, schedule="cosine", discriminator=replace(SRGAN.discriminator, learning_rate=1e-5))
    first, _, last = fit(slow, 3).history
    assert (first["learning_rate"], first["discriminator_learning_rate"]) == pytest.approx((2e-4, 1e-5))
    assert last["discriminator_learning_rate"] == pytest.approx(last["learning_rate"] / 20)
    rates = []
    for rate in (None, 1e-5):
        keras.utils.set_random_seed(7)
        players = make_players(
            replace(slow, discriminator=replace(slow.discriminator, learning_rate=rate)), 32, 3, None
        )
        rates.append(
            [float(some.learning_rate) for some in (players.generator_optimizer, players.discriminator_optimizer)]
        )
    assert rates == [pytest.approx([2e-4, 2e-4]), pytest.approx([2e-4, 1e-5])]


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


@pytest.mark.parametrize("damage", ["no data", "no index", "a flipped bit at the end of the data", "half the data"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(fit, interrupted, monkeypatch, capsys, damage):
    if damage == "no index":
        (interrupted / "ckpt-6.index").write_bytes(b"")
    else:
        data = bytearray((interrupted / DATA).read_bytes())
        data[-1] ^= 1
        left = {"no data": 0, "half the data": len(data) // 2}.get(damage, len(data))
        (interrupted / DATA).write_bytes(data[:left])
    assert first_step(fit, monkeypatch) == 4
    assert "ckpt-6.index: this checkpoint is damaged" in capsys.readouterr().err


def test_nothing_of_a_damaged_checkpoint_is_put_in_place(fit, tiles, interrupted):
    players = make_players(PIXEL, 24, 20, None)
    untrained = players.generator.get_weights()
    for path in interrupted.glob("ckpt-*.data*"):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    (interrupted / "checkpoint").write_bytes(b"")
    for _ in range(2):  # the error is no less on a second try
        with pytest.raises(StudyError, match="none of its checkpoints can be read; remove the folder to start anew"):
            checkpoints.Checkpoints(players, tf.Variable(tf.zeros(3)), interrupted, 2)
    assert all((old == new).all() for old, new in zip(untrained, players.generator.get_weights()))


def test_a_checkpoint_holds_its_history(fit, interrupted):
    """No file beside it can be lost."""
    assert {path.name.split(".")[0] for path in interrupted.iterdir()} == {"checkpoint", "ckpt-3", "ckpt-6"}
    steps = [row["step"] for row in fit(PIXEL, 20).history]
    assert steps == list(range(1, 21))


def test_a_damaged_list_of_checkpoints_is_not_needed(fit, interrupted, monkeypatch):
    (interrupted / "checkpoint").write_bytes(b"")
    assert first_step(fit, monkeypatch) == 7
    assert (interrupted / "ckpt-20.index").is_file()


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
    for path in interrupted.glob("ckpt-*.index"):
        path.write_bytes(b"")
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


@pytest.fixture
def breaking(monkeypatch):
    """A function (step, fit, ...) -> what the run leaves whose weights are infinite from that step on."""
    call = Update.__call__

    def run(step, fit, *arguments, **options):
        def broken(self, lr, hr, number):
            if number == step:
                self.players.generator.trainable_variables[0].assign_add(np.inf)
            call(self, lr, hr, number)

        with monkeypatch.context() as patch:
            patch.setattr(Update, "__call__", broken)
            return fit(*arguments, **options)

    return run


def test_a_loss_that_is_not_finite_ends_the_run_with_its_last_good_checkpoint(fit, breaking, tmp_path):
    constant = replace(PIXEL, schedule="constant")
    ended = breaking(8, fit, constant, 20, snapshot_step=7, checkpoints=tmp_path / "broken")
    assert (ended.step, ended.complete, ended.not_finite) == (6, False, 8)  # a checkpoint was due every third step
    assert "6 of 20 steps: NOT COMPLETE, a loss or gradient was not finite in step 8" in ended.outcome
    assert ended.events == [Event(8, "loss or gradient not finite", None, None)]
    assert "loss or gradient not finite" in show(ended.events_table()).data
    assert ended.snapshot is None  # it is of a step after that
    whole = fit(constant, 6)
    assert [row["step"] for row in ended.history] == [1, 2, 3, 4, 5, 6]
    for first, second in zip(ended.generator.get_weights(), whole.generator.get_weights()):
        np.testing.assert_allclose(first, second, atol=1e-6)
    kept = {int(path.stem.removeprefix("ckpt-")) for path in tmp_path.glob("broken/*/ckpt-*.index")}
    assert max(kept) == 6
    ended.save(tmp_path / "model")
    assert not list(tmp_path.glob(f"broken/*/{COMPLETE}"))


def test_a_run_that_ended_so_between_two_rows_of_history_has_one_for_its_end(fit, breaking):
    ended = breaking(8, fit, PIXEL, 400)  # a row every ten steps
    assert [row["step"] for row in ended.history] == [6]
    assert np.isfinite(ended.history[0]["pixel"])


def test_a_loss_that_is_not_finite_before_the_first_checkpoint_is_an_error(fit, breaking):
    with pytest.raises(StudyError, match=r"not finite in step 2; lower learning_rate"):
        breaking(2, fit, PIXEL, 20)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_arithmetic_in_16_bits_leaves_a_float32_generator_that_learned(fit, tiles, precision):
    trained = fit(replace(SRGAN, learning_rate=1e-3), 24, replace(SETTINGS, precision=precision))
    assert keras.config.dtype_policy().name == "float32"
    assert {weight.dtype for weight in trained.generator.weights} == {"float32"}
    assert trained.generator.dtype_policy.name == "float32"
    content = [row["content"] for row in trained.history]
    assert np.mean(content[-8:]) < np.mean(content[:8])


def convolutions(update: Update, tiles) -> set[tf.DType]:
    """What a traced step's convolutions compute in, forward and backward."""
    spec = [tf.TensorSpec((1, *images.shape[1:]), tf.uint8) for images in (tiles.lr, tiles.hr)]
    graph = update._update.get_concrete_function(*spec, tf.TensorSpec((), tf.int64)).graph
    return {op.outputs[0].dtype for op in graph.get_operations() if op.type.startswith("Conv2D")}


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", tf.float32), ("mixed_float16", tf.float16), ("mixed_bfloat16", tf.bfloat16)]
)
def test_the_layers_compute_in_the_precision_that_is_asked_for(tiles, precision, kind):
    with devices.mixed_precision(precision):
        players = make_players(SRGAN, 32, 1, None)
    networks = (players.generator, players.discriminator)
    inner = [layer for model in networks for layer in model.layers if "conv2d" in layer.name]
    assert len(inner) > 8
    assert {layer.compute_dtype for layer in inner} == {kind.name}
    assert {weight.dtype for model in networks for weight in model.weights} == {"float32"}
    found = convolutions(Update(SRGAN, players, 1, tf.distribute.get_strategy()), tiles)
    assert found == {kind, tf.float32}  # the generator's last one makes the image, in float32


def test_a_gradient_beyond_float16_skips_the_update_and_halves_the_loss_scale(tiles):
    with devices.mixed_precision("mixed_float16"):
        players = make_players(SRGAN, 32, 1, None)
    update = Update(SRGAN, players, 1, tf.distribute.get_strategy())
    optimizer = players.generator_optimizer
    optimizer.dynamic_scale.assign(2.0**60)
    players.discriminator_optimizer.dynamic_scale.assign(2.0**8)
    before = [weight.numpy() for weight in players.generator.trainable_variables]
    judge = [weight.numpy() for weight in players.discriminator.trainable_variables]
    update(tf.constant(tiles.lr[:1]), tf.constant(tiles.hr[:1]), 1)
    update.check()  # no failure
    assert update.means(1)["generator_gradient"] == 0
    assert float(optimizer.dynamic_scale) == 2.0**59
    assert int(optimizer.iterations) == 0
    assert all((old == new.numpy()).all() for old, new in zip(before, players.generator.trainable_variables))
    assert any((old != new.numpy()).any() for old, new in zip(judge, players.discriminator.trainable_variables))
    optimizer.dynamic_scale.assign(2.0**10)
    update(tf.constant(tiles.lr[:1]), tf.constant(tiles.hr[:1]), 2)
    assert update.means(1)["generator_gradient"] > 0
    assert int(optimizer.iterations) == 1
    assert any((old != new.numpy()).any() for old, new in zip(before, players.generator.trainable_variables))


@pytest.mark.parametrize(("scale", "fails"), [(2.0, False), (0.5, True)])
def test_a_gradient_that_no_loss_scale_makes_finite_is_a_failure(tiles, monkeypatch, scale, fails):
    """Else a run would skip every update to its end, with losses that look well."""
    monkeypatch.setitem(losses.PIXEL_LOSSES, "l1", lambda hr, sr: tf.reduce_mean(tf.sqrt(0.0 * sr)))  # 0, slope NaN
    with devices.mixed_precision("mixed_float16"):
        players = make_players(PIXEL, 32, 1, None)
    players.generator_optimizer.dynamic_scale.assign(scale)
    update = Update(PIXEL, players, 1, tf.distribute.get_strategy())
    update(tf.constant(tiles.lr[:4]), tf.constant(tiles.hr[:4]), 1)
    with pytest.raises(NotFinite, match="step 1") if fails else nullcontext():
        update.check()
