"""Released models as ONNX, for programs without TensorFlow: `python -m srstudy.enhance.export [NAME ...]`.

It needs `pip install -e ".[export]"`. A file takes LR and gives SR, uint8 [1, H, W, 3] and [1, 4H, 4W, 3], of any size.
Beside it, for OpenVINO alone, lies the network in 8-bit integers, if these cost less than DEAREST.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE, crop_to_multiple, downscale, resize_matrix
from srstudy.files import replacing
from srstudy.judge.evaluate import sample_images
from srstudy.judge.metrics import psnr
from srstudy.networks.architectures import BicubicEnlargement, load_model
from srstudy.networks.enhance import has_batch_norm
from srstudy.sets.tiles import sample_training_photos
from srstudy.study import load_study

OPSET = 17  # of ONNX's operators, as of 2022
DEAREST = 0.05  # dB that 8-bit integers may cost
CALIBRATION = 384  # px of HR a side


class ConvolvedEnlargement(keras.layers.Layer):
    """BicubicEnlargement as a convolution: by ONNX's own interpolation, runtimes differ at borders by up to 7 levels.

    Maps [B, H, W, 3] -> [B, 4H, 4W, 3].
    """

    def call(self, x):
        # What LR pixel 10 of 21 gives to rows of SR that are 2 LR pixels below it to 2 above, four rows each.
        one = resize_matrix(21, 21 * SCALE).toarray()[8 * SCALE : 13 * SCALE, 10].reshape(5, SCALE)[::-1]
        kernel = tf.constant(np.einsum("ap,bq->abpq", one, one).reshape(5, 5, 1, -1), tf.float32)
        planes = tf.unstack(x, axis=-1)
        weights = tf.nn.conv2d(tf.ones_like(x[..., :1]), kernel, 1, "SAME")  # at the border less than 1 in all
        parts = [tf.nn.depth_to_space(tf.nn.conv2d(p[..., None], kernel, 1, "SAME") / weights, SCALE) for p in planes]
        return tf.concat(parts, axis=-1)


def export(model: keras.Model, path: Path) -> None:
    """Write a generator as ONNX, whole or not at all. Raises StudyError for one with batch norm, which ONNX can't give
    each image's own statistics; and where the group `export` is not installed.
    """
    if has_batch_norm(model):
        raise StudyError(f"{path}: its model has batch norm, which is lost in ONNX; choose a released model.")
    try:
        import tf2onnx
    except ImportError as error:
        raise StudyError(f"ONNX: needs '{error.name}'; run `pip install -e '.[export]'`.") from error

    def plain(layer):
        if isinstance(layer, BicubicEnlargement):
            return ConvolvedEnlargement(name=layer.name, dtype="float32")
        return layer.__class__.from_config(layer.get_config())

    network = keras.models.clone_model(model, clone_function=plain)
    network.set_weights(model.get_weights())
    signature = [tf.TensorSpec((1, None, None, 3), tf.uint8, name="lr")]

    @tf.function(input_signature=signature, autograph=False)
    def enlarge(lr: tf.Tensor) -> tf.Tensor:
        sr = tf.round((network(tf.cast(lr, tf.float32) / 127.5 - 1.0) + 1.0) * 127.5)
        return tf.cast(tf.clip_by_value(sr, 0.0, 255.0), tf.uint8)  # runtimes disagree on what a cast does beyond

    for old in (".int8.xml", ".int8.bin"):  # of another network
        path.with_suffix(old).unlink(missing_ok=True)
    with replacing(path) as temporary:
        tf2onnx.convert.from_function(enlarge, input_signature=signature, opset=OPSET, output_path=str(temporary))


def quantise(path: Path, lrs: Sequence[np.ndarray], hrs: Sequence[np.ndarray]) -> float:
    """Write a network of `export` with weights and maps in 8-bit integers, as `.int8.xml` and `.int8.bin`, for
    OpenVINO; give what that costs, in dB of PSNR. Dearer than DEAREST, nothing is written.

    `lrs`, uint8 [h, w, 3] of one size, show which values there are; `hrs` are other pictures, to judge by. What takes
    pixels and what adds stays in floating point. As ONNX, the same integers would be run wrongly by OpenVINO 2026.4
    (6 dB lower).
    """
    import nncf
    import openvino

    core = openvino.Core()
    network = core.read_model(path)
    convolutions = (op for op in network.get_ops() if op.get_type_name() == "Convolution")
    of_pixels = [op.get_friendly_name() for op in convolutions if op.input(1).get_partial_shape()[1].get_length() <= 3]
    dataset, kept = nncf.Dataset([lr[None] for lr in lrs]), nncf.IgnoredScope(names=of_pixels, types=["Add"])
    integers = nncf.quantize(network, dataset, subset_size=len(lrs), ignored_scope=kept)
    small, mean = [downscale(hr) for hr in hrs], {}
    for name, model in (("floats", network), ("integers", integers)):
        run = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        mean[name] = np.mean([psnr(hr, run([lr[None]])[0][0]) for lr, hr in zip(small, hrs)])
    cost = float(mean["floats"] - mean["integers"])
    if cost < DEAREST:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            openvino.save_model(integers, (whole := Path(folder, f"{path.stem}.int8.xml")))
            for ending in (".bin", ".xml"):  # which is looked for first comes last
                whole.with_suffix(ending).replace(path.with_suffix(f".int8{ending}"))
    return cost


def in_print(photo: np.ndarray) -> np.ndarray:
    """A photograph in black and white alone: uint8 [h, w, 3] -> the same. Of integers that were shown no edges as hard
    as this, letters lose half a dB.
    """
    gray = photo.mean(axis=-1, keepdims=True)
    return np.repeat(255 * (gray > np.median(gray)), 3, axis=-1).astype(np.uint8)


def main() -> None:
    """Export the released models that are named, or all."""
    study = load_study()
    photos = (photo[:CALIBRATION, :CALIBRATION] for photo in sample_training_photos(study.root))
    photos = [photo for photo in photos if photo.shape[:2] == (CALIBRATION, CALIBRATION)]
    judged = [crop_to_multiple(hr) for hr in sample_images(study, "validation").values()]
    shown = [downscale(picture) for picture in [*photos, *map(in_print, photos)]]
    judged += [*map(in_print, judged)]
    for name in sys.argv[1:] or study.released:
        run = study.run(name)
        path = run.folder / "generator.onnx"
        export(load_model(run.generator), path)
        print(f"{path}: in integers {quantise(path, shown, judged):+.3f} dB lower", flush=True)


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
