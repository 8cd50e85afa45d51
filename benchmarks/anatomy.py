"""Where the time of our training step goes, and how far its arithmetic is from what the processor can do.

`python benchmarks/anatomy.py` writes `anatomy.csv` and its table in README.md: rates of this machine (matrix product,
convolutions of the step's own shapes, memory), the rate that the step reaches, and the share of each kind of
operation in it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from publish import publish
from step_sides import paper_models
from timing import random_batch

from srstudy import runtime

LR_SIDE, BATCH, STEPS = 32, 8, 5
CONVOLUTIONS = ((32, 64, 64), (128, 64, 64), (64, 128, 128), (32, 256, 256))  # side, channels in, out; all 3x3
LISTED = 12  # kinds of operations


def main() -> int:
    """Measure, print and write the table."""
    runtime.start(1)
    rows = [*machine_rates(), *step_anatomy()]
    table = pd.DataFrame(rows, columns=["what", "value", "unit"])
    print(table.to_string(index=False))
    publish("anatomy", table)
    return 0


def machine_rates() -> Iterator[tuple[str, float, str]]:
    """What TensorFlow reaches here on single operations, in arrays of the step's sizes."""
    import tensorflow as tf

    def random(*shape: int) -> tf.Tensor:
        return tf.random.stateless_normal(shape, (1, 2))

    side = 2000
    seconds = best(tf.function(tf.matmul), random(side, side), random(side, side))
    yield f"matrix product {side}x{side}", round(2 * side**3 / seconds / 1e9, 1), "GFLOP/s"
    convolve = tf.function(lambda x, kernel: tf.nn.conv2d(x, kernel, 1, "SAME"))
    for size, before, after in CONVOLUTIONS:
        seconds = best(convolve, random(BATCH, size, size, before), random(3, 3, before, after))
        operations = 2 * BATCH * size**2 * 9 * before * after
        yield f"convolution 3x3, {before} to {after}, {size} px", round(operations / seconds / 1e9, 1), "GFLOP/s"
    big = random(64, 1024, 1024)
    seconds = best(tf.function(lambda x: 2.0 * x), big)
    yield "memory, read and written", round(2 * 4 * float(tf.size(big)) / seconds / 1e9, 1), "GB/s"


def best(call: Callable, *arguments: object, rounds: int = 20) -> float:
    """Seconds of the quickest call."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        call(*arguments)  # on a CPU it returns when it is done
        found.append(time.perf_counter() - start)
    return min(found)


def step_anatomy() -> Iterator[tuple[str, float, str]]:
    """The paper's full-size step: its rate, and each kind of operation's share of the processors' busy time."""
    import numpy as np
    import tensorflow as tf
    from cost import flops_per_step

    from srstudy.sets.tiles import Tiles
    from srstudy.train.step import Update

    recipe, models = paper_models(LR_SIDE, BATCH)
    update = Update(recipe, models, 1000, tf.distribute.get_strategy())
    lr, hr = random_batch(LR_SIDE, BATCH)
    operations = flops_per_step(recipe, Tiles(hr=hr, lr=lr))
    lr, hr = map(tf.constant, (lr, hr))

    def step() -> float:
        start = time.perf_counter()
        update((lr, hr), 1)
        update.sums.numpy()
        return time.perf_counter() - start

    seconds = float(np.median([step() for _ in range(3 + STEPS)][3:]))
    name = f"step at batch {BATCH}, {LR_SIDE} to {4 * LR_SIDE} px"
    yield name, round(seconds, 3), "s"
    yield name, round(operations / 1e9, 1), "GFLOP"
    yield name, round(operations / seconds / 1e9, 1), "GFLOP/s"
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(STEPS):
            step()
        tf.profiler.experimental.stop()
        [trace] = Path(folder).rglob("*.xplane.pb")
        busy = busy_time(trace)
    for kind, time_of_it in busy.most_common(LISTED):
        yield f"share of {kind}", round(100 * time_of_it / busy.total(), 1), "%"


def busy_time(trace: Path) -> Counter:
    """Picoseconds that the processors spent in each kind of operation, by TensorFlow's own trace."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    space, busy = xplane_pb2.XSpace(), Counter()
    space.ParseFromString(trace.read_bytes())
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                node, colon, kind = plane.event_metadata[event.metadata_id].name.rpartition(":")
                # An operation is "node:Conv2D", TensorFlow's own C++ "Executor::Run".
                if colon and kind.isidentifier() and not node.endswith(":"):
                    busy[kind] += event.duration_ps
    return busy


if __name__ == "__main__":
    sys.exit(main())
