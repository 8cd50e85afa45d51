"""What every side of a comparison is timed with, and the images that it gets."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def timed(call: Callable[[], object], rounds: int) -> dict[str, object]:
    """Seconds of each of `rounds` calls after three to warm up."""
    for _ in range(3):
        call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "peak_gb": peak_bytes() / 2**30}


def peak_bytes() -> int:
    """Peak memory of this process."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":  # where getrusage's figure begins with that of the process that started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes


def random_batch(lr_side: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """LR and HR, uint8 NHWC."""
    random = np.random.default_rng(0)
    lr, hr = (random.integers(0, 256, (batch, side, side, 3), "uint8") for side in (lr_side, 4 * lr_side))
    return lr, hr


def scaled(images: np.ndarray) -> np.ndarray:
    """In [-1, 1]."""
    return images / np.float32(127.5) - np.float32(1.0)
