"""Generators beside SRGAN's, from the papers that this study compares it with. Images as in `architectures`."""

import keras
import tensorflow as tf
from keras import layers

from srstudy.networks.architectures import BicubicEnlargement, PixelShuffle, conv

RESIDUAL_SCALE = 0.2  # of what an RRDB adds to its input (Wang et al. 2018, arXiv:1809.00219, 3.1)


def edsr_generator(filters: int = 64, blocks: int = 16) -> keras.Model:
    """EDSR-baseline (Lim et al. 2017, arXiv:1707.02921): residual blocks without norm, two pixel shuffles of x2.

    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3], about [-1, 1] (not clipped).
    """
    lr = keras.Input((None, None, 3), name="lr")
    first = x = conv(lr, filters)
    for _ in range(blocks):
        x = layers.Add()([x, conv(conv(x, filters, activation="relu"), filters)])
    x = layers.Add()([conv(x, filters), first])
    for _ in range(2):
        x = PixelShuffle(2)(conv(x, 4 * filters))
    return keras.Model(lr, conv(x, 3, name="sr", dtype="float32"), name="edsr_generator")


def rrdb_generator(filters: int = 64, blocks: int = 23, growth: int = 32) -> keras.Model:
    """ESRGAN's generator (Wang et al. 2018, arXiv:1809.00219, 3.1): residual in residual dense blocks without norm.

    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3], about [-1, 1] (not clipped).
    """
    lr = keras.Input((None, None, 3), name="lr")
    first = x = conv(lr, filters)
    for _ in range(blocks):
        y = x
        for _ in range(3):
            y = layers.Add()([y, layers.Rescaling(RESIDUAL_SCALE)(dense_block(y, filters, growth))])
        x = layers.Add()([x, layers.Rescaling(RESIDUAL_SCALE)(y)])
    x = layers.Add()([conv(x, filters), first])
    for _ in range(2):
        x = leaky(conv(layers.UpSampling2D(2, interpolation="nearest")(x), filters))
    x = leaky(conv(x, filters))
    return keras.Model(lr, conv(x, 3, name="sr", dtype="float32"), name="rrdb_generator")


def interpolated(first: keras.Model, second: keras.Model, share: float) -> keras.Model:
    """The network whose weights are `share` of the way from one's to another's (Wang et al. 2018, 3.4).

    Raises ValueError where their layers differ.
    """
    model = keras.models.clone_model(first)
    model.set_weights(
        [(1 - share) * a + share * b for a, b in zip(first.get_weights(), second.get_weights(), strict=True)]
    )
    return model


def dense_block(x, filters: int, growth: int):
    """Five convolutions, each of which sees what all before it gave; the last gives as many channels as came in."""
    maps = [x]
    for _ in range(4):
        maps.append(leaky(conv(layers.Concatenate()(maps) if len(maps) > 1 else x, growth)))
    return conv(layers.Concatenate()(maps), filters)


def leaky(x):
    """LeakyReLU with a slope of 0.2."""
    return layers.LeakyReLU(negative_slope=0.2)(x)


def autoencoder(filters: int = 64, code: int = 128) -> keras.Model:
    """The paper's convolutional autoencoder (IV-B), which restores the bicubic enlargement of LR.

    The encoder halves the image three times with `filters`, twice and four times as many, and leaves `code` numbers for
    each 8x8 pixels (a reading: a code of 128 for a whole image would fix the image's size); the decoder mirrors it.
    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3] in [-1, 1].
    """
    lr = keras.Input((None, None, 3), name="lr")
    image = BicubicEnlargement(4)(lr)
    x = PadTo(8)(image)
    for width in (filters, 2 * filters, 4 * filters):
        x = conv(x, width, strides=2, activation="relu")
    x = conv(x, code, activation="relu", name="code")
    for width in (4 * filters, 2 * filters, filters):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    x = conv(x, 3, activation="tanh", dtype="float32")
    return keras.Model(lr, CutTo(name="sr", dtype="float32")([x, image]), name="autoencoder")


@keras.saving.register_keras_serializable(package="srstudy")
class PadTo(layers.Layer):
    """Mirrors an image batch [B, H, W, C] at its right and lower edge, until its sides are multiples of `side`."""

    def __init__(self, side: int, **options):
        super().__init__(**options)
        self.side = side

    def get_config(self):
        return {**super().get_config(), "side": self.side}

    def call(self, x):
        down, right = tf.unstack(-tf.shape(x)[1:3] % self.side)
        return tf.pad(x, [[0, 0], [0, down], [0, right], [0, 0]], "SYMMETRIC")


@keras.saving.register_keras_serializable(package="srstudy")
class CutTo(layers.Layer):
    """The first of two image batches, cut to the size of the second."""

    def call(self, images):
        return images[0][:, : tf.shape(images[1])[1], : tf.shape(images[1])[2]]
