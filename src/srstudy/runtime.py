"""How TensorFlow runs on this machine. Call `start` before anything imports TensorFlow."""

import json
import os
import sys
from functools import cache

from srstudy import StudyError


def start(seed: int) -> None:
    """Set TensorFlow up for equal bytes in equal runs; again: put Keras and its seed back to the beginning."""
    _set_up()
    import keras

    keras.utils.clear_session()  # else the names of layers and Keras's own random numbers would run on
    keras.utils.set_random_seed(seed)


@cache
def _set_up() -> None:
    if "tensorflow" in sys.modules:
        raise StudyError("runtime.start: TensorFlow is imported already; restart the kernel, then run the cells again.")
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # off by default on some processors, where it is faster too
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # no "retracing" warnings, whose addresses no two runs share
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    tf.config.optimizer.set_experimental_options({"layout_optimizer": bool(gpus)})  # on CPUs it only takes time
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    workers_strategy()  # several workers must find each other before anything else is done


@cache
def workers_strategy():
    """The `tf.distribute.Strategy` of several workers, made once; None where TF_CONFIG names none."""
    worker()  # raises if TF_CONFIG is not as it should be
    if not os.environ.get("TF_CONFIG"):
        return None
    import tensorflow as tf

    return tf.distribute.MultiWorkerMirroredStrategy()


def worker() -> int:
    """The number of this process among several workers, 0 if it is alone. Raises StudyError for a wrong TF_CONFIG."""
    if not os.environ.get("TF_CONFIG"):
        return 0
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        tasks, index = set(config["cluster"]), int(config["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise StudyError(f"TF_CONFIG: no JSON with 'cluster' and 'task' ({error!r}); mend or unset it.") from error
    if tasks != {"worker"}:
        raise StudyError("TF_CONFIG: only tasks of the type 'worker' are known; let worker 0 be the chief.")
    return index


def is_chief() -> bool:
    """Whether this process writes the results: true but for the second and further of several workers."""
    return worker() == 0


def device_names() -> list[str]:
    """Names of the GPUs that TensorFlow sees, or the CPU's if there is none."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus] or ["CPU"]
