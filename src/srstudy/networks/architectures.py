"""Generators and discriminator, named as the papers name them. Images are RGB in [-1, 1], float32 as they leave."""

import json
import re
import zipfile
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from srstudy import StudyError
from srstudy.files import replacing


def srgan_generator(
    filters: int = 64, blocks: int = 16, momentum: float | None = 0.5, upscaling: str = "pixel_shuffle"
) -> keras.Model:
    """SRGAN generator (paper III-A); without batch norm where `momentum` is None.

    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3] in [-1, 1].
    """
    lr = keras.Input((None, None, 3), name="lr")
    first = x = prelu(conv(lr, filters, 9))
    for _ in range(blocks):
        x = srgan_block(x, filters, momentum)
    x = batch_norm(conv(x, filters), momentum)
    x = layers.Add()([x, first])
    for _ in range(2):
        x = upscaling_block(x, filters, upscaling)
    sr = OutputConv(3, 9, padding="same", activation="tanh", name="sr", dtype="float32")(x)
    return keras.Model(lr, sr, name="srgan_generator")


def srgan_block(x, filters: int, momentum: float | None):
    """Residual block: conv, BN, PReLU, conv, BN, add (paper III-A)."""
    y = batch_norm(conv(x, filters), momentum)
    y = batch_norm(conv(prelu(y), filters), momentum)
    return layers.Add()([x, y])


def upscaling_block(x, filters: int, upscaling: str):
    """Conv, enlarge x2, PReLU (paper III-A); the paper leaves the enlargement open."""
    enlarge = PixelShuffle(2) if upscaling == "pixel_shuffle" else layers.UpSampling2D(2, interpolation="nearest")
    return prelu(enlarge(conv(x, 4 * filters)))


def residual_generator(filters: int = 64, blocks: int = 16) -> keras.Model:
    """The recommended generator, after EDSR (Lim et al. 2017, arXiv:1707.02921): residual blocks without BN, and one x4
    pixel shuffle, whose detail is added to the bicubic enlargement.

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


def discriminator(hr_size: int, filters: int = 64, dense: int = 1024, momentum: float | None = 0.5) -> keras.Model:
    """SRGAN discriminator (paper III-B). HR or SR batch [B, S, S, 3] in [-1, 1] -> logits [B, 1].

    Eight blocks, 64-64-128-128-256-256-512-512 filters at full width, strides 1 and 2 in turn. The paper's sigmoid
    is applied inside the loss, where it can't overflow: sigmoid(logit) is 1 for real.
    """
    image = x = keras.Input((hr_size, hr_size, 3), name="image")
    for block in range(8):
        width = filters * 2 ** (block // 2)
        x = discriminator_block(x, width, strides=1 + block % 2, momentum=momentum if block else None)
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(dense)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(1, name="logit", dtype="float32")(x), name="discriminator")


def discriminator_block(x, filters: int, strides: int, momentum: float | None):
    """Conv, BN (none in the first block: momentum None), LeakyReLU 0.2 (paper III-B)."""
    x = batch_norm(conv(x, filters, strides=strides), momentum)
    return layers.LeakyReLU(negative_slope=0.2)(x)


def conv(x, filters: int, size: int = 3, **options):
    """Convolution that keeps the image size (divided by `strides`)."""
    return layers.Conv2D(filters, size, padding="same", **options)(x)


def batch_norm(x, momentum: float | None):
    """Batch norm of [B, H, W, C] over the batch, also when several devices share it; none if `momentum` is None."""
    return x if momentum is None else BatchNorm(momentum=momentum, synchronized=True)(x)


def prelu(x):
    """PReLU with one learned slope per channel."""
    return layers.PReLU(shared_axes=[1, 2])(x)


@keras.saving.register_keras_serializable(package="srstudy")
class BatchNorm(layers.BatchNormalization):
    """Keras's batch norm by TensorFlow's one kernel instead of ten operations, where one device has the whole batch."""

    def call(self, x, training=None, mask=None):
        context = tf.distribute.get_replica_context()
        if not (training and self.trainable) or context is None or context.num_replicas_in_sync > 1:
            return super().call(x, training=training, mask=mask)
        scaled, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, self.gamma, self.beta, epsilon=self.epsilon)
        count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)  # the kernel divides by one less
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return scaled


@keras.saving.register_keras_serializable(package="srstudy")
class OutputConv(layers.Conv2D):
    """Keras's convolution with `padding="same"`, faster on CPUs where it has few filters: 2x2 places of the output are
    computed at once, as four times as many channels of every second place, by a kernel one larger.
    """

    def call(self, x):
        size = self.kernel.shape[0]
        shifts = [[[down, 1 - down], [right, 1 - right], [0, 0], [0, 0]] for down in (0, 1) for right in (0, 1)]
        kernels = tf.concat([tf.pad(self.kernel, shift) for shift in shifts], axis=-1)
        height, width = tf.unstack(tf.shape(x)[1:3])
        around = [[0, 0], [size // 2, size // 2 + height % 2], [size // 2, size // 2 + width % 2], [0, 0]]
        four = tf.nn.conv2d(tf.pad(x, around), kernels, strides=2, padding="VALID")
        return self.activation(tf.nn.depth_to_space(four, 2)[:, :height, :width] + self.bias)


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


@keras.saving.register_keras_serializable(package="srstudy")
class BicubicEnlargement(_Enlargement):
    """Bicubic interpolation: [B, H, W, C] -> [B, H*s, W*s, C]. Keras's own layer can't take images of unknown size."""

    def call(self, x):
        return tf.image.resize(x, self.scale * tf.shape(x)[1:3], method="bicubic")


def save_model(model: keras.Model, path: str | Path) -> None:
    """Save as `.keras`, whole or not at all; equal weights give equal bytes (no date, no memory address inside)."""
    with replacing(path) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as saved:
            entries = {name: saved.read(name) for name in sorted(saved.namelist())}
        entries["metadata.json"] = json.dumps({**json.loads(entries["metadata.json"]), "date_saved": ""}).encode()
        # Keras names shared objects by their address in memory; here they are counted.
        numbers: dict[bytes, bytes] = {}
        entries["config.json"] = re.sub(
            rb'(?<="shared_object_id": )\d+',
            lambda found: numbers.setdefault(found[0], str(len(numbers) + 1).encode()),
            entries["config.json"],
        )
        with zipfile.ZipFile(temporary, "w") as fixed:
            for name, content in entries.items():
                fixed.writestr(zipfile.ZipInfo(name), content)  # ZipInfo's date is a constant


def load_model(path: str | Path) -> keras.Model:
    """Load a saved generator with Keras's safe mode on. Raises StudyError if it is missing or damaged."""
    from srstudy.networks import baselines  # noqa: F401  Keras knows their layers from now on

    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: no such model; train it first.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise StudyError(f"{path}: not a readable Keras model; delete it and train again.") from error
