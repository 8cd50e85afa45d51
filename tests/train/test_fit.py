"""Training: what a step does, what a recipe's settings change in it, and what survives damage on the disk."""

from contextlib import nullcontext
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from tests.tiny import RECIPES, SETTINGS, changed, run_of

from srstudy import StudyError
from srstudy.files import COMPLETE
from srstudy.networks.architectures import load_model, save_model
from srstudy.networks.span import ComposedConv
from srstudy.parsing import parse
from srstudy.sets.disk import checkpoint_bytes
from srstudy.sets.tiles import Tiles
from srstudy.settings import LossWeights, Recipe
from srstudy.study import load_study
from srstudy.train import checkpoints, devices, losses
from srstudy.train import fit as training
from srstudy.train.model import FusedAdam, build_generator, make_models
from srstudy.train.step import NotFinite, Update

SRGAN, PIXEL = RECIPES["srgan"], RECIPES["pixel"]


@pytest.fixture(autouse=True)
def deterministic():
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(7)


@pytest.fixture
def fit(tiles, tmp_path):
    """A function (recipe, steps, **options of the run) -> Trained, with the tiny settings and tiles."""

    def run(recipe, steps, settings=SETTINGS, tiles=tiles, **options):
        return training.train(run_of(recipe, tmp_path, steps, **options), tiles, settings)

    return run


def weights_equal(first, second) -> bool:
    return all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights()))


def first_batch(tiles, size=1):
    return tf.constant(tiles.lr[:size]), tf.constant(tiles.hr[:size])


def mean_error(generator, tiles) -> float:
    """Of a generator's images of all tiles, in [-1, 1]."""
    lr, hr = (images.astype("float32") / 127.5 - 1 for images in (tiles.lr, tiles.hr))
    return float(np.abs(generator(lr) - hr).mean())


def update_of(recipe, steps=1, seed=7):
    """The models of a recipe, and its update."""
    keras.utils.set_random_seed(seed)
    models = make_models(recipe, 32, steps)
    return models, Update(recipe, models, steps, tf.distribute.get_strategy())


def test_a_pixel_loss_brings_sr_nearer_to_hr(fit, tiles):
    trained = fit(changed(PIXEL, ema=0.0), 80)
    lr, hr = (images / 127.5 - 1.0 for images in (tiles.lr, tiles.hr))
    bicubic = tf.image.resize(lr, hr.shape[1:3], method="bicubic")
    assert np.abs(trained.generator(lr) - hr).mean() < np.abs(bicubic - hr).mean()
    assert trained.history[-1]["pixel"] < trained.history[0]["pixel"]


def test_an_srgan_step_moves_both_networks_and_reports_every_loss(tiles):
    models, update = update_of(SRGAN)
    networks = (models.generator, models.discriminator)
    before = [network.get_weights() for network in networks]
    update(first_batch(tiles), 1)
    report = update.means(1)
    assert {"discriminator", "content", "adversarial", "generator", "real_accuracy"} <= set(report)
    assert "pixel" not in report
    assert report["generator"] == pytest.approx(report["content"] + 1e-3 * report["adversarial"], rel=1e-5)
    for weights, network in zip(before, networks):
        assert all((a != b).any() for a, b in zip(weights, network.get_weights()) if a.ndim == 4)


def test_a_discriminator_may_learn_at_a_rate_of_its_own(fit):
    slow = changed(SRGAN, schedule="cosine", discriminator=changed(SRGAN.discriminator, learning_rate=1e-5))
    first, _, last = fit(slow, 3).history
    assert (first["learning_rate"], first["discriminator_learning_rate"]) == pytest.approx((2e-4, 1e-5))
    assert last["discriminator_learning_rate"] == pytest.approx(last["learning_rate"] / 20)
    for recipe, rates in ((slow, (2e-4, 1e-5)), (SRGAN, (2e-4, 2e-4))):
        models = make_models(recipe, 32, 3)
        optimizers = (models.generator_optimizer, models.discriminator_optimizer)
        assert [float(one.learning_rate) for one in optimizers] == pytest.approx(rates)


def test_the_discriminators_update_leaves_no_trace_in_the_generators_gradient(tiles):
    """With content alone the generator moves as if there were no discriminator."""
    moved = []
    for adversarial in (0.0, 1e-30):
        weights = LossWeights(content=1.0, adversarial=adversarial, pixel=0.0)
        models, update = update_of(changed(SRGAN, loss_weights=weights))
        update(first_batch(tiles), 1)
        moved.append(models.generator.get_weights())
    for first, second in zip(*moved):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"beta_1": 0.5, "beta_2": 0.9, "weight_decay": 0.1}])
def test_the_fused_adam_is_keras_s(options):
    variables = [[keras.Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4))] for _ in range(2)]
    optimizers = [adam(1e-2, use_ema=True, ema_momentum=0.9, **options) for adam in (FusedAdam, keras.optimizers.Adam)]
    for step in range(5):
        for optimizer, variable in zip(optimizers, variables):
            optimizer.apply([tf.sin(variable[0].value * (step + 1.0))], variable)
    np.testing.assert_allclose(variables[0][0], variables[1][0], rtol=1e-4, atol=1e-6)  # float32, rounded otherwise
    averages = [optimizer._model_variables_moving_average[0] for optimizer in optimizers]
    np.testing.assert_allclose(*averages, rtol=1e-4, atol=1e-6)


def test_momenta_and_weight_decay_of_the_recipe_reach_both_optimizers():
    recipe = changed(RECIPES["srgan"], momenta=(0.5, 0.9), weight_decay=0.1)
    models = make_models(recipe, 32, 10)
    for optimizer in (models.generator_optimizer, models.discriminator_optimizer):
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.weight_decay) == (0.5, 0.9, 0.1)
    assert make_models(RECIPES["srgan"], 32, 10).generator_optimizer.weight_decay is None


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_span_learns_and_is_saved_with_plain_convolutions_to_go_on_from(fit, tiles, tmp_path, precision):
    recipe = RECIPES["pixel"].model_dump() | {"generator": {"kind": "span", "filters": 4, "blocks": 2}}
    recipe = parse(Recipe, recipe | {"precision": precision}, "span")
    first = fit(recipe, steps=40, snapshot_step=4)
    assert [layer for layer in first.generator.layers if isinstance(layer, ComposedConv)] == []
    errors = [mean_error(generator, tiles) for generator in (build_generator(recipe.generator), first.generator)]
    assert errors[1] < errors[0]
    before = run_of(recipe, tmp_path / "first")
    save_model(first.generator, before.folder / "generator.keras")
    later = fit(changed(recipe, learning_rate=1e-12), steps=1, warm_start=before)
    for weight, begun in zip(later.generator.get_weights(), first.generator.get_weights(), strict=True):
        np.testing.assert_allclose(weight, begun, atol=1e-6)


def test_the_adversarial_loss_gains_its_weight_over_the_ramp(tiles):
    recipe = changed(SRGAN, adversarial_ramp=0.5, loss_weights=LossWeights(content=1.0, adversarial=1.0, pixel=0.0))
    _, update = update_of(recipe, steps=8)
    shares = []
    for number in (1, 2, 4):
        update(first_batch(tiles), number)
        report = update.means(1)
        shares.append((report["generator"] - report["content"]) / report["adversarial"])
    assert shares == pytest.approx([0.25, 0.5, 1.0], abs=1e-3)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "step"])
def test_the_rate_follows_its_schedule(fit, schedule):
    rates = [row["learning_rate"] for row in fit(changed(PIXEL, schedule=schedule), 20).history]
    expected = {
        "constant": [1e-3] * 20,
        "cosine": [1e-3 * (1 + np.cos(np.pi * step / 20)) / 2 for step in range(20)],
        "step": [1e-3] * 11 + [5e-4] * 5 + [2.5e-4] * 3 + [1.25e-4],
    }[schedule]
    assert rates == pytest.approx(expected, rel=1e-4)


def test_a_snapshot_is_the_generator_after_so_many_steps(fit, tmp_path):
    constant = changed(PIXEL, schedule="constant")
    short = fit(constant, 3)
    longer = fit(constant, 6, snapshot_step=3)
    longer.save(tmp_path / "model")
    assert weights_equal(short.generator, load_model(tmp_path / "model" / "snapshot.keras"))
    assert weights_equal(longer.generator, load_model(tmp_path / "model" / "generator.keras"))


def test_a_warm_start_takes_over_the_weights(fit, tmp_path):
    start = build_generator(PIXEL.generator)
    start.set_weights([weight + 0.01 for weight in start.get_weights()])
    warm_start = run_of(PIXEL, tmp_path / "start")
    save_model(start, warm_start.folder / "generator.keras")
    still = changed(PIXEL, learning_rate=1e-30, ema=0.0)
    assert weights_equal(start, fit(still, 1, warm_start=warm_start).generator)


def test_a_generator_learns_from_what_a_camera_made_of_the_tiles(fit, study):
    assert not weights_equal(fit(PIXEL, 3).generator, fit(PIXEL, 3, camera=study.degradations["cctv"]).generator)


def test_the_averaged_weights_are_saved_when_asked_for(fit):
    assert not weights_equal(fit(changed(PIXEL, ema=0.0), 5).generator, fit(PIXEL, 5).generator)


def test_a_changed_run_never_goes_on_from_anothers_checkpoint(fit, tiles, study, tmp_path, monkeypatch, capsys):
    start, camera = run_of(PIXEL, tmp_path / "start"), study.degradations["cctv"]
    save_model(build_generator(PIXEL.generator), start.folder / "generator.keras")
    runs = [
        {},
        {"recipe": changed(PIXEL, learning_rate=1e-4)},
        {"steps": 4},
        {"seed": 2},
        {"snapshot_step": 2},
        {"warm_start": start},
        {"camera": camera},
        {"camera": changed(camera, storing_last=0.5)},
        {"tiles": Tiles(hr=tiles.hr[::-1].copy(), lr=tiles.lr[::-1].copy())},
        {"settings": changed(SETTINGS, validations=1)},
        {"settings": changed(SETTINGS, precision="mixed_float16")},
        {"recipe": changed(PIXEL, precision="mixed_bfloat16")},
    ]
    for number, change in enumerate(runs, 1):
        fit(**{"recipe": PIXEL, "steps": 3, **change})
        assert len(list(tmp_path.glob("checkpoints/*/ckpt-3.index"))) == number
        assert ("starting anew" in capsys.readouterr().err) == (number > 1)
    monkeypatch.setattr(checkpoints, "code_fingerprint", lambda *modules: "another code")
    fit(PIXEL, 3)
    assert len(list(tmp_path.glob("checkpoints/*/ckpt-3.index"))) == len(runs) + 1


class Calls(list):
    """The numbers of the steps that were done; `end`: the one that is cut off; `spoil`: whose weights are infinite."""

    end = spoil = None


@pytest.fixture
def calls(monkeypatch):
    """The steps of all runs in a test, and what goes wrong in which."""
    numbers, models, call = Calls(), [], Update.__call__

    def make(*arguments):
        models.append(make_models(*arguments))
        return models[-1]

    def counted(self, batch, number):
        if number == numbers.end:
            raise KeyboardInterrupt
        if number == numbers.spoil:
            models[-1].generator.trainable_variables[0].assign_add(np.inf)
        numbers.append(number)
        call(self, batch, number)

    monkeypatch.setattr(training, "make_models", make)
    monkeypatch.setattr(Update, "__call__", counted)
    return numbers


@pytest.fixture
def interrupted(fit, tmp_path, calls) -> Path:
    """The folder of a run of 20 steps that ended after 7, with checkpoints after 6 and 7."""
    calls.end = 8
    with pytest.raises(KeyboardInterrupt):
        fit(PIXEL, 20)
    calls.end = None
    calls.clear()
    [folder] = (tmp_path / "checkpoints").iterdir()
    return folder


def flipped(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize(
    ("path", "damage"),
    [
        ("ckpt-7.data-00000-of-00001", lambda content: b""),
        ("ckpt-7.data-00000-of-00001", lambda content: content[: len(content) // 2]),
        ("ckpt-7.data-00000-of-00001", flipped),
        ("ckpt-7.index", lambda content: b""),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(fit, interrupted, calls, capsys, path, damage):
    (interrupted / path).write_bytes(damage((interrupted / path).read_bytes()))
    assert [row["step"] for row in fit(PIXEL, 20).history] == list(range(1, 21))  # none of them is lost
    assert calls[0] == 7
    assert "ckpt-7.index: this checkpoint is damaged" in capsys.readouterr().err


def test_nothing_of_a_damaged_checkpoint_is_put_in_place(interrupted):
    models = make_models(PIXEL, 24, 20)
    untrained = models.generator.get_weights()
    for path in interrupted.glob("ckpt-*.data*"):
        path.write_bytes(flipped(path.read_bytes()))
    (interrupted / "checkpoint").write_bytes(b"")
    for _ in range(2):  # the error is no less on a second try
        with pytest.raises(StudyError, match="none of its checkpoints can be read; remove the folder to start anew"):
            checkpoints.Checkpoints(models, tf.Variable(tf.zeros(9)), interrupted, 2)
    assert all((old == new).all() for old, new in zip(untrained, models.generator.get_weights()))


def test_a_damaged_list_of_checkpoints_is_not_needed(fit, interrupted, calls):
    (interrupted / "checkpoint").write_bytes(b"")
    fit(PIXEL, 20)
    assert calls[0] == 8
    assert (interrupted / "ckpt-20.index").is_file()


def test_a_first_checkpoint_that_was_cut_off_is_no_reason_to_stop(fit, interrupted, calls):
    for path in interrupted.iterdir():
        path.unlink()
    (interrupted / "ckpt-3.index").write_bytes(b"")
    fit(PIXEL, 20)
    assert calls[0] == 1


def test_the_mark_of_a_complete_run_is_left_by_its_end_alone(fit, tmp_path):
    fit(PIXEL, 3, changed(SETTINGS, time_budget=1e-6)).save(tmp_path / "model")
    assert not list(tmp_path.glob(f"checkpoints/*/{COMPLETE}"))
    fit(PIXEL, 3).save(tmp_path / "model")
    assert len(list(tmp_path.glob(f"checkpoints/*/{COMPLETE}"))) == 1


@pytest.mark.parametrize(("minutes", "kept"), [(0, [6, 7]), (1000, [4])])
def test_a_loss_that_is_not_finite_ends_the_run_with_the_step_before_whenever_it_was_saved(
    fit, calls, tmp_path, minutes, kept
):
    constant, calls.spoil = changed(PIXEL, schedule="constant"), 8
    options = {"snapshot_step": 8, "epoch_steps": 4, "checkpoints": tmp_path / "broken"}
    ended = fit(constant, 20, changed(SETTINGS, checkpoint_minutes=minutes), **options)
    assert (ended.step, ended.complete, ended.not_finite) == (7, False, 8)
    assert "7 of 20 steps: NOT COMPLETE, a loss or gradient was not finite in step 8" in ended.outcome()
    assert ended.snapshot is None  # it is of that step
    assert [row["step"] for row in ended.history] == [1, 2, 3, 4, 5, 6, 7]
    assert weights_equal(ended.generator, fit(constant, 7).generator)
    assert sorted(int(path.stem.removeprefix("ckpt-")) for path in tmp_path.glob("broken/*/ckpt-*.index")) == kept
    ended.save(tmp_path / "model")
    assert not list(tmp_path.glob(f"broken/*/{COMPLETE}"))


def test_a_run_that_ended_so_between_two_rows_of_history_has_one_for_its_end(fit, calls):
    calls.spoil = 18
    ended = fit(PIXEL, 400)  # a row every ten steps
    assert [row["step"] for row in ended.history] == [10, 17]
    assert np.isfinite(ended.history[-1]["pixel"])


@pytest.mark.parametrize("minutes", [0, 1000])
def test_a_loss_that_is_not_finite_in_the_first_epoch_is_an_error(fit, calls, minutes):
    calls.spoil = 3
    with pytest.raises(StudyError, match=r"not finite in step 3; lower learning_rate"):
        fit(PIXEL, 20, changed(SETTINGS, checkpoint_minutes=minutes))


def test_a_checkpoint_is_as_large_as_the_documents_say(fit, tmp_path, root):
    recipe = changed(SRGAN, discriminator=changed(SRGAN.discriminator, filters=8, dense=128))
    fit(recipe, 3)
    [written] = tmp_path.glob("checkpoints/*/ckpt-3.data*")
    assert written.stat().st_size == pytest.approx(checkpoint_bytes(recipe, 8), rel=0.05)
    sizes = [checkpoint_bytes(load_study("paper", root).recipes["srgan"], lr_size) / 1e9 for lr_size in (64, 32)]
    said = f"runs at 64 px takes {sizes[0]:.1f} GB, at 32 px {sizes[1]:.1f} GB"
    assert said in (root / "docs" / "training.md").read_text("utf-8").replace("\n ", "")


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_arithmetic_in_16_bits_leaves_a_float32_generator_that_learned(fit, precision):
    trained = fit(changed(SRGAN, learning_rate=1e-3), 24, changed(SETTINGS, precision=precision))
    assert keras.config.dtype_policy().name == "float32"
    assert {weight.dtype for weight in trained.generator.weights} == {"float32"}
    assert trained.generator.dtype_policy.name == "float32"
    content = [row["content"] for row in trained.history]
    assert np.mean(content[-8:]) < np.mean(content[:8])


@pytest.mark.parametrize(
    ("precision", "kind"), [("float32", tf.float32), ("mixed_float16", tf.float16), ("mixed_bfloat16", tf.bfloat16)]
)
def test_the_convolutions_compute_in_the_precision_that_is_asked_for(tiles, precision, kind):
    with devices.mixed_precision(precision):
        models, update = update_of(SRGAN)
    weights = [*models.generator.weights, *models.discriminator.weights]
    assert {weight.dtype for weight in weights} == {"float32"}
    spec = [tf.TensorSpec(images.shape, tf.uint8) for images in first_batch(tiles)]
    graph = update.compiled.get_concrete_function(tf.TensorSpec((), tf.int64), *spec).graph
    found = {op.outputs[0].dtype for op in graph.get_operations() if op.type.startswith("Conv2D")}
    assert found == {kind, tf.float32}  # the generator's last one makes the image, in float32


def test_a_gradient_beyond_float16_skips_the_update_and_halves_the_loss_scale(tiles):
    with devices.mixed_precision("mixed_float16"):
        models, update = update_of(SRGAN)
    optimizer = models.generator_optimizer
    optimizer.dynamic_scale.assign(2.0**60)
    models.discriminator_optimizer.dynamic_scale.assign(2.0**8)
    generator, discriminator = (
        [weight.numpy() for weight in network.trainable_variables]
        for network in (models.generator, models.discriminator)
    )
    update(first_batch(tiles), 1)
    update.check()  # no failure
    assert update.means(1)["generator_gradient"] == 0
    assert float(optimizer.dynamic_scale) == 2.0**59
    assert int(optimizer.iterations) == 0
    assert all((old == new.numpy()).all() for old, new in zip(generator, models.generator.trainable_variables))
    assert any((old != new.numpy()).any() for old, new in zip(discriminator, models.discriminator.trainable_variables))
    optimizer.dynamic_scale.assign(2.0**10)
    update(first_batch(tiles), 2)
    assert update.means(1)["generator_gradient"] > 0
    assert int(optimizer.iterations) == 1
    assert any((old != new.numpy()).any() for old, new in zip(generator, models.generator.trainable_variables))


@pytest.mark.parametrize(("scale", "fails"), [(2.0, False), (0.5, True)])
def test_a_gradient_that_no_loss_scale_makes_finite_is_a_failure(tiles, monkeypatch, scale, fails):
    """Else a run would skip every update to its end, with losses that look well."""
    monkeypatch.setitem(losses.PIXEL_LOSSES, "l1", lambda hr, sr: tf.reduce_mean(tf.sqrt(0.0 * sr)))  # 0, slope NaN
    with devices.mixed_precision("mixed_float16"):
        models, update = update_of(PIXEL)
    models.generator_optimizer.dynamic_scale.assign(scale)
    update(first_batch(tiles, 4), 1)
    with pytest.raises(NotFinite, match="step 1") if fails else nullcontext():
        update.check()
