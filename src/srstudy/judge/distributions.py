"""FID and KID: how far SR images are from photographs as a whole, by the feature vectors that a network makes of them.

Vectors pass through `Moments`, so memory does not grow with the number of images. A figure depends on the network, on
what counts as a sample and on the number of samples: each belongs to its name.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from skimage.util import view_as_windows

from srstudy import StudyError
from srstudy.judge.learned import loading
from srstudy.networks.perceptual import feature_network, features

LEAST = 2048  # samples for FID, as many as Inception has features: with fewer, the covariance is singular
KEPT = 4096  # vectors that KID draws from
SUBSETS, SUBSET = 100, 1000  # as in the field, where there are samples enough
BATCH = 8  # samples that go through a network at once: their maps stay near the processor
AT_ONCE = 32  # batches whose vectors are taken in together: each time, all of the covariance goes through memory
SMALLEST = 16  # px a side of a sample, of which VGG's deepest maps have one pixel
Vectors = Callable[[np.ndarray], np.ndarray]  # images uint8 [N, H, W, 3] -> feature vectors float [N, C]


class Moments:
    """Mean and covariance in float64 of feature vectors that come in batches, and a fair sample of at most KEPT."""

    def __init__(self, seed: int = 0):
        self.count, self.mean, self._scatter = 0, 0.0, 0.0
        self._kept, self._random = np.empty((0, 0), np.float32), np.random.default_rng(seed)

    def add(self, vectors: np.ndarray) -> None:
        """Take in vectors [N, C] (Chan et al. 1983: means and scatters of two parts give those of the whole)."""
        new, mean = len(vectors), vectors.mean(axis=0, dtype=float)
        centred, shift, total = vectors - mean, mean - self.mean, self.count + new
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.count * new / total)
        self.mean += shift * (new / total)
        if not self.count:
            self._kept = np.zeros((KEPT, vectors.shape[1]), np.float32)
        # each vector so far has the same chance to be there (reservoir sampling, Vitter 1985)
        numbers = np.arange(self.count, total)
        places = np.where(numbers < KEPT, numbers, self._random.integers(0, numbers + 1))
        self._kept[places[places < KEPT]] = vectors[places < KEPT]
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """[C, C], divided by N - 1 as in the field."""
        return self._scatter / (self.count - 1)

    @property
    def sample(self) -> np.ndarray:
        """float32 [N, C]."""
        return self._kept[: self.count]


def moments(images: Iterable[np.ndarray], vectors: Vectors, patch: int | None = None) -> Moments:
    """Of the vectors of images uint8 [H, W, 3], or of their patches of so many pixels a side, side by side.

    Raises StudyError for an image or patch that is too small.
    """
    found, batches = Moments(), _batches(sample for image in images for sample in _samples(image, patch))
    while some := [vectors(batch) for batch in islice(batches, AT_ONCE)]:
        found.add(np.concatenate(some))
    return found


def _batches(samples: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for _, alike in groupby(samples, np.shape):
        while batch := list(islice(alike, BATCH)):
            yield np.stack(batch)


def _samples(image: np.ndarray, patch: int | None) -> np.ndarray:
    height, width, _ = image.shape
    if not SMALLEST <= (patch or SMALLEST) <= min(height, width):
        wanted = f"patches of {patch} px" if patch else "the whole"
        raise StudyError(f"FID and KID: {wanted} of {width}x{height} px; a sample has {SMALLEST} px a side or more.")
    return view_as_windows(image, (patch, patch, 3), patch).reshape(-1, patch, patch, 3) if patch else image[None]


def fid(first: Moments, second: Moments) -> float:
    """Fréchet Inception distance (Heusel et al. 2017). Raises StudyError for fewer than LEAST samples of either."""
    if (fewest := min(first.count, second.count)) < LEAST:
        raise StudyError(
            f"FID: of {fewest:,} samples it would tell their number more than the images; take KID, or give {LEAST:,}."
        )
    return frechet(first.mean, first.covariance, second.mean, second.covariance)


def frechet(mean_a: np.ndarray, covariance_a: np.ndarray, mean_b: np.ndarray, covariance_b: np.ndarray) -> float:
    """Squared Fréchet distance of two Gaussians: |a - b|^2 + tr(A + B - 2 (A B)^(1/2)) (Dowson and Landau 1982).

    The root's trace is the sum of roots of the eigenvalues of A^(1/2) B A^(1/2), which is symmetric: no `sqrtm`.
    """
    values, axes = np.linalg.eigh(covariance_a)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    roots = np.sqrt(np.linalg.eigvalsh(root @ covariance_b @ root).clip(0))
    return float(np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a) + np.trace(covariance_b) - 2 * roots.sum())


def kid(first: Moments, second: Moments, seed: int = 0) -> tuple[float, float]:
    """Kernel Inception distance (Binkowski et al. 2018): mean and standard deviation of `mmd` over SUBSETS subsets.

    They have SUBSET vectors, or half of those that there are. Raises StudyError for fewer than 4 samples of either.
    """
    a, b, random = first.sample, second.sample, np.random.default_rng(seed)
    size = min(SUBSET, len(a) // 2, len(b) // 2)
    if size < 2:
        raise StudyError(f"KID: {min(first.count, second.count)} samples are too few; give at least 4.")
    found = [mmd(*(random.choice(vectors, size, replace=False) for vectors in (a, b))) for _ in range(SUBSETS)]
    return float(np.mean(found)), float(np.std(found))


def mmd(a: np.ndarray, b: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of vectors [N, C] and [M, C] by the kernel (x.y / C + 1)^3."""
    within_a, within_b, across = ((x.astype(float) @ y.T / x.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    pairs = ((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1)) for kernel in (within_a, within_b))
    return float(sum(pairs) - 2 * across.mean())


def network(name: str, weights: Path | None = None) -> Vectors:
    """What makes feature vectors: "hed-vgg16", "inception-2015" or "inception-keras", see `protocols.md`.

    `weights`: their file; None: those that it comes with, or downloads.
    Raises StudyError for an unknown name, a package or weights that can't be had, and those of another network.
    """
    makers = {"hed-vgg16": _hed_vgg16, "inception-2015": _inception_2015, "inception-keras": _inception_keras}
    if name not in makers:
        raise StudyError(f"network '{name}': unknown to FID and KID; choose one of {', '.join(makers)}.")
    with loading(name, weights):
        return makers[name](weights)


def _hed_vgg16(weights: Path | None) -> Vectors:
    vgg = feature_network("hed-vgg16", ["block5_conv3"], weights)

    def call(images: tf.Tensor) -> tf.Tensor:  # at each place a mean square of 1, for which KID's kernel is made
        units = tf.math.l2_normalize(features(vgg, images / 127.5 - 1.0)[0], axis=-1)
        return tf.reduce_mean(units, axis=(1, 2)) * units.shape[-1] ** 0.5

    return _in_keras(call)


def _inception_keras(weights: Path | None) -> Vectors:
    options = {"weights": str(weights or "imagenet"), "include_top": False, "pooling": "avg"}
    inception = keras.applications.InceptionV3(**options, input_shape=(299, 299, 3))
    return _in_keras(lambda images: inception(tf.image.resize(images, (299, 299)) / 127.5 - 1.0, training=False))


def _in_keras(call: Callable[[tf.Tensor], tf.Tensor]) -> Vectors:
    graph = tf.function(call, input_signature=[tf.TensorSpec((None, None, None, 3))])
    return lambda images: graph(images.astype(np.float32)).numpy()


def _inception_2015(weights: Path | None) -> Vectors:
    import torch
    from torch_fidelity import FeatureExtractorInceptionV3

    if weights is not None:
        torch.load(weights, weights_only=True)  # torch-fidelity would run code that a file holds
    options = {"feature_extractor_weights_path": weights and str(weights)}
    inception = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], **options)
    for block in list(inception.modules()):
        if hasattr(block, "bn"):  # batch norm becomes a part of its convolution: the same figures sooner
            block.conv = torch.nn.utils.fuse_conv_bn_eval(block.conv, block.bn)
            block.bn = torch.nn.Identity()
    inception = inception.to(memory_format=torch.channels_last)

    def vectors(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return inception(torch.from_numpy(images).permute(0, 3, 1, 2))[0].numpy()

    return vectors
