"""The ablation: every arm is the recipe with one thing changed, and gets the same time."""

from dataclasses import replace

import pytest
from tests.tiny import RECIPES, changed, run_of

from srstudy import StudyError
from srstudy.judge.validation import Validation
from srstudy.study import load_study
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


def test_the_seeds_are_said_to_be_those_of_the_fine_tuning_where_there_is_a_warm_start(study, root):
    [first, *_], [scratch, *_] = map(ablation.variations, (study, load_study("paper", root)))
    assert (first[0], scratch[0]) == ("as it is, fine-tuning seed 2023", "as it is, seed 2023")


def test_an_ablation_leaves_a_row_for_each_arm(study, tiles, photo, tmp_path, monkeypatch):
    arms = [("as it is, seed 1", run_of(RECIPES["pixel"], tmp_path)), ("GAN", run_of(RECIPES["srgan"], tmp_path))]
    monkeypatch.setattr(ablation, "training_tiles", lambda study, run: tiles)
    monkeypatch.setattr(ablation, "variations", lambda study: iter(arms))
    monkeypatch.setattr(ablation, "NEAR", 0.5)
    brief = replace(study, ablation=changed(study.ablation, seconds=0.4))

    def validation(recipe):
        photos = {"left": photo[:64, :64], "right": photo[:64, 64:128]}
        return Validation(photos, build_generator(recipe.generator), "image")

    table = ablation.ablate(brief, validation)
    assert list(table.arm) == ["as it is, seed 1", "GAN"]
    assert table.steps.min() > 2
    assert table.seconds.between(0.1, 1.6).all()  # however long TensorFlow compiled
    assert table[list(ablation.SHOWN)].notna().all(axis=None)


@pytest.mark.parametrize(
    ("paces", "steps"),
    [
        ([0.1, 0.1], [24, 200]),
        ([0.1, 0.2, 0.2], [24, 200, 100]),  # the machine became slower
        ([0.1, 0.2, 0.1, 0.2, 0.1], [24, 200, 100, 200]),  # of one that never holds still, the nearest counts
    ],
)
def test_an_arm_is_trained_again_until_its_steps_fit_the_time(monkeypatch, paces, steps):
    made = []

    def history_of(run, tiles, settings, count, validation):
        made.append(count)
        return [{"step": step, "seconds": 9 + paces[len(made) - 1] * step} for step in (1, count)]  # 9 s to compile

    monkeypatch.setattr(ablation, "history_of", history_of)
    history = ablation.timed(None, None, None, 20.0, None)
    assert made == steps
    assert ablation.seconds_of(history) == pytest.approx(20 if len(steps) < 4 else 10)


def test_an_arm_whose_loss_is_no_longer_finite_stops_the_ablation_and_says_so(study, tiles, tmp_path):
    """A rate that throws the weights out of float32's range in one step."""
    wild = changed(RECIPES["pixel"], learning_rate=1e38, ema=0.0, schedule="constant")
    with pytest.raises(StudyError, match=r"not finite in step 2; lower learning_rate"):
        ablation.history_of(run_of(wild, tmp_path), tiles, study.training, 8)
