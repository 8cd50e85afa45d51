"""Using a trained generator: LR image in, SR image out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

# Else TensorFlow tells of "retracing" when there are many generators, with an address that no two runs share.
tf.get_logger().setLevel("ERROR")


def has_batch_norm(generator: keras.Model) -> bool:
    """Whether it matters which statistics the generator normalises with."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in generator.layers)


def enhancer(generator: keras.Model, statistics: Literal["image", "moving"]) -> Callable[[np.ndarray], np.ndarray]:
    """A function LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]. Super-resolution invents detail: SR is no evidence.

    `statistics` is what batch norm normalises with: "image", each image's own, as in training at batch 1; or
    "moving", the averages kept while training, Keras's default. A momentum of 0.5 makes those the last few images'.
    """
    own = statistics == "image" and has_batch_norm(generator)
    if own:
        weights = generator.get_weights()
        generator = keras.models.clone_model(generator)
        generator.set_weights(weights)
        for layer in generator.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 1.0  # the moving averages stay as they are

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
    def run(lr: tf.Tensor) -> tf.Tensor:
        sr = generator(tf.cast(lr, tf.float32) / 127.5 - 1.0, training=own)
        return tf.saturate_cast(tf.round((sr + 1.0) * 127.5), tf.uint8)

    return lambda lr: run(lr[None])[0].numpy()
