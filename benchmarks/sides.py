"""One side of a comparison, timed in a process of its own: `python benchmarks/sides.py ours-step 32 8 10` prints JSON.

Every side of a comparison does the same work on the same sizes, warms up first, and reports seconds per call and the
peak memory of its process. Weights are random: they make no difference to speed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

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
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def random_batch(lr_side: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """LR and HR, uint8 NHWC."""
    random = np.random.default_rng(0)
    lr, hr = (random.integers(0, 256, (batch, side, side, 3), "uint8") for side in (lr_side, 4 * lr_side))
    return lr, hr


def scaled(images: np.ndarray) -> np.ndarray:
    """In [-1, 1]."""
    return images / np.float32(127.5) - np.float32(1.0)


# Training steps -----


def paper_players(lr_side: int, batch: int):
    """The paper's full-size recipe and its players, with an untrained VGG19."""
    from dataclasses import replace

    from srstudy import losses, players
    from srstudy.config import load_study
    from srstudy.perceptual import feature_network

    recipe = replace(load_study("paper").recipes["srgan"], batch_size=batch)
    without = replace(recipe, loss_weights=replace(recipe.loss_weights, content=0.0))
    vgg = feature_network(recipe.content.network, (recipe.content.layer,), None)
    made = players.make_players(without, 4 * lr_side, 1000, None)
    return recipe, replace(made, content_loss=losses.content_loss(vgg, recipe.content.feature_scale))


def ours_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The study's step on a batch in memory."""
    from srstudy import runtime

    runtime.start(1)
    import tensorflow as tf

    from srstudy.step import Update

    recipe, players = paper_players(lr_side, batch)
    update = Update(recipe, players, 1000, tf.distribute.get_strategy())
    lr, hr = map(tf.constant, random_batch(lr_side, batch))
    return timed(lambda: (update(lr, hr, 1), update.sums.numpy()), rounds)


def torch_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same networks, losses and updates in PyTorch."""
    import torch
    from in_torch import Step

    step = Step(lr_side)
    lr, hr = (
        torch.from_numpy(scaled(images)).permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
        for images in random_batch(lr_side, batch)
    )
    return timed(lambda: step(lr, hr), rounds)


def tutorial_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """What tutorials do in Keras: `predict`, `train_on_batch` of the discriminator twice, then of both together."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"  # the faster setting here, as on our side
    return tutorial_default_step(lr_side, batch, rounds)


def tutorial_default_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same with TensorFlow as it comes: on processors without AVX-512, without oneDNN."""
    import keras

    from srstudy import networks
    from srstudy.perceptual import feature_network

    networks.OutputConv = keras.layers.Conv2D  # Keras's own layers alone
    generator, discriminator = networks.srgan_generator(), networks.discriminator(4 * lr_side)
    vgg = feature_network("vgg19", ("block3_conv4",), None)
    judge = keras.Sequential([discriminator, keras.layers.Activation("sigmoid")])
    judge.compile(keras.optimizers.Adam(2e-4), "binary_crossentropy")
    lr_input = keras.Input((lr_side, lr_side, 3))
    frozen = keras.Sequential([discriminator, keras.layers.Activation("sigmoid")])
    sr = generator(lr_input)
    discriminator.trainable = False
    combined = keras.Model(lr_input, [frozen(sr), vgg(sr)])
    combined.compile(keras.optimizers.Adam(2e-4), ["binary_crossentropy", "mse"], loss_weights=[1e-3, 1.0])
    lr, hr = map(scaled, random_batch(lr_side, batch))
    real, fake = np.ones((batch, 1)), np.zeros((batch, 1))

    def step():
        sr = generator.predict(lr, verbose=0)
        discriminator.trainable = True
        judge.train_on_batch(hr, real)
        judge.train_on_batch(sr, fake)
        discriminator.trainable = False
        combined.train_on_batch(lr, [real, vgg.predict(hr, verbose=0)])

    return timed(step, rounds)


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

    from srstudy import networks

    networks.OutputConv = keras.layers.Conv2D
    return _keras_inference(lr_side, batch, rounds)


def _keras_inference(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    from srstudy.enhance import Enhancer
    from srstudy.networks import srgan_generator

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


def study_tiles():
    """All training tiles of the committed photographs at LR 64."""
    from srstudy.config import load_study
    from srstudy.tiles import training_tiles

    return training_tiles(load_study("sample"), "recommended-psnr")


def ours_input(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The input pipeline by itself: random crops with flips."""
    from srstudy import runtime

    runtime.start(1)
    from srstudy.dataset import batches

    stream = iter(batches(study_tiles(), 1, batch, start=0, stop=10**6, crop=lr_side, flips=True))
    return timed(lambda: next(stream)[1].numpy(), rounds)


def ours_fed_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The study's fastest step (`recommended-psnr`), fed by the real input pipeline."""
    return _quick_step(lr_side, batch, rounds, fed=True)


def memory_fed_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same step on one batch held in memory."""
    return _quick_step(lr_side, batch, rounds, fed=False)


def _quick_step(lr_side: int, batch: int, rounds: int, fed: bool) -> dict[str, object]:
    from dataclasses import replace
    from itertools import repeat

    from srstudy import runtime
    from srstudy.config import load_study

    runtime.start(1)
    import tensorflow as tf

    from srstudy.dataset import batches
    from srstudy.players import make_players
    from srstudy.step import Update

    recipe = replace(load_study("sample").released["recommended-psnr"], crop=lr_side, batch_size=batch)
    update = Update(recipe, make_players(recipe, 4 * lr_side, 1000, None), 1000, tf.distribute.get_strategy())
    stream = iter(batches(study_tiles(), 1, batch, start=0, stop=10**6, crop=lr_side, flips=True))
    stream = stream if fed else repeat(next(stream))
    return timed(lambda: (update(*next(stream), 1), update.sums.numpy()), rounds)


def ours_prepare(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The prepare stage's work for `batch` augmented tiles: photographs read, cut, turned and reduced to LR."""
    from srstudy.config import load_study
    from srstudy.manifest import scan, usable
    from srstudy.prepare import cut_set
    from srstudy.settings import TileSet
    from srstudy.sources import sample_photos

    study = load_study("sample")
    rows = usable(scan(sample_photos(study.root), study.root, lr_side), "train")
    tiles = TileSet("curated", "5k", lr_side, augment=True)
    return timed(lambda: list(cut_set(rows, tiles, batch, study.data, study.seed, study.root, lr_side)), rounds)


SIDES = {
    name.replace("_", "-"): call
    for name, call in list(globals().items())
    if name.endswith(("_step", "_inference", "_input", "_prepare")) and not name.startswith("_")
}

if __name__ == "__main__":
    side, lr_side, batch, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    print(json.dumps(SIDES[side](lr_side, batch, rounds)))
