"""More than one device, and more than one process: the losses of one."""

import json
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tests.apart import finish
from tests.tiny import RECIPES, SETTINGS, changed

from srstudy import StudyError, runtime
from srstudy.train.devices import mixed_precision, remarks, slowness, strategy_for

LOSSES = ["discriminator", "content", "adversarial", "generator", "real_accuracy"]
GRADIENTS = ["generator_gradient", "discriminator_gradient"]


def assert_equal_losses(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Losses alike, and the norms of the whole batch's gradients: means of its parts' norms would be larger."""
    assert len(first) == len(second) == 20
    np.testing.assert_allclose(first[LOSSES], second[LOSSES], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(first[GRADIENTS], second[GRADIENTS], rtol=1e-3)


def test_two_devices_and_two_workers_give_the_losses_of_one_device_for_the_same_batch(apart):
    options = ["--steps", "20", "--change", '{"batch_size": 4}']
    one, two = apart.start("one", "srgan", *options), apart.start("two", "srgan", *options, "--devices", "2")
    for process in (one, two):
        finish(process)
    for worker in two_workers(apart, options):
        finish(worker)
    assert_equal_losses(apart.history("one"), apart.history("two"))
    assert_equal_losses(apart.history("one"), apart.history("workers"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM for a child")
def test_a_signal_to_one_worker_stops_all_after_the_same_step_and_all_go_on(apart):
    options = ["--steps", "4000", "--change", '{"batch_size": 4}', "--set", '{"checkpoint_minutes": 0.005}']
    ended = []
    for _ in range(2):
        workers = two_workers(apart, options)
        seen = set(apart.folder.glob("workers-checkpoints/*/ckpt-*.index"))
        while set(apart.folder.glob("workers-checkpoints/*/ckpt-*.index")) <= seen:
            assert workers[0].poll() is None
            time.sleep(0.01)
        workers[1].send_signal(signal.SIGTERM)
        said = [worker.communicate()[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [1, 1]
        steps = {int(step) for text in said for step in re.findall(r"came after step (\d+) of 4000", text)}
        assert "a signal to another worker" in said[0]
        assert len(steps) == 1
        ended += steps
    assert 8 < ended[0] < ended[1]


def test_a_loss_that_is_not_finite_ends_all_workers_with_the_step_before(apart):
    options = ["--steps", "20", "--epoch", "1", "--change", '{"learning_rate": 1e30}']
    for said in map(finish, two_workers(apart, options, "pixel")):
        assert "not finite in step 2" in said
    assert json.loads((apart.folder / "workers" / "run.json").read_text()) == {"complete": False, "step": 1}
    assert np.isfinite(apart.history("workers").pixel).all()


def two_workers(apart, options: list[str], recipe: str = "srgan") -> list[subprocess.Popen]:
    """Two processes that train together."""
    cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
    return [
        apart.start(
            "workers", recipe, *options,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]  # fmt: skip


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
        strategy_for(changed(RECIPES["srgan"], **change), changed(SETTINGS, **settings))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{", "TF_CONFIG: no JSON"),
        ('{"cluster": {"worker": []}}', "TF_CONFIG: no JSON with 'cluster' and 'task'"),
        (
            '{"cluster": {"chief": [], "worker": []}, "task": {"type": "worker", "index": 0}}',
            "only tasks of the type 'worker'",
        ),
    ],
)
def test_a_cluster_that_the_study_does_not_know_is_refused(monkeypatch, config, message):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(StudyError, match=message):
        runtime.worker()


def test_the_first_of_several_workers_is_the_chief(monkeypatch):
    assert runtime.is_chief()
    for index, chief in ((0, True), (1, False)):
        task = {"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(task))
        assert runtime.is_chief() == chief


def test_what_auto_chooses_is_said_where_it_is_not_float32(monkeypatch):
    with mixed_precision("auto") as policy:
        assert (policy, list(remarks("auto", policy, 1.0))) == ("float32", [])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    with mixed_precision("auto") as policy:
        said, *_ = remarks("auto", policy, 1.0)
    assert said == "precision auto means mixed_float16 on a GPU; set precision to float32 to compute in float32"


def test_a_machine_that_is_slow_in_bfloat16_is_told_of():
    slow, fast = (list(remarks("mixed_bfloat16", "mixed_bfloat16", factor)) for factor in (70.4, 1.2))
    assert slow == ["mixed_bfloat16 is 70 times slower than float32 on this machine; set precision to float32"]
    assert fast == []
    assert slowness("mixed_bfloat16") > 0
    assert slowness("float32") == 1


def test_two_devices_share_float16_arithmetic_and_averaged_weights(apart):
    options = ["--steps", "8", "--set", '{"precision": "mixed_float16"}']
    finish(apart.start("half", "pixel", *options, "--devices", "2"))
    pixel = apart.history("half").pixel
    assert np.isfinite(pixel).all()
    assert len(pixel) == 8
