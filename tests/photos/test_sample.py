"""The committed photographs are what `data/build_sample.py` makes of their originals, by the packages of the lock."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
import skimage


@pytest.fixture(scope="module")
def build(root):
    spec = importlib.util.spec_from_file_location("build_sample", root / "data" / "build_sample.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Their originals are in an installed package.
@pytest.mark.parametrize("name", ["astronaut", "coffee", "gravel", "rocket"])
def test_a_photograph_is_made_to_the_byte(build, sources, name):
    (row,) = [row for row in sources if row["file"] == f"photos/{name}.jpg"]
    original = (Path(skimage.__file__).parents[1] / row["path_in_package"]).read_bytes()
    assert hashlib.sha256(original).hexdigest() == row["source_sha256"]
    made = build.make_photo(original, int(row["width"]), int(row["height"]))
    assert hashlib.sha256(made).hexdigest() == row["sha256"]
