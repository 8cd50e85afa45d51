"""The ablation: every arm is the recipe with one thing changed, and gets the same time."""

from dataclasses import replace

import pytest
from tests.tiny import RECIPES, changed, run_of

from srstudy import StudyError
from srstudy.judge.validation import Validation
from srstudy.train import ablation
from srstudy.train.model import build_generator


def test_the_recipe_as_it_is_comes_first_under_every_seed(study):
    run, arms = study.run(study.ablation.variant), list(ablation.variations(study))
    first = [arm for _, arm in arms[: study.ablation.seeds]]
    assert first == [replace(run, seed=study.seed + number) for number in range(study.ablation.seeds)]


def test_each_other_arm_is_the_recipe_with_one_thing_changed(study):
    run, arms = study.run(study.ablation.variant), dict(list(ablation.variations(study))[study.ablation.seeds :])
    assert len(arms) >= 9
    assert all(arm.recipe != run.recipe and arm.seed == run.seed for arm in arms.values())
    assert arms["batch 1"] == replace(run, recipe=changed(run.recipe, batch_size=1, devices="one"))
    assert arms["from scratch"].warm_start is None


def test_an_ablation_leaves_a_row_for_each_arm(study, tiles, photo, tmp_path, monkeypatch):
    arms = [("as it is, seed 1", run_of(RECIPES["pixel"], tmp_path)), ("GAN", run_of(RECIPES["srgan"], tmp_path))]
    monkeypatch.setattr(ablation, "training_tiles", lambda study, run: tiles)
    monkeypatch.setattr(ablation, "variations", lambda study: iter(arms))
    monkeypatch.setattr(ablation, "step_seconds", lambda run, *_: 0.1 if run.recipe.discriminator else 0.05)
    brief = replace(study, ablation=changed(study.ablation, seconds=0.31))

    def validation(recipe):
        photos = {"left": photo[:64, :64], "right": photo[:64, 64:128]}
        return Validation(photos, build_generator(recipe.generator), "image")

    table = ablation.ablate(brief, validation)
    assert list(table.arm) == ["as it is, seed 1", "GAN"]
    assert list(table.steps) == [6, 3]  # the same time
    assert (table.seconds >= 0).all()
    assert table[list(ablation.SHOWN)].notna().all(axis=None)


def test_the_time_of_a_step_is_that_of_the_steps_after_the_first_half(study, tiles, tmp_path, monkeypatch):
    rows = [{"step": step, "seconds": 4.0 * min(step, 12) + 0.5 * max(step - 12, 0)} for step in range(1, 25)]
    monkeypatch.setattr(ablation, "history_of", lambda *arguments: rows)
    assert ablation.step_seconds(run_of(RECIPES["pixel"], tmp_path), tiles, study.training) == 0.5


def test_an_arm_whose_loss_is_no_longer_finite_stops_the_ablation_and_says_so(study, tiles, tmp_path):
    """A rate that throws the weights out of float32's range in one step; the step before was saved."""
    wild = changed(RECIPES["pixel"], learning_rate=1e38, ema=0.0, schedule="constant")
    with pytest.raises(StudyError, match=r"ablation: 1 of 8 steps: NOT COMPLETE, .* not finite in step 2"):
        ablation.history_of(run_of(wild, tmp_path), tiles, changed(study.training, checkpoint_steps=1), 8)
