"""Where a run computes: one device, every GPU of this machine, or several machines; the code is the same for all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import keras
import tensorflow as tf

from srstudy import runtime
from srstudy.errors import StudyError
from srstudy.settings import Recipe, Training


@cache
def strategy() -> tf.distribute.Strategy:
    """MultiWorkerMirroredStrategy if TF_CONFIG is set, MirroredStrategy for several GPUs, else the default one.

    Made once in a process, because several workers find each other only once. Raises as `runtime.worker` does.
    """
    if os.environ.get("TF_CONFIG"):
        runtime.worker()  # raises if TF_CONFIG is not as it should be
        return tf.distribute.MultiWorkerMirroredStrategy()
    devices = tf.config.list_logical_devices("GPU")
    if not devices and len(tf.config.list_logical_devices("CPU")) > 1:  # a CPU cut in two, as tests do
        devices = tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def strategy_for(recipe: Recipe, settings: Training) -> tf.distribute.Strategy:
    """Where a recipe is trained: on all devices, or on the first if it says `devices: one`.

    Raises StudyError if its batch can't be divided among them, or if several workers are asked for what they can't do.
    """
    if os.environ.get("TF_CONFIG") and (recipe.devices == "one" or settings.time_budget):
        what = "devices: one" if recipe.devices == "one" else "training.time_budget"
        raise StudyError(f"TF_CONFIG: several workers can't train with {what}; unset one of the two.")
    if recipe.devices == "one":
        return tf.distribute.get_strategy()
    chosen = strategy()
    replicas = chosen.num_replicas_in_sync
    if recipe.batch_size % replicas:
        raise StudyError(
            f"batch_size: a batch of {recipe.batch_size} can't be divided among {replicas} devices; set batch_size to "
            f"a multiple of {replicas}, or `devices: one` in the recipe."
        )
    return chosen


@contextmanager
def mixed_precision(setting: str) -> Iterator[str]:
    """Build networks for arithmetic in 16 bits where that is asked for, or `auto` finds a GPU; weights stay float32.

    Gives the name of the policy.
    """
    automatic = "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32"
    before, policy = keras.config.dtype_policy(), automatic if setting == "auto" else setting
    keras.config.set_dtype_policy(policy)
    try:
        yield policy
    finally:
        keras.config.set_dtype_policy(before)


def any_worker_stops(chosen: tf.distribute.Strategy, wants: bool) -> bool:
    """Whether any of several workers wants to stop; all of them must ask, after the same step."""
    votes = chosen.run(tf.identity, args=(tf.constant(float(wants)),))
    return float(chosen.reduce("SUM", votes, axis=None)) > 0


def distributed(chosen: tf.distribute.Strategy, read: Callable[[range, int], tf.data.Dataset]):
    """The batches that `read(replicas, of)` makes for some of all the replicas, brought to their devices."""
    if chosen.num_replicas_in_sync == 1:
        return read(replicas=range(1), of=1)

    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * local
        return read(replicas=range(first, first + local), of=context.num_replicas_in_sync)

    return chosen.distribute_datasets_from_function(for_worker)
