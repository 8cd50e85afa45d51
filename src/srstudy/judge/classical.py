"""Enlargement without training: what a learned generator has to beat. LR uint8 [h, w, 3] -> SR uint8 [4h, 4w, 3]."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from PIL import Image
from scipy.sparse import csr_array
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means, denoise_wavelet

from srstudy.degrade.bicubic import SCALE, resize_matrix, to_uint8, upscale
from srstudy.photos.facts import noise

# Of the hourglass: halvings, channels of its noise, of its maps, and of those that skip the deeper levels.
LEVELS, CODE, CHANNELS, SKIPPED = 4, 8, 32, 4


def nearest(lr: np.ndarray) -> np.ndarray:
    """Each pixel 4 x 4 times."""
    return lr.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def lanczos(lr: np.ndarray) -> np.ndarray:
    """A sinc over three lobes of another (Duchon 1979, "Lanczos filtering in one and two dimensions"), by Pillow."""
    height, width, _ = lr.shape
    return np.asarray(Image.fromarray(lr).resize((SCALE * width, SCALE * height), Image.Resampling.LANCZOS))


def back_projection(lr: np.ndarray, steps: int = 20) -> np.ndarray:
    """Iterative back-projection (Irani and Peleg 1991, "Improving resolution by image registration", for one image):
    what LR has more than the study's own reduction of SR is enlarged and added, `steps` times, without rounding.
    """
    height, width, _ = lr.shape
    sr = _resized(lr.astype(float), SCALE * height, SCALE * width)
    for _ in range(steps):
        missing = lr - _resized(sr, height, width)
        sr = (sr + _resized(missing, SCALE * height, SCALE * width)).clip(0, 255)
    return to_uint8(sr)


def _resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """`degrade.bicubic` without its rounding: float [H, W, 3] -> float [height, width, 3]."""
    for length in (height, width):  # rows, then columns
        matrix: csr_array = resize_matrix(len(image), length)
        image = (matrix @ image.reshape(len(image), -1)).reshape(length, -1, 3).swapaxes(0, 1)
    return image


def non_local_means(lr: np.ndarray) -> np.ndarray:
    """LR freed of noise by the mean of pixels with like surroundings (Buades et al. 2005), then bicubic."""
    sigma = _sigma(lr)
    options = {"patch_size": 5, "patch_distance": 6, "h": 0.8 * sigma, "sigma": sigma}
    return upscale(to_uint8(255 * denoise_nl_means(lr / 255, channel_axis=-1, **options)))


def wavelets(lr: np.ndarray) -> np.ndarray:
    """LR freed of noise by shrinking its wavelets (BayesShrink, Chang et al. 2000), then bicubic."""
    options = {"channel_axis": -1, "convert2ycbcr": True}  # else red would move into green
    return upscale(to_uint8(255 * denoise_wavelet(lr / 255, sigma=_sigma(lr), **options).clip(0, 1)))


def _sigma(lr: np.ndarray) -> float:
    """Standard deviation of a channel's noise in [0, 1]; at least half a level, as it divides."""
    return max(np.mean([noise(channel) for channel in np.moveaxis(lr, 2, 0)]), 0.5) / 255


def clahe(lr: np.ndarray) -> np.ndarray:
    """Bicubic, then contrast-limited adaptive histogram equalisation of CIELAB's L (Zuiderveld 1994), which
    scikit-image also stretches to its whole range: made to look at, far from the original.
    """
    lab = rgb2lab(upscale(lr))
    lab[..., 0] = 100 * equalize_adapthist(lab[..., 0] / 100)
    return to_uint8(255 * lab2rgb(lab))


def deep_image_prior(lr: np.ndarray, steps: int = 300, seed: int = 0) -> np.ndarray:
    """Deep image prior (Ulyanov et al. 2018, arXiv:1711.10925): an untrained network makes SR of noise, and learns
    until SR, reduced, is LR. Here it is small; `steps` (the paper: 2000) and not seconds decide the end.
    """
    (height, width, _), side = lr.shape, 2**LEVELS
    random = np.random.default_rng(seed)
    shape = (1, -(-SCALE * height // side) * side, -(-SCALE * width // side) * side, CODE)
    code = tf.constant(random.uniform(0, 0.1, shape), tf.float32)
    network, optimizer = hourglass(seed), keras.optimizers.Adam(0.01)
    optimizer.build(network.trainable_variables)
    rows, columns = (tf.constant(resize_matrix(SCALE * n, n).toarray(), tf.float32) for n in (height, width))

    @tf.function(autograph=False)
    def step(jitter: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            sr = network(code + jitter, training=True)[0, : SCALE * height, : SCALE * width]
            reduced = tf.einsum("hH,HWc,wW->hwc", rows, sr, columns)
            loss = tf.reduce_mean(tf.square(reduced - tf.constant(lr / 255, tf.float32)))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return sr

    for number in range(steps):  # a little noise on the code keeps the network from LR's own
        sr = step(tf.random.stateless_normal(shape, (seed, number), stddev=0.03))
    return to_uint8(255 * sr.numpy())


def hourglass(seed: int) -> keras.Model:
    """Noise [1, H, W, 8] -> image [1, H, W, 3] in [0, 1], H and W multiples of 16: the paper's kind, but smaller."""
    seeds = iter(range(100 * seed, 100 * seed + 100))

    def conv(x, filters: int, size: int = 3, strides: int = 1):
        start = keras.initializers.HeUniform(next(seeds))
        x = layers.Conv2D(filters, size, strides, padding="same", kernel_initializer=start)(x)
        return layers.LeakyReLU(negative_slope=0.2)(layers.BatchNormalization()(x))

    code = x = keras.Input((None, None, CODE))
    skips = []
    for _ in range(LEVELS):
        skips.append(conv(x, SKIPPED, 1))
        x = conv(conv(x, CHANNELS, strides=2), CHANNELS)
    for skip in reversed(skips):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = conv(conv(layers.Concatenate()([x, skip]), CHANNELS), CHANNELS, 1)
    start = keras.initializers.GlorotUniform(next(seeds))
    return keras.Model(code, layers.Conv2D(3, 1, activation="sigmoid", kernel_initializer=start)(x))


METHODS = {
    "bicubic": upscale,
    "nearest": nearest,
    "lanczos": lanczos,
    "back-projection": back_projection,
    "non-local means": non_local_means,
    "wavelets": wavelets,
    "clahe": clahe,
    "deep image prior": deep_image_prior,
}
