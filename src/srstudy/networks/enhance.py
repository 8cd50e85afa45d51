"""Using a trained generator: LR image in, SR image out."""

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
        """`generator` is not changed; with new weights, it is these that are used.

        `statistics` is what batch norm normalises with: "image", each image's own, as in training at batch 1; or
        "moving", the averages kept while training, Keras's default. A momentum of 0.5 makes those the last few images'.
        """
        self.generator, own = generator, statistics == "image" and has_batch_norm(generator)

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)], autograph=False)
        def run(lr: tf.Tensor) -> tf.Tensor:
            state = generator.trainable_variables, generator.non_trainable_variables
            # Stateless: with its own statistics, batch norm would also move its averages.
            sr, _ = generator.stateless_call(*state, tf.cast(lr, tf.float32) / 127.5 - 1.0, training=own)
            return tf.saturate_cast(tf.round((sr + 1.0) * 127.5), tf.uint8)

        self._run = run

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        return self._run(lr[None])[0].numpy()
