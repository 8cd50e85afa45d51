"""Guards fire on histories that are known to be good or bad; validation judges the weights it is given."""

from __future__ import annotations

import numpy as np
import pytest

from srstudy.judge.guards import Event, guard_events
from srstudy.judge.metrics import fidelity
from srstudy.networks.architectures import residual_generator
from srstudy.settings import Guards
from srstudy.train.watch import Schedule, Validation

GUARDS = Guards(discriminator_won=0.99, discriminator_lost=0.3, patience=3, collapse=0.3, colour_shift=5.0)


def history(**columns) -> list[dict[str, float]]:
    """Rows 10, 20, ... of a run, with these columns; None leaves a cell out."""
    count = len(next(iter(columns.values())))
    return [
        {"step": 10 * (row + 1), **{name: values[row] for name, values in columns.items() if values[row] is not None}}
        for row in range(count)
    ]


def accuracies(*values: float) -> list[dict[str, float]]:
    return history(real_accuracy=values, fake_accuracy=values)


def test_a_healthy_run_leaves_no_event():
    rows = history(
        real_accuracy=[0.7, 0.8, 0.6, 0.7], fake_accuracy=[0.6, 0.7, 0.8, 0.7],
        diversity=[None, 0.9, None, 1.0], shift_a=[None, 1.0, None, 2.0], shift_b=[None, -1.0, None, 1.0],
    )  # fmt: skip
    assert guard_events(rows, GUARDS) == []


def test_a_discriminator_that_is_always_right_has_won_after_patience_rows():
    assert guard_events(accuracies(0.5, 1, 1, 1, 1), GUARDS) == [Event(40, "discriminator won", 1.0, 0.99)]


def test_a_discriminator_right_for_less_than_patience_has_not_won():
    assert guard_events(accuracies(1, 1, 0.5, 1, 1, 0.9), GUARDS) == []


def test_a_discriminator_that_is_mostly_wrong_has_lost():
    assert guard_events(accuracies(0.1, 0.2, 0.3, 0.3), GUARDS) == [Event(30, "discriminator lost", 0.3, 0.3)]


def test_a_guard_fires_again_only_after_it_was_quiet():
    events = guard_events(accuracies(1, 1, 1, 1, 0.5, 1, 1, 1), GUARDS)
    assert [event.step for event in events] == [30, 80]


def test_outputs_alike_for_different_inputs_have_collapsed():
    events = guard_events(history(diversity=[1.0, None, 0.2]), GUARDS)
    assert events == [Event(30, "output collapsed", 0.2, 0.3)]


def test_a_tint_of_all_validation_photographs_is_a_drift():
    events = guard_events(history(shift_a=[0, 3], shift_b=[1, -4]), GUARDS)
    assert events == [Event(20, "colour drifts", 5.0, 5.0)]


def test_a_run_without_a_discriminator_is_watched_too():
    assert [event.guard for event in guard_events(history(diversity=[0.1]), GUARDS)] == ["output collapsed"]


@pytest.mark.parametrize(
    ("steps", "epoch_steps", "validations", "validated"),
    [
        (100, 10, 10, [*range(10, 101, 10)]),
        (105, 10, 10, [20, 40, 60, 80, 100, 105]),  # at most ten, and the end
        (24, 24, 10, [24]),
        (5, 24, 10, [5]),
        (100, 10, 0, []),
    ],
)
def test_validations_come_at_ends_of_epochs_and_at_the_end(steps, epoch_steps, validations, validated):
    schedule = Schedule(steps, epoch_steps, validations)
    assert [step for step in range(1, steps + 1) if schedule.is_validation(step)] == validated
    assert all(schedule.is_row(step) for step in validated)


@pytest.mark.parametrize("steps", [1, 39, 40, 41, 79, 80000])
def test_a_history_has_at_most_40_rows_and_always_the_last(steps):
    rows = [step for step in range(1, steps + 1) if Schedule(steps, steps, 0).is_row(step)]
    assert len(rows) <= 40
    assert rows[-1] == steps


@pytest.fixture(scope="module")
def validation(photo) -> Validation:
    photos = {"left": photo[:128, :128], "right": photo[128:256, 256:384]}
    return Validation(photos, residual_generator(4, 1), "image", lambda hr, srs: [1.0 for _ in srs])


def test_validation_judges_the_weights_it_is_given(validation):
    generator = residual_generator(4, 1)  # untrained, it is bicubic interpolation
    means, srs = validation(generator.get_weights())
    assert means["psnr_y"] == pytest.approx(np.mean([fidelity(validation.photos[n], srs[n])["psnr_y"] for n in srs]))
    assert means["perceptual"] == 1.0
    assert 0.7 < means["diversity"] <= 1.05
    louder = [weight + 0.05 for weight in generator.get_weights()]
    assert validation(louder)[0]["psnr_y"] < means["psnr_y"]


def test_validation_judges_on_what_a_camera_makes_of_the_photographs(validation, study):
    generator = residual_generator(4, 1)
    cctv = [
        Validation(validation.photos, generator, "image", lambda hr, srs: [1.0], study.degradations["cctv"], seed)
        for seed in (1, 1, 2)
    ]
    one, same, other = (look(generator.get_weights())[0]["psnr_y"] for look in cctv)
    assert one == same != other
    assert max(one, other) < validation(generator.get_weights())[0]["psnr_y"]
    assert len({look.identity for look in (*cctv, validation)}) == 3


def test_a_generator_that_answers_all_with_one_image_has_no_diversity(validation):
    alike = {name: np.full_like(image, 128) for name, image in validation.photos.items()}
    assert validation._diversity(alike) == 0
    assert validation._diversity(validation.photos) == pytest.approx(1)
