"""Generators and discriminator, named as the papers name them. Images are RGB in [-1, 1].

What leaves a network is float32 whatever it computes in, so that losses are.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from srstudy.errors import StudyError
from srstudy.files import replacing


def srgan_generator(
    filters: int = 64, blocks: int = 16, momentum: float = 0.5, upscaling: str = "pixel_shuffle"
) -> keras.Model:
    """SRGAN generator (paper III-A). LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3] in [-1, 1]."""
    lr = keras.Input((None, None, 3), name="lr")
    first = x = prelu(conv(lr, filters, 9))
    for _ in range(blocks):
        x = srgan_block(x, filters, momentum)
    x = batch_norm(momentum)(conv(x, filters))
    x = layers.Add()([x, first])
    for _ in range(2):
        x = upscaling_block(x, filters, upscaling)
    sr = OutputConv(3, 9, padding="same", activation="tanh", name="sr", dtype="float32")(x)
    return keras.Model(lr, sr, name="srgan_generator")


def srgan_block(x, filters: int, momentum: float):
    """Residual block: conv, BN, PReLU, conv, BN, add (paper III-A)."""
    y = batch_norm(momentum)(conv(x, filters))
    y = conv(prelu(y), filters)
    y = batch_norm(momentum)(y)
    return layers.Add()([x, y])


def upscaling_block(x, filters: int, upscaling: str):
    """Conv, enlarge x2, PReLU (paper III-A); the paper leaves the enlargement open."""
    x = conv(x, 4 * filters)
    if upscaling == "pixel_shuffle":
        return prelu(PixelShuffle(2)(x))
    if upscaling == "nearest":
        return prelu(layers.UpSampling2D(2, interpolation="nearest")(x))
    raise StudyError(f"upscaling: '{upscaling}' is unknown; choose pixel_shuffle or nearest.")


def residual_generator(filters: int = 64, blocks: int = 16) -> keras.Model:
    """The recommended generator: residual blocks without BN, added to the bicubic enlargement.

    After EDSR (Lim et al. 2017, arXiv:1707.02921): no normalisation, one x4 pixel shuffle at the end.
    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3], about [-1, 1] (not clipped).
    """
    lr = keras.Input((None, None, 3), name="lr")
    first = x = conv(lr, filters)
    for _ in range(blocks):
        y = conv(conv(x, filters, activation="relu"), filters)
        x = layers.Add()([x, y])
    x = layers.Add()([conv(x, filters), first])
    # Starting from zero, the untrained network is exactly the bicubic enlargement.
    detail = PixelShuffle(4)(conv(x, 3 * 4 * 4, kernel_initializer="zeros"))
    sr = layers.Add(name="sr", dtype="float32")([BicubicEnlargement(4, dtype="float32")(lr), detail])
    return keras.Model(lr, sr, name="residual_generator")


def discriminator(hr_size: int, filters: int = 64, dense: int = 1024, momentum: float = 0.5) -> keras.Model:
    """SRGAN discriminator (paper III-B). HR or SR batch [B, S, S, 3] in [-1, 1] -> logits [B, 1].

    Eight blocks, 64-64-128-128-256-256-512-512 filters at full width, strides 1 and 2 in turn. The
    paper's sigmoid is applied inside the loss, where it can't overflow: sigmoid(logit) is 1 for real.
    """
    image = x = keras.Input((hr_size, hr_size, 3), name="image")
    for block in range(8):
        width = filters * 2 ** (block // 2)
        x = discriminator_block(x, width, strides=1 + block % 2, momentum=momentum if block else None)
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(dense)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(1, name="logit", dtype="float32")(x), name="discriminator")


def discriminator_block(x, filters: int, strides: int, momentum: float | None):
    """Conv, BN (none in the first block: momentum None), LeakyReLU 0.2 (paper III-B)."""
    x = conv(x, filters, strides=strides)
    if momentum is not None:
        x = batch_norm(momentum)(x)
    return layers.LeakyReLU(negative_slope=0.2)(x)


def conv(x, filters: int, size: int = 3, **options):
    """Convolution that keeps the image size (divided by `strides`)."""
    return layers.Conv2D(filters, size, padding="same", **options)(x)


def batch_norm(momentum: float):
    """Batch norm over the whole batch, also when several devices share it."""
    return layers.BatchNormalization(momentum=momentum, synchronized=True)


def prelu(x):
    """PReLU with one learned slope per channel."""
    return layers.PReLU(shared_axes=[1, 2])(x)


@keras.saving.register_keras_serializable(package="srstudy")
class OutputConv(layers.Conv2D):
    """Keras's convolution with `padding="same"`, many times faster on CPUs where it has few filters.

    A 9x9 convolution to 3 channels keeps a processor's vector units nearly empty. Here one 9x1 convolution makes the
    9*3 sums down the columns, and 9 shifted copies of them are added along the rows: the same products.
    """

    def call(self, x):
        size, _, channels, filters = self.kernel.shape
        columns = tf.reshape(tf.transpose(self.kernel, (0, 2, 1, 3)), (size, 1, channels, size * filters))
        sums = tf.nn.conv2d(x, columns, strides=1, padding="SAME")
        sums = tf.pad(sums, [[0, 0], [0, 0], [size // 2, size // 2], [0, 0]])
        width = tf.shape(x)[2]
        shifted = [sums[:, :, at : at + width, at * filters : (at + 1) * filters] for at in range(size)]
        return self.activation(tf.add_n(shifted) + self.bias)


class _Enlargement(layers.Layer):
    """A layer without weights that enlarges both sides of an image batch [B, H, W, C] by `scale`."""

    def __init__(self, scale: int, **options):
        super().__init__(**options)
        self.scale = scale

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="srstudy")
class PixelShuffle(_Enlargement):
    """Sub-pixel convolution's shuffle (Shi et al. 2016, arXiv:1609.05158): [B, H, W, C*s*s] -> [B, H*s, W*s, C]."""

    def call(self, x):
        return tf.nn.depth_to_space(x, self.scale)

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        return (batch, *_times(self.scale, height, width), channels // self.scale**2)


@keras.saving.register_keras_serializable(package="srstudy")
class BicubicEnlargement(_Enlargement):
    """Bicubic interpolation: [B, H, W, C] -> [B, H*s, W*s, C]. Keras's own layer can't take images of unknown size."""

    def call(self, x):
        return tf.image.resize(x, self.scale * tf.shape(x)[1:3], method="bicubic")

    def compute_output_shape(self, shape):
        batch, height, width, channels = shape
        return (batch, *_times(self.scale, height, width), channels)


def _times(scale: int, *sides: int | None) -> list[int | None]:
    return [None if side is None else side * scale for side in sides]


def save_model(model: keras.Model, path: str | Path) -> None:
    """Save as `.keras`, whole or not at all; equal weights give equal bytes (no date, no memory address inside)."""
    buffer = io.BytesIO()
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as saved, zipfile.ZipFile(buffer, "w") as fixed:
            for entry in sorted(saved.namelist()):
                content = saved.read(entry)
                if entry == "metadata.json":
                    content = json.dumps({**json.loads(content), "date_saved": ""}).encode()
                if entry == "config.json":
                    content = _renumber(content.decode()).encode()
                fixed.writestr(zipfile.ZipInfo(entry), content)  # ZipInfo's date is a constant
        temporary.write_bytes(buffer.getvalue())


def _renumber(config: str) -> str:
    """Count shared objects instead of naming them by their address in memory, as Keras does."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'(?<="shared_object_id": )\d+', lambda found: str(numbers.setdefault(found[0], len(numbers) + 1)), config
    )


def load_model(path: str | Path) -> keras.Model:
    """Load a saved generator with Keras's safe mode on. Raises StudyError if it is missing or damaged."""
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: no such model; train it first.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise StudyError(f"{path}: not a readable Keras model; delete it and train again.") from error
