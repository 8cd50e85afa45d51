"""Where a run computes: one device, every GPU of this machine, or several machines; the code is the same for all."""

import os
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import keras
import tensorflow as tf

from srstudy import StudyError, runtime
from srstudy.settings import Recipe, Training

SLOW = 2.0  # so many times slower than float32 is worth a word before training starts
AGREE_STEPS = 10  # how often several workers ask each other whether to stop, and whether to save


@cache
def all_devices() -> tf.distribute.Strategy:
    """That of several workers if TF_CONFIG is set, MirroredStrategy for several GPUs, else the default one."""
    if workers := runtime.workers_strategy():
        return workers
    # Several CPUs are one cut in two, as tests do.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    names = [device.name for device in devices]
    return tf.distribute.MirroredStrategy(names) if len(names) > 1 else tf.distribute.get_strategy()


def strategy_for(recipe: Recipe, settings: Training) -> tf.distribute.Strategy:
    """Where a recipe is trained: on all devices, or on the first if it says `devices: one`.

    Raises StudyError if its batch can't be divided among them, or if several workers are asked for what they can't do.
    """
    if os.environ.get("TF_CONFIG") and (recipe.devices == "one" or settings.time_budget):
        what = "devices: one" if recipe.devices == "one" else "training.time_budget"
        raise StudyError(f"TF_CONFIG: several workers can't train with {what}; unset one of the two.")
    strategy = tf.distribute.get_strategy() if recipe.devices == "one" else all_devices()
    if recipe.batch_size % (count := strategy.num_replicas_in_sync):
        raise StudyError(
            f"batch_size: a batch of {recipe.batch_size} can't be divided among {count} devices; set batch_size to "
            f"a multiple of {count}, or `devices: one` in the recipe."
        )
    return strategy


@contextmanager
def mixed_precision(setting: str) -> Iterator[str]:
    """Build networks by a Keras policy, which it gives; "auto" is float16 arithmetic on a GPU. Weights stay float32."""
    automatic = "mixed_float16" if tf.config.list_physical_devices("GPU") else "float32"
    before, policy = keras.config.dtype_policy(), automatic if setting == "auto" else setting
    keras.config.set_dtype_policy(policy)
    try:
        yield policy
    finally:
        keras.config.set_dtype_policy(before)


def remarks(setting: str, policy: str, factor: float) -> Iterator[str]:
    """What to know before training by a policy starts: that "auto" has chosen 16 bits, and that they are slow here, by
    `slowness`.
    """
    if setting == "auto" and policy != "float32":
        yield f"precision auto means {policy} on a GPU; set precision to float32 to compute in float32"
    if factor > SLOW:
        yield f"{policy} is {factor:.0f} times slower than float32 on this machine; set precision to float32"


def slowness(policy: str) -> float:
    """How many times longer than in float32 a small convolution takes by this policy, where training would compute.

    Timed, as that tells the truth on any system: a processor, its library and a setting of that each decide it.
    """

    def seconds(kind: str) -> float:
        image, kernel = tf.ones((1, 64, 64, 32), kind), tf.ones((3, 3, 32, 32), kind)
        return min(timeit.repeat(lambda: tf.nn.conv2d(image, kernel, 1, "SAME").numpy(), number=1, repeat=5))

    return 1.0 if policy == "float32" else seconds(policy.removeprefix("mixed_")) / seconds("float32")


def agreed(strategy: tf.distribute.Strategy, step: int, reason: str | None, due: bool) -> tuple[str | None, bool]:
    """Why all of several workers stop after this step, if any has a reason, and whether all save, if one is due to.

    All must ask after each step.
    """
    if step % AGREE_STEPS:
        return None, False
    votes = strategy.run(tf.identity, args=(tf.constant([float(reason is not None), float(due)]),))
    stop, save = strategy.reduce("SUM", votes, axis=None).numpy()
    return (reason or "a signal to another worker") if stop else None, bool(save)
