"""One side of a comparison, timed in a process of its own: `python benchmarks/sides.py ours-step 32 8` prints JSON.

Every side does the same work on the same sizes, warms up first, and reports seconds per call and peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable


def timed(call: Callable[[], object], rounds: int) -> dict[str, object]:
    """Seconds of each of `rounds` calls after two to warm up."""
    call(), call()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def paper_recipe(batch: int):
    """The paper's full-size recipe, its VGG19 untrained: weights make no difference to speed."""
    from dataclasses import replace

    from srstudy.config import load_study

    return replace(load_study("paper").recipes["srgan"], batch_size=batch)


def players_of(recipe, lr_side: int):
    from dataclasses import replace

    from srstudy import losses, players
    from srstudy.perceptual import feature_network

    without = replace(recipe, loss_weights=replace(recipe.loss_weights, content=0.0))
    network = feature_network("vgg19", ("block3_conv4",), None)
    made = players.make_players(without, 4 * lr_side, 1000, None)
    return replace(made, content_loss=losses.content_loss(network, recipe.content.feature_scale))


def random_batch(lr_side: int, batch: int):
    import numpy as np

    random = np.random.default_rng(0)
    return (random.integers(0, 256, (batch, side, side, 3), "uint8") for side in (lr_side, 4 * lr_side))


def ours_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The study's step on a batch in memory."""
    from srstudy import runtime

    runtime.start(1)
    import tensorflow as tf

    from srstudy.step import Update

    recipe = paper_recipe(batch)
    update = Update(recipe, players_of(recipe, lr_side), 1000, tf.distribute.get_strategy())
    lr, hr = map(tf.constant, random_batch(lr_side, batch))
    return timed(lambda: (update(lr, hr, 1), update.sums.numpy()), rounds)


def torch_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """The same networks, losses and updates in PyTorch."""
    import torch
    from in_torch import Step

    step = Step(lr_side)
    lr, hr = (
        torch.from_numpy(images / 127.5 - 1.0).float().permute(0, 3, 1, 2) for images in random_batch(lr_side, batch)
    )
    lr, hr = (images.to(memory_format=torch.channels_last) for images in (lr, hr))
    return timed(lambda: step(lr, hr), rounds)


def tutorial_step(lr_side: int, batch: int, rounds: int) -> dict[str, object]:
    """What tutorials do in Keras: `predict`, `train_on_batch` of the discriminator twice, then of both together."""
    import keras
    import numpy as np

    from srstudy import networks
    from srstudy.perceptual import feature_network

    generator, discriminator = networks.srgan_generator(), networks.discriminator(4 * lr_side)
    vgg = feature_network("vgg19", ("block3_conv4",), None)
    judge = keras.Sequential([discriminator, keras.layers.Activation("sigmoid")])
    judge.compile(keras.optimizers.Adam(2e-4), "binary_crossentropy")
    lr_input, frozen = (
        keras.Input((lr_side, lr_side, 3)),
        keras.Sequential([discriminator, keras.layers.Activation("sigmoid")]),
    )
    sr = generator(lr_input)
    discriminator.trainable = False
    combined = keras.Model(lr_input, [frozen(sr), vgg(sr)])
    combined.compile(keras.optimizers.Adam(2e-4), ["binary_crossentropy", "mse"], loss_weights=[1e-3, 1.0])
    lr, hr = (images / np.float32(127.5) - np.float32(1.0) for images in random_batch(lr_side, batch))
    real, fake = np.ones((batch, 1)), np.zeros((batch, 1))

    def step():
        sr = generator.predict(lr, verbose=0)
        discriminator.trainable = True
        judge.train_on_batch(hr, real)
        judge.train_on_batch(sr, fake)
        discriminator.trainable = False
        combined.train_on_batch(lr, [real, vgg.predict(hr, verbose=0)])

    return timed(step, rounds)


SIDES = {name.replace("_", "-"): call for name, call in list(globals().items()) if name.endswith("_step")}

if __name__ == "__main__":
    side, lr_side, batch, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    print(json.dumps(SIDES[side](lr_side, batch, rounds)))
