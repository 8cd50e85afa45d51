"""Fixtures that several test modules share: the project's folder, real photographs, and a copy of `params.yaml`."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from kagglesdk import kaggle_env
from PIL import Image
from tests.apart import Apart
from tests.kaggle_service import KEY, USERNAME, KaggleService, point_client_to
from tests.tiny import save_tiles

from srstudy.degrade.bicubic import downscale
from srstudy.sets.tiles import Tiles
from srstudy.study import Study, load_study

ROOT = Path(__file__).resolve().parents[1]
CHECKS = Path(os.environ.get("SRSTUDY_CHECKS") or ROOT / "data" / "checks")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that starts runs in processes of their own is slow."""
    for item in items:
        if "apart" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


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
        """Set one value; `key` is its path, such as "variants.srgan-5k-32-plain.epochs"."""
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
    return TinyStudy(tmp_path, yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))


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


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """A function (script, size) -> its output; it runs with a small disk, which nobody else sees, as its argument."""
    folder = tmp_path_factory.mktemp("disk")

    def mounted(size: str) -> list[str]:
        script = f'mount -t tmpfs -o size={size} none "$0" && exec "$@" "$0"'
        return ["unshare", "-rm", "sh", "-c", script, str(folder)]

    if shutil.which("unshare") is None or subprocess.run([*mounted("1m"), "true"], capture_output=True).returncode:
        pytest.skip("needs Linux with user namespaces to mount a small disk")

    def run(script: str, size: str = "256k") -> str:
        command = [*mounted(size), sys.executable, "-c", script]
        found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert found.returncode == 0, found.stderr
        return found.stdout

    return run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, and an environment that knows nothing of Kaggle."""
    home = tmp_path / "home"
    home.mkdir()
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    return home


@pytest.fixture
def kaggle_service(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleService]:
    """A stand-in for Kaggle to which the client speaks, newly imported, with a key that is right."""
    monkeypatch.setenv("KAGGLE_USERNAME", USERNAME)
    monkeypatch.setenv("KAGGLE_KEY", KEY)
    for name in [name for name in sys.modules if name.partition(".")[0] == "kaggle"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(kaggle_env, "_env_to_endpoint", dict(kaggle_env._env_to_endpoint))
    service = KaggleService()
    service.start()
    point_client_to(service.address)
    yield service
    service.stop()
