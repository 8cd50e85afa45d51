"""One side of a comparison, timed in a process of its own: `python benchmarks/sides.py ours-step 32 8 10` prints JSON.

Every side of a comparison does the same work on the same sizes, warms up first, and reports seconds per call and the
peak memory of its process. Weights are random: they make no difference to speed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import step_sides
from timing import random_batch, scaled, timed

# Inference of the paper's generator -----


def torch_generator():
    """The paper's generator in PyTorch, ready for use."""
    import torch
    from in_torch import Generator

    torch.manual_seed(0)
    return Generator().eval().to(memory_format=torch.channels_last)


def ours_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """What every evaluation of the study calls, uint8 to uint8."""
    from srstudy import runtime

    runtime.start(1)
    return _keras_inference(lr_side, batch, rounds)


def without_onednn_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same without oneDNN, as TensorFlow comes on processors without AVX-512."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()  # as on our side
    return _keras_inference(lr_side, batch, rounds)


def plain_conv_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same with Keras's own convolution as the last layer."""
    from srstudy import runtime

    runtime.start(1)
    import keras

    from srstudy.networks import architectures

    architectures.OutputConv = keras.layers.Conv2D
    return _keras_inference(lr_side, batch, rounds)


def _keras_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    from srstudy.networks.architectures import srgan_generator
    from srstudy.networks.enhance import Enhancer

    enhance = Enhancer(srgan_generator(), "moving")
    lr, _ = random_batch(lr_side, batch)
    return timed(lambda: [enhance(image) for image in lr], rounds)


def torch_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """PyTorch, eager, channels last."""
    import torch

    generator = torch_generator()
    lr = torch.from_numpy(scaled(random_batch(lr_side, batch)[0])).permute(0, 3, 1, 2)
    lr = lr.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return timed(lambda: generator(lr), rounds)


def onnx_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """ONNX Runtime on the exported PyTorch network."""
    import tempfile

    import onnxruntime
    import torch

    lr = scaled(random_batch(lr_side, batch)[0]).transpose(0, 3, 1, 2).copy()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "generator.onnx")
        torch.onnx.export(torch_generator(), (torch.from_numpy(lr),), path, verbose=False, input_names=["lr"])
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return timed(lambda: session.run(None, {"lr": lr}), rounds)


def openvino_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """OpenVINO on the PyTorch network, set for latency."""
    import openvino
    import torch

    lr = scaled(random_batch(lr_side, batch)[0]).transpose(0, 3, 1, 2).copy()
    model = openvino.convert_model(torch_generator(), example_input=torch.from_numpy(lr), input=list(lr.shape))
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(model, "CPU", hints)
    return timed(lambda: compiled(lr), rounds)


# Data -----


def quick_run(lr_side: int, batch: int):
    """`recommended-psnr` at another size, and all training tiles of the committed photographs at LR 64."""
    from dataclasses import replace

    from srstudy.sets.tiles import training_tiles
    from srstudy.study import load_study

    study = load_study("sample")
    run = study.run("recommended-psnr")
    recipe = run.recipe.model_copy(update={"crop": lr_side, "batch_size": batch, "flips": True})
    return replace(run, recipe=recipe, steps=10**6, seed=1), training_tiles(study, run)


def ours_input(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The input pipeline by itself: random crops with flips."""
    from srstudy import runtime

    runtime.start(1)
    from srstudy.train.batches import batches

    run, tiles = quick_run(lr_side, batch)
    stream = iter(batches(tiles, run))
    return timed(lambda: next(stream)[1].numpy(), rounds)


def ours_fed_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The study's fastest step (`recommended-psnr`), fed by the real input pipeline."""
    return _quick_step(lr_side, batch, rounds, fed=True)


def memory_fed_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same step on one batch held in memory."""
    return _quick_step(lr_side, batch, rounds, fed=False)


def _quick_step(lr_side: int, batch: int, rounds: int, fed: bool) -> dict[str, object]:
    from itertools import repeat

    from srstudy import runtime

    runtime.start(1)
    import tensorflow as tf

    from srstudy.train.batches import batches
    from srstudy.train.model import make_models
    from srstudy.train.step import Update

    run, tiles = quick_run(lr_side, batch)
    models = make_models(run.recipe, 4 * lr_side, 1000)
    update = Update(run.recipe, models, 1000, tf.distribute.get_strategy())
    stream = iter(batches(tiles, run))
    stream = stream if fed else repeat(next(stream))
    return timed(lambda: (update(next(stream), 1), update.sums.numpy()), rounds)


def ours_prepare(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The prepare stage's work for `batch` augmented tiles: photographs read, cut, turned and reduced to LR."""
    import pandas as pd

    from srstudy.photos.scan import scan_source
    from srstudy.sets.cut import cut_set
    from srstudy.settings import TileSet
    from srstudy.study import load_study

    study = load_study("sample")
    with tempfile.TemporaryDirectory() as folder:
        facts, photos = Path(folder) / "sample.parquet", Path("data", "sample", "photos")
        scan_source("sample", photos, "*.jpg", study.data.scan, facts, study.root)
        rows = pd.read_parquet(facts)
    tiles = TileSet(selection="curated", images="paper-5k", lr_size=lr_side, augment=True)
    return timed(lambda: list(cut_set(study, rows, tiles, batch)), rounds)


SIDES = {
    name.replace("_", "-"): call
    for name, call in {**vars(step_sides), **globals()}.items()
    if name.endswith(("_step", "_inference", "_input", "_prepare")) and not name.startswith("_")
}

if __name__ == "__main__":
    side, lr_side, batch, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    print(json.dumps(SIDES[side](lr_side, batch, rounds)))
