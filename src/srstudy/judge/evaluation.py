"""Judging a generator on test photographs, with bicubic in the same table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from srstudy.config import Study
from srstudy.data.images import list_images, read_photo, read_rgb, write_png
from srstudy.data.manifest import open_manifest, usable
from srstudy.data.sources import sample_photos
from srstudy.degrade.bicubic import SCALE, crop_to_multiple, downscale, upscale
from srstudy.errors import StudyError
from srstudy.judge.metrics import BICUBIC, colour, fidelity, inner, sharpness
from srstudy.networks.architectures import load_model
from srstudy.networks.enhance import Enhancer, has_batch_norm
from srstudy.networks.perceptual import feature_network, features

DISTANCE_NETWORK = "hed-vgg16"  # the one that needs no download; MEASURES in metrics.py names it
MOST_NAMED = 10  # files in one error
DISTANCE_LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3")


def test_images(study: Study, test_set: str | Path | None = None) -> dict[str, np.ndarray]:
    """HR test images by name: those of the study (its centres, when the profile says so), or a folder of images,
    whose path is absolute or starts at the project's folder.

    Images, uint8 [H, W, 3], are cut to a multiple of 4; gray ones become RGB. Raises StudyError for what is no folder
    or an empty one, for two images of one name, and for images that can't be read, or are too small to judge: all of
    them, or the first few, by name.
    """
    if test_set is not None:
        images = _by_name(list_images(_test_folder(study, test_set)))
    else:
        rows = usable(open_manifest(study.root / "data" / "manifest.parquet"), "test")
        images = {row.id: _centre(read_photo(study.root, row), study.profile.test_crop) for row in rows.itertuples()}
    small = [f"{name} ({hr.shape[1]}x{hr.shape[0]})" for name, hr in images.items() if min(hr.shape[:2]) < 16 * SCALE]
    if small:
        raise StudyError(f"{_first(small)}: too few pixels to judge; use at least {16 * SCALE} a side.")
    return {name: crop_to_multiple(hr) for name, hr in images.items()}


def reports_folder(study: Study, test_set: str | Path | None = None) -> Path:
    """Where the figures go: those on another test set apart from the study's own, named by its last two folders."""
    if test_set is None:
        return study.root / "reports"
    folder = _test_folder(study, test_set)
    return study.root / "reports" / "test_sets" / "-".join(filter(None, (folder.parent.name, folder.name)))


def validation_images(study: Study) -> dict[str, np.ndarray]:
    """A handful of HR photographs of `data/sample`'s validation split (their centres), by name, to watch a run on.

    The same for every run and profile, so that curves can be compared.
    """
    return sample_images(study, "validation", study.training.validation_photos)


def sample_images(study: Study, split: str, count: int | None = None) -> dict[str, np.ndarray]:
    """HR photographs of a split of `data/sample` (their centres of 256 px), the first `count` or all, by name.

    The same under every profile, and there without anything prepared.
    """
    photos = [photo for photo in sample_photos(study.root) if photo.split == split][:count]
    return {photo.id: crop_to_multiple(_centre(read_rgb(study.root / photo.path), 256)) for photo in photos}


def _test_folder(study: Study, test_set: str | Path) -> Path:
    """The whole path of a test set, which may not exist. Raises StudyError for a file."""
    folder = (study.root / Path(test_set).expanduser()).resolve()
    if folder.is_file():
        raise StudyError(f"{folder}: is a file; give the folder that holds the HR images, such as '{folder.parent}'.")
    return folder


def _by_name(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """The images of one folder by their names without the ending. Raises StudyError as `test_images` says."""
    images, broken = {}, {}
    for path in paths:
        if path.stem in images:
            raise StudyError(f"{path}: there is another image called '{path.stem}'; rename one of them.")
        try:
            images[path.stem] = read_rgb(path)
        except StudyError as error:
            broken[path.name] = error
    if len(broken) > 1:
        raise StudyError(f"{paths[0].parent}: {_first(broken)} can't be read as images; remove or convert them.")
    for error in broken.values():
        raise error
    return images


def _first(names: Collection[str]) -> str:
    """The first `MOST_NAMED` names, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(list(names)[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _centre(image: np.ndarray, side: int | None) -> np.ndarray:
    if side is None:
        return image
    top, left = ((length - side) // 2 if length > side else 0 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def methods_of(study: Study, variant: str) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The generator of a variant, a warm start or a released model as LR -> SR, its snapshot if it has one, and each
    of them with the other batch-norm statistics.

    Raises StudyError as `Study.generator_path` does.
    """
    has_snapshot, path = study.snapshot_step(variant), study.generator_path(variant)
    models, snapshot = {study.method_name(variant): path}, path.with_name("snapshot.keras")
    if has_snapshot and snapshot.is_file():  # a run that ended before it has none
        models[study.snapshot_name(variant)] = snapshot
    methods = {}
    for name, path in models.items():
        generator = load_model(path)
        methods[name] = Enhancer(generator, study.evaluation.statistics)
        if has_batch_norm(generator):
            methods[study.evaluation.other_name(name)] = Enhancer(generator, study.evaluation.other)
    return methods


def evaluate(
    images: Mapping[str, np.ndarray],
    methods: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    score: Callable[[np.ndarray, Sequence[np.ndarray]], list[dict[str, float]]],
    keep: str | Path | None = None,
    lr_of: Callable[[str, np.ndarray], np.ndarray] = lambda name, hr: downscale(hr),
) -> pd.DataFrame:
    """Score every method (LR -> SR, uint8) and bicubic on every image; one row per image and method.

    `keep`: folder in which the SR images of the first method are written as PNG. `lr_of`: makes LR of an image's name
    and HR.
    """
    rows = []
    first = next(iter(methods))
    methods = {BICUBIC: upscale, **methods}
    for name, hr in tqdm(images.items(), desc="evaluating", unit="photo"):
        lr = lr_of(name, hr)
        enlarged = {method: run(lr) for method, run in methods.items()}
        for method, scores in zip(enlarged, score(hr, list(enlarged.values()))):
            rows.append({"photo": name, "method": method, **scores})
        if keep is not None:
            write_png(Path(keep) / f"{name}.png", enlarged[first])
    return pd.DataFrame(rows)


def scorer() -> Callable[[np.ndarray, Sequence[np.ndarray]], list[dict[str, float]]]:
    """A function (hr, [sr, ...]) -> all measures of each."""
    distance = perceptual_distance()

    def score(hr: np.ndarray, srs: Sequence[np.ndarray]) -> list[dict[str, float]]:
        return [
            {**fidelity(hr, sr), "perceptual": far, **colour(hr, sr), "sharpness": sharpness(hr, sr)}
            for sr, far in zip(srs, distance(hr, srs))
        ]

    return score


def perceptual_distance() -> Callable[[np.ndarray, Sequence[np.ndarray]], list[float]]:
    """Distance in VGG feature space, as a function (hr, [sr, ...]) -> [float, ...]; 0 for equal images.

    LPIPS without its learned weights (Zhang et al. 2018, arXiv:1801.03924): at five depths, features are brought to
    unit length over channels; squared differences are summed over channels, averaged over places, then over depths.
    Its network is not LPIPS's, so its figures carry the network's name. Takes over 3 GB for an image of 1920x1080.
    """
    vgg = feature_network(DISTANCE_NETWORK, DISTANCE_LAYERS)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    def units(image: tf.Tensor) -> list[tf.Tensor]:
        depths = features(vgg, tf.cast(image[None], tf.float32) / 127.5 - 1.0)
        return [maps / (tf.norm(maps, axis=-1, keepdims=True) + 1e-10) for maps in depths]

    def distances(hr: np.ndarray, srs: Sequence[np.ndarray]) -> list[float]:
        wanted = units(inner(hr))
        return [
            float(np.mean([tf.reduce_mean(tf.reduce_sum(tf.square(a - b), axis=-1)) for a, b in zip(wanted, found)]))
            for found in map(units, map(inner, srs))
        ]

    return distances


def captions(scores: pd.DataFrame, photo: str) -> dict[str, str]:
    """Two figures for the caption of each method's picture of a photo."""
    rows = scores[scores.photo == photo].itertuples()
    return {row.method: f"PSNR-Y {row.psnr_y:.2f} dB\nVGG16-HED {row.perceptual:.3f}" for row in rows}
