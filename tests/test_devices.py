"""More than one device, and more than one process: the losses of one."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.apart import finish
from tests.tiny import RECIPES, SETTINGS

from srstudy.devices import strategy_for
from srstudy.errors import StudyError

LOSSES = ["discriminator", "content", "adversarial", "generator", "real_accuracy"]


def assert_equal_losses(first: pd.DataFrame, second: pd.DataFrame) -> None:
    assert len(first) == len(second) == 20
    np.testing.assert_allclose(first[LOSSES], second[LOSSES], rtol=1e-5, atol=1e-5)


def test_two_devices_give_the_losses_of_one_for_the_same_batch(apart):
    options = ["--steps", "20", "--change", '{"batch_size": 4}']
    one, two = apart.start("one", "srgan", *options), apart.start("two", "srgan", *options, "--devices", "2")
    finish(one), finish(two)
    assert_equal_losses(apart.history("one"), apart.history("two"))


def test_two_workers_give_the_losses_of_one_for_the_same_batch(apart):
    options = ["--steps", "20", "--change", '{"batch_size": 4}']
    finish(apart.start("one", "srgan", *options))
    ports = [free_port() for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = [
        apart.start(
            "workers", "srgan", *options,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]  # fmt: skip
    for worker in workers:
        finish(worker)
    assert_equal_losses(apart.history("one"), apart.history("workers"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_batch_that_two_devices_cannot_share_is_refused_with_the_way_out(apart):
    process = apart.start("odd", "srgan", "--devices", "2")
    _, said = process.communicate()
    assert process.returncode != 0
    assert "a batch of 1 can't be divided among 2 devices; set batch_size to a multiple of 2" in said


def test_a_recipe_for_one_device_trains_on_one_of_two(apart):
    change = ["--steps", "4", "--change", '{"devices": "one"}']
    one, two = apart.start("one", "srgan", *change), apart.start("two", "srgan", *change, "--devices", "2")
    finish(one), finish(two)
    assert apart.files("one") == apart.files("two")


@pytest.mark.parametrize(
    ("change", "settings", "named"),
    [({"devices": "one"}, {}, "devices: one"), ({}, {"time_budget": 5.0}, r"training\.time_budget")],
)
def test_several_workers_are_refused_what_each_would_decide_by_itself(monkeypatch, change, settings, named):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(StudyError, match=f"several workers can't train with {named}; unset one of the two"):
        strategy_for(replace(RECIPES["srgan"], **change), replace(SETTINGS, **settings))


def test_two_devices_share_float16_arithmetic_and_averaged_weights(apart):
    options = ["--steps", "8", "--set", '{"precision": "mixed_float16"}']
    finish(apart.start("half", "pixel", *options, "--devices", "2"))
    pixel = apart.history("half").pixel
    assert np.isfinite(pixel).all()
    assert len(pixel) == 8
