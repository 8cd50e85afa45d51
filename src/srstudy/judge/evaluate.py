"""Judging generators on test photographs, with bicubic in the same table."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from srstudy import StudyError
from srstudy.degrade.bicubic import SCALE, crop_to_multiple, downscale, upscale
from srstudy.files import replacing, write_csv, write_json, write_text
from srstudy.inputs import code_fingerprint
from srstudy.judge.distance import Distance
from srstudy.judge.metrics import MEASURES, Picture, measures
from srstudy.networks.architectures import load_model
from srstudy.networks.enhance import Enhancer, has_batch_norm
from srstudy.photos.images import list_images, read_photo, read_rgb
from srstudy.photos.manifest import open_manifest, usable
from srstudy.photos.sources import sample_photos
from srstudy.settings import BICUBIC
from srstudy.study import Run, Study

KEYS = ["photo", "run", "snapshot", "statistics"]  # of a table of scores, as text; the measures follow


@dataclass(frozen=True)
class Method:
    """A generator as it is judged. `enhance`: LR -> SR, uint8; `snapshot`: the paper's epochs after which it was taken,
    "" at the end of its run; `statistics`: what its batch norm normalises with, "" if it has none.
    """

    run: str
    snapshot: str
    statistics: str
    enhance: Callable[[np.ndarray], np.ndarray]


def test_images(study: Study, test_set: str | Path | None = None) -> dict[str, np.ndarray]:
    """HR test images by name, uint8 [H, W, 3], their sides multiples of 4: the study's (their centres, if the profile
    says so), or those of a folder, whose path is absolute or starts at the project's folder.

    Raises StudyError for a folder that is missing or empty, and, with a line for each of the first ten, for images that
    can't be read, are too small to judge, or share a name.
    """
    images, problems = {}, []
    if test_set is None:
        rows = usable(open_manifest(study.root / "data" / "manifest.parquet"), "test")
        images = {row.id: _centre(read_photo(study.root, row), study.profile.test_crop) for row in rows.itertuples()}
    for path in list_images(_folder(study, test_set)) if test_set is not None else ():
        if path.stem in images:
            problems.append(f"{path}: there is another image called '{path.stem}'; rename one of them.")
        try:
            images[path.stem] = read_rgb(path)
        except StudyError as error:
            problems.append(str(error))
    for name, (height, width, _) in ((name, hr.shape) for name, hr in images.items()):
        if min(height, width) < 16 * SCALE:
            problems.append(f"{name}: {width}x{height} are too few pixels to judge; use at least {16 * SCALE} a side.")
    if problems:
        raise StudyError("\n".join(problems[:10]))
    return {name: crop_to_multiple(hr) for name, hr in images.items()}


def sample_images(study: Study, split: str, count: int | None = None) -> dict[str, np.ndarray]:
    """HR photographs of a split of `data/sample` (centres of 256 px), the first `count` or all, under every profile."""
    photos = [photo for photo in sample_photos(study.root) if photo.split == split][:count]
    return {photo.id: crop_to_multiple(_centre(read_rgb(study.root / photo.path), 256)) for photo in photos}


def reports_folder(study: Study, test_set: str | Path | None = None) -> Path:
    """Where the figures go: those on another test set apart from the study's own, named by its last two folders."""
    if test_set is None:
        return study.root / "reports"
    folder = _folder(study, test_set)
    return study.root / "reports" / "test_sets" / "-".join(filter(None, (folder.parent.name, folder.name)))


def _folder(study: Study, test_set: str | Path) -> Path:
    return (study.root / Path(test_set).expanduser()).resolve()


def _centre(image: np.ndarray, side: int | None) -> np.ndarray:
    top, left = (max(0, length - (side or length)) // 2 for length in image.shape[:2])
    return image[top:, left:][:side, :side]


def methods_of(study: Study, run: Run) -> list[Method]:
    """The generator of a run, its snapshot if it has one, and each of them with the other batch-norm statistics.

    Raises StudyError, naming the command that trains the run, if it is not trained.
    """
    models, snapshot = {"": run.generator}, run.folder / "snapshot.keras"
    if run.snapshot is not None and snapshot.is_file():  # a run that ended before it has none
        models[f"{run.snapshot:g}"] = snapshot
    methods = []
    for epochs, path in models.items():
        generator = load_model(path)
        both = (study.evaluation.statistics, study.evaluation.other)
        for statistics in both if has_batch_norm(generator) else ("",):
            enhance = partial(_enhance, _network(generator.to_json(), statistics), generator.get_weights())
            methods.append(Method(run.name, epochs, statistics, enhance))
    return methods


@lru_cache
def _network(architecture: str, statistics: str) -> Enhancer:
    """One network for all generators of an architecture: to build it takes a second, to set its weights a hundredth."""
    return Enhancer(keras.models.model_from_json(architecture), statistics)


def _enhance(network: Enhancer, weights: list[np.ndarray], lr: np.ndarray) -> np.ndarray:
    network.generator.set_weights(weights)
    return network(lr)


def evaluate(
    images: Mapping[str, np.ndarray],
    methods: Sequence[Method],
    keep: str | Path | None = None,
    lr_of: Callable[[str, np.ndarray], np.ndarray] = lambda name, hr: downscale(hr),
) -> pd.DataFrame:
    """Scores of bicubic and each method on every image: the columns `KEYS`, then `MEASURES`.

    `keep`: a folder for SR of each run's first method, as RUN/IMAGE.png. `lr_of`: makes LR of an image's name and HR.
    """
    firsts = {method.run: method for method in reversed(methods)} if keep else {}
    methods, distance, rows = [Method(BICUBIC, "", "", upscale), *methods], Distance(), []
    with ThreadPoolExecutor(2) as threads:  # NumPy measures some images while TensorFlow works on the next
        for name, hr in tqdm(images.items(), desc="judging", unit="photo"):
            lr, picture = lr_of(name, hr), Picture(hr)
            srs, measured = [method.enhance(lr) for method in methods], []
            for method, sr in zip(methods, srs):
                path = Path(keep) / method.run / f"{name}.png" if firsts.get(method.run) is method else None
                measured.append(threads.submit(_measure, picture, sr, path))
            distances = distance.of_each(distance.features(hr), srs)
            for method, figures, far in zip(methods, measured, distances):
                keys = (name, method.run, method.snapshot, method.statistics)
                rows.append({**dict(zip(KEYS, keys)), **figures.result(), "perceptual": far})
    return pd.DataFrame(rows, columns=[*KEYS, *MEASURES])


def _measure(hr: Picture, sr: np.ndarray, path: Path | None) -> dict[str, float]:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sr).save(path)
    return measures(hr, Picture(sr))


def judge_runs(
    study: Study, runs: Sequence[Run], images: Mapping[str, np.ndarray], reports: Path, again: bool = False
) -> pd.DataFrame:
    """Scores of bicubic and the runs, as `evaluate` gives them. A run is judged if something changed since, or `again`.

    `reports` gets scores/RUN.csv, SR of each run's first method in sr/RUN, and that method's means in metrics.json.
    Raises StudyError for a run that is not trained.
    """
    marks = {run.name: reports / "sr" / run.name / "judged.txt" for run in runs}
    known = {name: mark.read_text(encoding="utf-8") for name, mark in marks.items() if mark.is_file() and not again}
    due = [run for run in runs if known.get(run.name) != _fingerprint(study, run, images, reports)]
    if due:
        reports.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=reports) as folder:
            fresh = evaluate(images, [method for run in due for method in methods_of(study, run)], keep=folder)
            for name, rows in fresh.groupby("run"):
                write_csv(reports / "scores" / f"{name}.csv", rows)
            for run in due:
                with replacing(reports / "sr" / run.name) as place:
                    os.replace(Path(folder, run.name), place)
                write_text(marks[run.name], _fingerprint(study, run, images, reports))
    scores = read_scores(*(reports / "scores" / f"{name}.csv" for name in (BICUBIC, *marks)))
    first = scores[(scores.snapshot == "") & scores.statistics.isin(["", study.evaluation.statistics])]
    means = first.groupby("run")[list(MEASURES)].mean().round(6).to_dict("index")
    path = reports / "metrics.json"
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_json(path, {name: row for name, row in earlier.items() if name in study.runs} | means)
    return scores


def read_scores(*paths: Path) -> pd.DataFrame:
    """Tables that `evaluate` gave as one; `KEYS` are text."""
    options = {"dtype": dict.fromkeys(KEYS, str), "keep_default_na": False}
    return pd.concat([pd.read_csv(path, **options) for path in paths], ignore_index=True)


def _fingerprint(study: Study, run: Run, images: Mapping[str, np.ndarray], reports: Path) -> str:
    """SHA-256 over what decides a run's scores, over the scores, and over its SR images."""
    found = hashlib.sha256(repr((run.name, run.snapshot, study.evaluation.statistics)).encode())
    models, packages = (run.generator, run.folder / "snapshot.keras"), ("tensorflow", "keras", "numpy", "scikit-image")
    code = code_fingerprint("srstudy.judge.evaluate.evaluate", "srstudy.judge.evaluate.methods_of")
    found.update(f"{code} {[version(package) for package in packages]}".encode())
    scores = (reports / "scores" / f"{name}.csv" for name in (BICUBIC, run.name))
    for path in (*models, *scores, *((reports / "sr" / run.name / f"{name}.png") for name in images)):
        found.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"none")
    for name, hr in images.items():
        found.update(f"{name} {hr.shape}".encode() + hr.tobytes())
    return found.hexdigest()
