"""The ablation: every arm is the recipe with one thing changed, and gets the same time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.tiny import RECIPES

from srstudy.errors import StudyError
from srstudy.train import ablation
from srstudy.train.players import build_generator
from srstudy.train.watch import Validation


def test_an_arm_is_the_recipe_with_one_thing_changed(study):
    recipe = study.recipe(study.ablation.variant)
    assert len(study.arms) >= 9
    for name, changed in study.arms.items():
        assert changed != recipe, f"{name} changes nothing"
    assert study.arms["batch 1"] == replace(recipe, batch_size=1, devices="one")


def test_the_recipe_as_it_is_comes_first_under_every_seed(study):
    first = list(ablation.arms(study))[: study.ablation.seeds]
    assert {recipe for _, recipe, _ in first} == {study.recipe(study.ablation.variant)}
    assert [seed for _, _, seed in first] == [study.seed + number for number in range(study.ablation.seeds)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_sise": 1}, r"ablation\.changes\.an arm: .*'batch_sise'.*'batch_size'"),
        ({"warm_start": "resdual"}, r"ablation\.changes\.an arm\.warm_start: .*'resdual'.*'residual'"),
        ({"loss_weights": {"content": 0, "adversarial": 0, "pixel": 0}}, r"an arm\.loss_weights: all are 0"),
    ],
)
def test_a_mistaken_arm_is_named(tiny_study, change, message):
    tiny_study.set("ablation.changes", {"an arm": change})
    with pytest.raises(StudyError, match=message):
        tiny_study.load()


def test_an_ablation_leaves_a_row_for_each_arm(study, tiles, photo, monkeypatch):
    arms = [("as it is, seed 1", RECIPES["pixel"], 1), ("L1 and more", RECIPES["srgan"], 1)]
    monkeypatch.setattr(ablation, "training_tiles", lambda study, name: tiles)
    monkeypatch.setattr(ablation, "arms", lambda study: iter(arms))
    monkeypatch.setattr(ablation, "step_seconds", lambda study, recipe, tiles: 0.1 if recipe.discriminator else 0.05)
    brief = replace(study, ablation=replace(study.ablation, seconds=0.31))

    def validation(recipe):
        photos = {"left": photo[:64, :64], "right": photo[:64, 64:128]}
        return Validation(photos, build_generator(recipe.generator), "image", lambda hr, srs: [0.5] * len(srs))

    table = ablation.ablate(brief, validation)
    assert list(table.arm) == ["as it is, seed 1", "L1 and more"]
    assert list(table.steps) == [6, 3]  # the same time
    assert (table.seconds > 0).all()
    assert table[list(ablation.SHOWN)].notna().all(axis=None)
    assert set(table.perceptual) == {0.5}


def test_the_time_of_a_step_is_that_of_the_rows_after_the_first_half(study, tiles, monkeypatch):
    rows = [{"step": step, "images_per_second": 1.0 if step <= 12 else 8.0} for step in range(1, 25)]
    monkeypatch.setattr(ablation, "train_arm", lambda *arguments: rows)
    assert ablation.step_seconds(study, RECIPES["pixel"], tiles) == 0.5  # 8 images a second in batches of 4


def test_an_arm_whose_loss_is_no_longer_finite_stops_the_ablation_and_says_so(study, tiles):
    """A rate that throws the weights out of float32's range in one step; the step before was saved."""
    wild = replace(RECIPES["pixel"], learning_rate=1e38, ema=0.0, schedule="constant")
    study = replace(study, training=replace(study.training, checkpoint_steps=1))
    with pytest.raises(StudyError, match=r"ablation: 1 of 8 steps: NOT COMPLETE, .* not finite in step 2"):
        ablation.train_arm(study, wild, tiles, 8, 1)
