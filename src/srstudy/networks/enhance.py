"""Using a trained generator: LR image in, SR image out."""

from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from srstudy.degrade.bicubic import SCALE

# LR pixels of a strip, where maps are as large as SR and where they are as large as LR: of 64 channels, 64 MB each.
LARGE_MAPS, SMALL_MAPS = 2**14, 2**18


def has_batch_norm(generator: keras.Model) -> bool:
    """Whether it matters which statistics the generator normalises with."""
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in generator.layers)


class Enhancer:
    """A function LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]. Super-resolution invents detail: SR is no evidence.

    Large images go through it in strips, which overlap by what a pixel of SR depends on. Batch norm, whose statistics
    are the whole image's, comes before: maps of the size of LR are whole.
    """

    def __init__(self, generator: keras.Model, statistics: Literal["image", "moving"]):
        """`generator` is not changed; with new weights, it is these that are used.

        `statistics` is what batch norm normalises with: "image", each image's own, as in training at batch 1; or
        "moving", the averages kept while training, Keras's default. A momentum of 0.5 makes those the last few images'.
        """
        # A residual network's maps, which it adds to an enlargement at the end, are as large as LR.
        ends_in_sum = isinstance(generator.layers[-1], keras.layers.Add)
        self.generator, middle, self._at_once = generator, generator.input, SMALL_MAPS if ends_in_sum else LARGE_MAPS
        if has_batch_norm(generator):  # the last addition comes after all of it, and before the enlargement
            *_, last = (layer for layer in generator.layers if isinstance(layer, keras.layers.Add))
            middle, self._at_once = last.output, LARGE_MAPS
        whole, rest = keras.Model(generator.input, middle), keras.Model(middle, generator.output)
        sizes = (layer.kernel_size[0] for layer in rest.layers if hasattr(layer, "kernel_size"))
        self._overlap = -(-sum(size // 2 for size in sizes) // 8) * 8  # strips begin where halved maps have a pixel

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.uint8)], autograph=False)
        def maps_of(lr: tf.Tensor) -> tf.Tensor:
            state = whole.trainable_variables, whole.non_trainable_variables
            # Stateless: with its own statistics, batch norm would also move its averages.
            lr = tf.cast(lr, tf.float32) / 127.5 - 1.0
            return whole.stateless_call(*state, lr, training=statistics == "image")[0]

        @tf.function(input_signature=[tf.TensorSpec((1, None, None, middle.shape[-1]), tf.float32)], autograph=False)
        def enlarge(maps: tf.Tensor) -> tf.Tensor:
            return tf.saturate_cast(tf.round((rest(maps) + 1.0) * 127.5), tf.uint8)

        self._maps_of, self._enlarge = maps_of, enlarge

    def __call__(self, lr: np.ndarray) -> np.ndarray:
        maps, (height, width), strips = self._maps_of(lr[None]), lr.shape[:2], []
        rows = max(1, self._at_once // width // 8) * 8
        for top in range(0, height, rows):
            first = max(0, top - self._overlap)
            strip = self._enlarge(maps[:, first : top + rows + self._overlap])[0].numpy()
            strips.append(strip[SCALE * (top - first) :][: SCALE * min(rows, height - top)])
        return np.concatenate(strips)
