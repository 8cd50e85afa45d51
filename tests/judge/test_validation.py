"""Validation judges the weights that it is given, on fixed photographs."""

import numpy as np
import pytest

from srstudy.judge.distance import Distance
from srstudy.judge.metrics import Picture, measures
from srstudy.judge.validation import Validation
from srstudy.networks.architectures import residual_generator


@pytest.fixture(scope="module")
def photos(photo) -> dict[str, np.ndarray]:
    return {"left": photo[:128, :128], "right": photo[128:256, 256:384]}


@pytest.fixture(scope="module")
def validation(photos) -> Validation:
    return Validation(photos, residual_generator(4, 1), "image")


def test_its_figures_are_means_of_the_measures(validation, photos):
    means, srs = validation(residual_generator(4, 1).get_weights())  # untrained, it is bicubic interpolation
    rows = [measures(Picture(hr), Picture(srs[name])) for name, hr in photos.items()]
    for measure in ("psnr_y", "shift_a", "shift_b"):
        assert means[measure] == np.mean([row[measure] for row in rows])
    distance = Distance()
    distances = [distance.between(distance.features(hr), srs[name]) for name, hr in photos.items()]
    assert means["perceptual"] == np.mean(distances)
    assert 0.7 < means["diversity"] <= 1.05


def test_it_judges_the_weights_and_leaves_the_generator_alone(photos):
    generator = residual_generator(4, 1)
    before = generator.get_weights()
    validation = Validation(photos, generator, "image")
    louder = [weight + 0.05 for weight in before]
    assert validation(louder)[0]["psnr_y"] < validation(before)[0]["psnr_y"]
    validation(louder)
    assert all(np.array_equal(one, other) for one, other in zip(before, generator.get_weights()))


def test_a_camera_makes_lr_and_its_seed_decides_which(validation, photos, study):
    weights = residual_generator(4, 1).get_weights()
    camera = study.degradations["cctv"]
    cctv = [Validation(photos, residual_generator(4, 1), "image", camera, seed) for seed in (1, 1, 2)]
    one, same, other = (each(weights)[0]["psnr_y"] for each in cctv)
    assert one == same != other
    assert max(one, other) < validation(weights)[0]["psnr_y"]
    assert len({each.identity for each in (*cctv, validation)}) == 3


def test_a_generator_that_answers_all_with_one_image_has_no_diversity(validation):
    black = [np.zeros_like(weight) for weight in validation._enhance.generator.get_weights()]
    black[-1] = black[-1] - 10
    means, srs = validation(black)
    assert len({sr.tobytes() for sr in srs.values()}) == 1
    assert means["diversity"] < 0.01


def test_diversity_of_equal_photographs_is_a_number_like_any_other(photos):
    """Relative to HR that does not differ."""
    equal = Validation({name: photos["left"] for name in photos}, residual_generator(4, 1), "image")
    assert equal(residual_generator(4, 1).get_weights())[0]["diversity"] == 1
