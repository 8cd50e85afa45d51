"""The disk that a training takes is known before it begins."""

import pytest
import tensorflow as tf

from srstudy.sets.disk import checkpoint_bytes, run_bytes, set_bytes
from srstudy.study import load_study
from srstudy.train.checkpoints import Checkpoints
from srstudy.train.model import make_models


@pytest.mark.parametrize(("recipe", "crop"), [("srgan", None), ("srgan", 9), ("recommended", None)])
def test_a_checkpoint_takes_about_what_is_said(study, tmp_path, recipe, crop):
    recipe = study.recipes[recipe].model_copy(update={"crop": crop})
    models = make_models(recipe, 4 * (crop or 32), 1)
    Checkpoints(models, tf.Variable(0.0), tmp_path / "checkpoints", 1).save(1, [])
    size = sum(path.stat().st_size for path in (tmp_path / "checkpoints").iterdir())
    assert checkpoint_bytes(recipe, 32) == pytest.approx(size, rel=0.1)


def test_the_figures_that_the_documents_give_are_those_of_the_paper_profile(root):
    study, text = load_study("paper", root), (root / "docs" / "paper-data.md").read_text(encoding="utf-8")
    every = sum(set_bytes(study, name) for name in study.sets)
    largest = max(run_bytes(study, name) for name in study.sets)
    one = set_bytes(study, "curated-10k-64")
    assert largest == run_bytes(study, "curated-10k-64") < 15e9
    for size in (one, largest - one, largest, every, every + largest - one):
        assert f"{size / 1e9:.1f} GB" in text
