"""Features of HR that are computed once: the same training, also after an interruption."""

import numpy as np
import pytest
import tensorflow as tf
from tests.tiny import RECIPES, SETTINGS, run_of

from srstudy.networks.perceptual import feature_network, features
from srstudy.parsing import parse
from srstudy.settings import Recipe
from srstudy.train import fit as training
from srstudy.train.checkpoints import Checkpoints
from srstudy.train.known import known_features

CONTENT = {"network": "hed-vgg16", "layer": "block2_conv2", "weights": "default"}


def recipe(**content):
    return parse(Recipe, RECIPES["srgan"].model_dump() | {"content": CONTENT | content}, "recipes.mine")


def test_each_tile_has_its_own_features(tiles, tmp_path):
    network = feature_network("hed-vgg16", ("block2_conv2",))
    read = known_features(tiles, network, tmp_path / "features")
    for number in (0, len(tiles) - 1):
        [expected] = features(network, tf.cast(tiles.hr[number : number + 1], tf.float32) / 127.5 - 1.0)
        np.testing.assert_allclose(read(number), expected[0], rtol=1e-3, atol=1e-3)
    stamp = (tmp_path / "features").stat().st_mtime_ns
    np.testing.assert_array_equal(known_features(tiles, network, tmp_path / "features")(3), read(3))
    assert (tmp_path / "features").stat().st_mtime_ns == stamp  # read, not made anew


def test_a_run_that_remembers_them_learns_what_it_learns_anyway(tiles, tmp_path):
    kept, anew = (
        training.train(run_of(recipe(remembered=on), tmp_path / str(on), 24), tiles, SETTINGS) for on in (True, False)
    )
    for ours, theirs in zip(kept.history, anew.history):
        assert ours["content"] == pytest.approx(theirs["content"], rel=0.01)
    assert ours["content"] < kept.history[0]["content"]


def test_a_run_that_was_stopped_and_lost_them_goes_on_to_the_same_weights(tiles, tmp_path):
    whole = training.train(run_of(recipe(remembered=True), tmp_path / "whole", 24), tiles, SETTINGS)
    part = run_of(recipe(remembered=True), tmp_path / "part", 24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", stopping(Checkpoints.save, at=11))
        with pytest.raises(KeyboardInterrupt):
            training.train(part, tiles, SETTINGS)
    [features] = part.checkpoints.glob("*/features-0")
    features.unlink()
    resumed = training.train(part, tiles, SETTINGS)
    assert all((a == b).all() for a, b in zip(whole.generator.get_weights(), resumed.generator.get_weights()))


def stopping(save, at):
    """What saves, and stops after so many steps."""

    def saved(self, step, history):
        save(self, step, history)
        if step == at:
            raise KeyboardInterrupt

    return saved


def test_features_before_the_relu_are_negative_too(tiles):
    images = tf.cast(tiles.hr[:1], tf.float32) / 127.5 - 1.0
    [before] = features(feature_network("hed-vgg16", ("block2_conv2",), activated=False), images)
    [after] = features(feature_network("hed-vgg16", ("block2_conv2",)), images)
    assert before.numpy().min() < 0
    np.testing.assert_allclose(np.maximum(before, 0), after, rtol=1e-5, atol=1e-4)
