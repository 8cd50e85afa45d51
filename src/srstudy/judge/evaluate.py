"""Judging generators on test photographs, with bicubic in the same table."""

import hashlib
import json
import os
import tempfile
from collections import UserDict
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from srstudy.degrade.bicubic import crop_to_multiple, downscale, upscale
from srstudy.files import own_folder, replacing, resolved, write_csv, write_json, write_text
from srstudy.inputs import code_fingerprint
from srstudy.judge.distance import Distance
from srstudy.judge.metrics import MEASURES, Picture, lr_psnr, measures
from srstudy.networks.architectures import load_model
from srstudy.networks.enhance import Enhancer, has_batch_norm
from srstudy.photos.images import read_photo, read_rgb, readable_images
from srstudy.photos.manifest import SMALLEST, judged_rows, open_manifest
from srstudy.photos.sources import sample_photos
from srstudy.settings import BICUBIC
from srstudy.study import Run, Study

KEYS = ["photo", "run", "snapshot", "statistics"]  # of a table of scores, as text; the measures follow
LARGE = 2**21  # bytes of an image from which on each is measured alone: that takes 100 times as many
LARGEST = 2048  # px a side: of a larger image the centre is judged, as 200 megapixels would take an hour
SRS = 2**24  # bytes of SR images of one HR image that are in memory at once


class Images(UserDict):
    """HR images by name, uint8 [H, W, 3], sides multiples of 4, made of functions: each is read when it is asked for.

    `left_out` says of other files in the same folder why they can't be judged.
    """

    left_out: Sequence[str] = ()

    def __getitem__(self, name: str) -> np.ndarray:
        return crop_to_multiple(self.data[name]())


@dataclass(frozen=True)
class Method:
    """A generator as it is judged. `enhance`: LR -> SR, uint8; `snapshot`: the paper's epochs after which it was taken,
    "" at the end of its run; `statistics`: what its batch norm normalises with, "" if it has none.
    """

    run: str
    snapshot: str
    statistics: str
    enhance: Callable[[np.ndarray], np.ndarray]


def test_images(study: Study, test_set: str | Path | None = None) -> Images:
    """HR test images: the study's, or those of a name under `data.sources` (their centres, if the profile says so); or
    of a folder, whose path is absolute or starts at the project's folder, but for what is too small or can't be read,
    and their centres of at most LARGEST px a side.

    Raises StudyError for a folder that is missing, or a source or folder that holds nothing to judge.
    """
    if test_set is None or test_set in study.data.sources:
        rows = judged_rows(open_manifest(study.folder("data") / "manifest.parquet"), test_set)
        side = study.profile.test_crop or LARGEST
        readers = {row.id: lambda row=row: _centre(read_photo(study.root, row), side) for row in rows.itertuples()}
        return Images(readers)
    found, left_out = readable_images(resolved(study.root, test_set), smallest=SMALLEST)
    images = Images({name: lambda path=path: _centre(read_rgb(path), LARGEST) for name, path in found.items()})
    images.left_out = left_out
    return images


def sample_images(study: Study, split: str, count: int | None = None) -> dict[str, np.ndarray]:
    """HR photographs of a split of `data/sample` (centres of 256 px), the first `count` or all, under every profile."""
    photos = [photo for photo in sample_photos(study.root) if photo.split == split][:count]
    return {photo.id: crop_to_multiple(_centre(read_rgb(study.root / photo.path), 256)) for photo in photos}


def reports_folder(study: Study, test_set: str | Path | None = None) -> Path:
    """Where the figures go: those on another test set apart from the study's own, named as its source is, or by the
    last two folders, see `own_folder`.
    """
    if test_set is None:
        return study.folder("reports")
    if test_set in study.data.sources:
        return study.folder("reports") / "test_sets" / test_set
    folder = resolved(study.root, test_set)
    name = "-".join(filter(None, (folder.parent.name, folder.name)))
    return own_folder(study.folder("reports") / "test_sets" / name, folder)


def _centre(image: np.ndarray, side: int) -> np.ndarray:
    top, left = (max(0, length - side) // 2 for length in image.shape[:2])
    return image[top:, left:][:side, :side].copy()  # a view would keep the whole image


def methods_of(study: Study, run: Run) -> list[Method]:
    """The generator of a run, its snapshot if it has one, and each of them with the other batch-norm statistics.

    Raises StudyError, naming the command that trains the run, if it is not trained, or its snapshot is lost.
    """
    models, methods, record = {"": run.generator}, [], study.folder("reports") / "runs" / f"{run.name}.json"
    reached = json.loads(record.read_text(encoding="utf-8"))["step"] if record.is_file() else run.steps
    if run.snapshot is not None and reached >= run.snapshot_step:  # a run that ended before it has none
        models[f"{run.snapshot:g}"] = run.folder / "snapshot.keras"
        if not models[f"{run.snapshot:g}"].is_file():
            lost = f"its snapshot after {run.snapshot:g} epochs is lost"
            raise StudyError(f"{run.name}: {lost}; run `dvc checkout` to bring it back, or `{run.how_to_train}`.")
    for epochs, path in models.items():
        generator = load_model(path)
        network, weights = generator.to_json(), generator.get_weights()
        both = (study.evaluation.statistics, study.evaluation.other)
        for statistics in both if has_batch_norm(generator) else ("",):
            enhance = partial(_enhance, _network(network, statistics), weights)
            methods.append(Method(run.name, epochs, statistics, enhance))
    return methods


@lru_cache
def _network(architecture: str, statistics: str) -> Enhancer:
    """One network for all generators of an architecture: to build it takes a second, to set its weights a hundredth."""
    return Enhancer(keras.models.model_from_json(architecture), statistics)


def enlarged(study: Study, lr: np.ndarray, names: Iterable[str]) -> dict[str, np.ndarray]:
    """SR uint8 [4h, 4w, 3] of LR uint8 [h, w, 3] by bicubic, and by those of the named runs that are trained here."""
    runs = [run for run in map(study.run, names) if run.is_trained]
    return {BICUBIC: upscale(lr), **{run.name: methods_of(study, run)[0].enhance(lr) for run in runs}}


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
    folders = {method: Path(keep) / run for run, method in firsts.items()}
    methods, distance, rows = [Method(BICUBIC, "", "", upscale), *methods], Distance(), []
    with ThreadPoolExecutor(2) as threads:  # NumPy measures some images while TensorFlow works on the next
        for name, hr in tqdm(images.items(), desc="judging", unit="photo"):
            lr, picture, at_once = lr_of(name, hr), Picture(hr), max(1, SRS // hr.nbytes)
            each = threads.map if hr.nbytes <= LARGE else map  # the latter when the network is done, one by one
            for some in (methods[start : start + at_once] for start in range(0, len(methods), at_once)):
                srs = [method.enhance(lr) for method in some]
                paths = [folders[method] / f"{name}.png" if method in folders else None for method in some]
                measured = each(partial(_measure, lr, picture), srs, paths)
                for method, far, figures in zip(some, distance.of_each(hr, srs), measured):
                    keys = (name, method.run, method.snapshot, method.statistics)
                    rows.append({**dict(zip(KEYS, keys)), **figures, "perceptual": far})
    return pd.DataFrame(rows, columns=[*KEYS, *MEASURES])


def _measure(lr: np.ndarray, hr: Picture, sr: np.ndarray, path: Path | None) -> dict[str, float]:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sr).save(path)
    return {**measures(hr, Picture(sr)), "lr_psnr": lr_psnr(lr, sr)}


def judge_runs(
    study: Study, runs: Sequence[Run], images: Mapping[str, np.ndarray], reports: Path, again: bool = False
) -> pd.DataFrame:
    """Scores of bicubic and the runs, as `evaluate` gives them. A run is judged if something changed since, or `again`.

    `reports` gets scores/RUN.csv, SR of each run's first method in sr/RUN, and that method's means in metrics.json.
    Raises StudyError for a run that is not trained.
    """
    marks = {run.name: reports / "sr" / run.name / "judged.txt" for run in runs}
    known = {name: mark.read_text(encoding="utf-8") for name, mark in marks.items() if mark.is_file() and not again}
    fingerprint = partial(_fingerprint, study, reports=reports, images=_digests(images))
    due = [run for run in runs if known.get(run.name) != fingerprint(run)]
    if due:
        reports.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=reports) as folder:
            fresh = evaluate(images, [method for run in due for method in methods_of(study, run)], keep=folder)
            for name, rows in fresh.groupby("run"):
                write_csv(reports / "scores" / f"{name}.csv", rows)
            for run in due:
                with replacing(reports / "sr" / run.name) as place:
                    os.replace(Path(folder, run.name), place)
                write_text(marks[run.name], fingerprint(run))
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


def _digests(images: Mapping[str, np.ndarray]) -> dict[str, str]:
    """SHA-256 of each image."""
    return {name: hashlib.sha256(f"{hr.shape}".encode() + hr.tobytes()).hexdigest() for name, hr in images.items()}


def _fingerprint(study: Study, run: Run, images: dict[str, str], reports: Path) -> str:
    """SHA-256 over what decides a run's scores, with `_digests` of the images, over these, and over its SR images."""
    found = hashlib.sha256(repr((run.name, run.snapshot, study.evaluation.statistics, images)).encode())
    models, packages = (run.generator, run.folder / "snapshot.keras"), ("tensorflow", "keras", "numpy", "scikit-image")
    code = code_fingerprint("srstudy.judge.evaluate.evaluate", "srstudy.judge.evaluate.methods_of")
    found.update(f"{code} {[version(package) for package in packages]}".encode())
    scores = (reports / "scores" / f"{name}.csv" for name in (BICUBIC, run.name))
    for path in (*models, *scores, *((reports / "sr" / run.name / f"{name}.png") for name in images)):
        found.update(hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b"none")
    return found.hexdigest()
