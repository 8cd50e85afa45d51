"""How TensorFlow runs on this machine. Call `start` before anything imports TensorFlow."""

from __future__ import annotations

import json
import os
import sys

from srstudy.errors import StudyError

_started = False  # whether this process has set TensorFlow up


def start(seed: int) -> None:
    """Set TensorFlow up for equal bytes in equal runs, and for speed in what follows.

    Called again, as when a notebook's cells are run again, it puts Keras and its seed back to where they were at
    first. Raises StudyError if TensorFlow was imported before and can't be set up any more.
    """
    global _started
    if not _started:
        if "tensorflow" in sys.modules:
            raise StudyError(
                "runtime.start: TensorFlow is imported already; restart the kernel, then run the cells again."
            )
        _set_up()
        _started = True
    import keras

    keras.utils.clear_session()  # else the names of layers and Keras's own random numbers would run on
    keras.utils.set_random_seed(seed)


def _set_up() -> None:
    # oneDNN is off by default on processors without AVX-512, where it is faster too: benchmarks/README.md.
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    # Else TensorFlow tells of "retracing" when there are many generators, with an address that no two runs share.
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if os.environ.get("TF_CONFIG"):  # several workers must find each other before anything else is done
        from srstudy import devices

        devices.strategy()


def worker() -> int:
    """The number of this process among several workers, by TF_CONFIG; 0 if it is alone.

    Raises StudyError if TF_CONFIG can't be read, or has other tasks than workers.
    """
    if not os.environ.get("TF_CONFIG"):
        return 0
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        tasks, index = set(config["cluster"]), int(config["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"TF_CONFIG: no JSON with 'cluster' and 'task' ({error!r}); mend or unset it.") from error
    if tasks != {"worker"}:
        raise StudyError("TF_CONFIG: the study knows tasks of the type 'worker' alone; let worker 0 be the chief.")
    return index


def is_chief() -> bool:
    """Whether this process writes the results: true but for the second and further of several workers."""
    return worker() == 0


def device_names() -> list[str]:
    """Names of the GPUs that TensorFlow sees, or the CPU's if there is none."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus] or ["CPU"]
