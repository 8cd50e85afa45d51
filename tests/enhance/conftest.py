"""What tests of enlargements share: a released model in evidence mode, and photographs enlarged by it."""

import numpy as np
import pytest
from PIL import Image

from srstudy.enhance.engine import Engine
from srstudy.enhance.original import open_photo
from srstudy.enhance.photo import enhance_photo
from srstudy.enhance.steps import Steps


@pytest.fixture(scope="session")
def model(root):
    """A released network."""
    return root / "models" / "released" / "psnr" / "generator.onnx"


@pytest.fixture(scope="session")
def evidence(model):
    """It, in evidence mode."""
    return Engine(model, "evidence")


@pytest.fixture
def enlarge(evidence, tmp_path):
    """A function (path, name of the output, **steps) -> the output as Pillow reads it; marked only if asked for."""

    def enlarge(path, name="out.png", tile=None, gps=False, mark=False, **steps):
        enhance_photo(open_photo(path), tmp_path / name, evidence, Steps(mark=mark, **steps), "srstudy 1", tile, gps)
        with Image.open(tmp_path / name) as image:
            return np.asarray(image)

    return enlarge
