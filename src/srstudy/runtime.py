"""How TensorFlow runs on this machine. Call `start` before anything imports TensorFlow."""

from __future__ import annotations

import os
import sys

from srstudy.errors import StudyError

_started: bool | None = None  # what `training` was when this process set TensorFlow up


def start(seed: int, training: bool) -> None:
    """Set TensorFlow up for equal bytes in equal runs, and for speed in what follows.

    oneDNN makes a training step on a CPU up to 3 times as fast, and plain inference many times slower; TensorFlow
    fixes the choice at import, hence `training`. Called again, as when a notebook's cells are run again, it puts Keras
    and its seed back to where they were at first. Raises StudyError if TensorFlow is imported with another setting.
    """
    global _started
    if _started is None and "tensorflow" not in sys.modules:
        _set_up(training)
        _started = training
    elif _started != training:
        raise StudyError(
            f"runtime.start: TensorFlow is imported already, and not for training={training}; restart the kernel, then "
            "run the cells again."
        )
    import keras

    keras.utils.clear_session()  # else the names of layers and Keras's own random numbers would run on
    keras.utils.set_random_seed(seed)


def _set_up(training: bool) -> None:
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1" if training else "0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    # Else TensorFlow tells of "retracing" when there are many generators, with an address that no two runs share.
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def device_names() -> list[str]:
    """Names of the GPUs that TensorFlow sees, or the CPU's if there is none."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus] or ["CPU"]
