"""Fixtures that several test modules share: the project's folder, real photographs, and a copy of `params.yaml`."""

from __future__ import annotations

import copy
import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.apart import Apart
from tests.tiny import save_tiles

from srstudy.config import Study, load_study
from srstudy.degrade import downscale
from srstudy.tiles import Tiles

ROOT = Path(__file__).resolve().parents[1]
CHECKS = Path(os.environ.get("SRSTUDY_CHECKS") or ROOT / "data" / "checks")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Check data, no part of the project: Set5, Set14 and MATLAB's LR images of them, weights of VGG19."""
    if not (CHECKS / "set5").is_dir():
        pytest.skip(f"no check data in {CHECKS}; SRSTUDY_CHECKS names their folder")
    return CHECKS


@pytest.fixture(scope="session")
def sources() -> list[dict[str, str]]:
    """The rows of the sample's SOURCES.csv, photographs and clip."""
    with (ROOT / "data" / "sample" / "SOURCES.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A committed photograph, uint8 [512, 512, 3], read-only; decoded by Pillow alone."""
    with Image.open(ROOT / "data" / "sample" / "photos" / "astronaut.jpg") as image:
        pixels = np.array(image.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@pytest.fixture(scope="session")
def study() -> Study:
    """The committed `params.yaml` under its sample profile."""
    return load_study("sample", ROOT)


@pytest.fixture
def tiles(photo) -> Tiles:
    """Eight HR tiles of 32 pixels a side from the committed photograph, and their LR images."""
    hr = np.stack([photo[32 * i : 32 * i + 32, 64:96] for i in range(8)])
    return Tiles(hr=hr, lr=np.stack([downscale(tile) for tile in hr]))


@pytest.fixture
def apart(tiles, tmp_path, root) -> Apart:
    """Starts runs on those tiles in processes of their own."""
    save_tiles(tmp_path / "tiles", tiles)
    return Apart(tmp_path, root)


class TinyStudy:
    """A copy of `params.yaml` in a folder of its own, to be changed and loaded."""

    def __init__(self, root: Path, params: dict[str, Any]):
        self.root, self.params = root, params

    def set(self, key: str, value: Any) -> None:
        """Set one value; `key` is its path, such as "variants.5k-32-plain.epochs"."""
        *sections, last = key.split(".")
        self._section(sections)[last] = value

    def drop(self, key: str) -> None:
        """Remove one key, given by its path."""
        *sections, last = key.split(".")
        del self._section(sections)[last]

    def load(self, profile: str | None = "sample") -> Study:
        """Write the copy and load it."""
        text = yaml.safe_dump(self.params, sort_keys=False)
        (self.root / "params.yaml").write_text(text, encoding="utf-8")
        return load_study(profile, self.root)

    def _section(self, names: list[str]) -> dict[str, Any]:
        section = self.params
        for name in names:
            section = section[name]
        return section


@pytest.fixture
def tiny_study(tmp_path: Path) -> TinyStudy:
    """A copy of `params.yaml` in a temporary folder."""
    # Deep copied, because YAML's anchors would make one profile's selections those of all.
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["profiles"] = {name: copy.deepcopy(profile) for name, profile in params["profiles"].items()}
    return TinyStudy(tmp_path, params)


@pytest.fixture
def save_image(tmp_path: Path) -> Callable[..., Path]:
    """A function (pixels or Pillow image, file name, **options) -> path of the written image."""

    def save(image: np.ndarray | Image.Image, name: str, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture.save(path, **options)
        return path

    return save
