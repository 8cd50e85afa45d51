"""Using a trained generator: LR image in, SR image out."""

from __future__ import annotations

from typing import Literal

import keras
import numpy as np
import tensorflow as tf


def has_batch_norm(generator: keras.Model) -> bool:
    """Whether it matters which statistics the generator normalises with."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in generator.layers)


class Enhancer:
    """A function LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]. Super-resolution invents detail: SR is no evidence."""

    def __init__(self, generator: keras.Model, statistics: Literal["image", "moving"]):
        """Works on a copy of `generator`, whose weights can be set anew as `self.generator`'s.

        `statistics` is what batch norm normalises with: "image", each image's own, as in training at batch 1; or
        "moving", the averages kept while training, Keras's default. A momentum of 0.5 makes those the last few images'.
        """
        own = statistics == "image" and has_batch_norm(generator)
        self.generator = copied = keras.models.clone_model(generator)
        copied.set_weights(generator.get_weights())
        for layer in copied.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 1.0  # the moving averages stay as they are, also where `training` is set

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)])
        def run(lr: tf.Tensor) -> tf.Tensor:
            sr = copied(tf.cast(lr, tf.float32) / 127.5 - 1.0, training=own)
            return tf.saturate_cast(tf.round((sr + 1.0) * 127.5), tf.uint8)

        self._run = run

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        return self._run(lr[None])[0].numpy()
