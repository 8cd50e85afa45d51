"""A small fast generator after SPAN (Wan et al. 2024, arXiv:2311.12770): plain 3x3 convolutions once it is trained.

While it trains, each 3x3 kernel is put together of several: it learns better than one kernel (Ding et al. 2021,
arXiv:2103.13425), and costs the same, because the kernels are put together, not the maps. Images as in `architectures`.
"""

import keras
import tensorflow as tf
from keras import layers

from srstudy.networks.architectures import BicubicEnlargement, PixelShuffle, conv

GAIN = 2  # width of a kernel's inner part, of its own


def span_generator(filters: int = 32, blocks: int = 6) -> keras.Model:
    """Blocks whose maps weight themselves; one x4 pixel shuffle is added to the bicubic enlargement.

    LR batch [B, H, W, 3] in [-1, 1] -> SR batch [B, 4H, 4W, 3], about [-1, 1] (not clipped).
    """
    lr = keras.Input((None, None, 3), name="lr")
    first = x = ComposedConv(filters)(lr)
    kept = [first]
    for _ in range(blocks):
        x = span_block(x, filters)
        kept.append(x)
    last = ComposedConv(filters)(x)
    x = layers.Concatenate()([first, kept[1], kept[-2], last])
    detail = conv(conv(x, filters, 1), 3 * 4 * 4, kernel_initializer="zeros")
    sr = layers.Add(name="sr", dtype="float32")([BicubicEnlargement(4, dtype="float32")(lr), PixelShuffle(4)(detail)])
    return keras.Model(lr, sr, name="span_generator")


def span_block(x, filters: int):
    """Three convolutions; (maps + input) * (sigmoid(maps) - 1/2): what differs from nothing counts more (3.2)."""
    y = x
    for _ in range(2):
        y = layers.Activation("silu")(ComposedConv(filters)(y))
    y = ComposedConv(filters)(y)
    attention = layers.Rescaling(1.0, -0.5)(layers.Activation("sigmoid")(y))
    return layers.Multiply()([layers.Add()([y, x]), attention])


@keras.saving.register_keras_serializable(package="srstudy")
class ComposedConv(layers.Layer):
    """A 3x3 convolution of maps [B, H, W, C] whose kernel is 1x1 * 3x3 * 1x1, `GAIN` times as wide inside, plus 1x1."""

    kernel_size = (3, 3)

    def __init__(self, filters: int, **options):
        super().__init__(**options)
        self.filters = filters

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}

    def build(self, shape):
        channels, wide = shape[-1], GAIN * self.filters
        shapes = {"before": (channels, wide), "middle": (3, 3, wide, wide), "after": (wide, self.filters)}
        for name, own in {**shapes, "beside": (channels, self.filters)}.items():  # put together in float32
            setattr(self, name, self.add_weight(name=name, shape=own, autocast=False))
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def composed(self) -> tf.Tensor:
        """The one kernel that it amounts to: [3, 3, C, filters]."""
        kernel = tf.einsum("ia,xyab,bo->xyio", self.before, self.middle, self.after)
        return kernel + tf.pad(self.beside[None, None], ((1, 1), (1, 1), (0, 0), (0, 0)))

    def call(self, x):
        return tf.nn.conv2d(x, tf.cast(self.composed(), x.dtype), 1, "SAME") + tf.cast(self.bias, x.dtype)


def fused(model: keras.Model) -> keras.Model:
    """The same network with a plain convolution in place of each ComposedConv; the model itself where it has none."""
    if not any(isinstance(layer, ComposedConv) for layer in model.layers):
        return model

    def plain(layer):
        if isinstance(layer, ComposedConv):
            return layers.Conv2D(layer.filters, 3, padding="same", name=layer.name, dtype=layer.dtype_policy)
        return layer.__class__.from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=plain)
    for old, new in zip(model.layers, copy.layers):
        weights = [old.composed().numpy(), old.bias.numpy()] if isinstance(old, ComposedConv) else old.get_weights()
        new.set_weights(weights)
    return copy
