"""A released network without TensorFlow: Keras's own pixels, the same in every process, and nothing but pixels."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys

import numpy as np
import pytest

from srstudy import StudyError
from srstudy.enhance.engine import Engine
from srstudy.networks.architectures import load_model
from srstudy.networks.enhance import Enhancer
from srstudy.photos.images import read_rgb

RANDOM = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
# The kernel kills this process, and those that it starts, at the first socket.
NO_SOCKETS = """
import ctypes, platform, struct
number = {"x86_64": 41, "aarch64": 198}[platform.machine()]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
"""
RUN = """
import sys, hashlib, numpy as np
from pathlib import Path
from srstudy.enhance.engine import Engine
lr = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
[sr] = Engine(Path(sys.argv[1]), "evidence").run([lr])
print(hashlib.sha256(sr.tobytes()).hexdigest())
"""
NO_CHILDREN = """
import resource, time
time.sleep(0.5)
assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt == 0, "it started another process"
"""


def python(script, *arguments, **environment):
    command, environment = [sys.executable, "-c", script, *map(str, arguments)], {**os.environ, **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["general", "fast", "psnr", "gan", "cctv"])
def test_evidence_is_what_keras_computes_to_a_level(root, name):
    folder = root / "models" / "released" / name
    evidence = Engine(folder / "generator.onnx", "evidence")
    keras = Enhancer(load_model(folder / "generator.keras"), "image")
    photos = [read_rgb(path)[:41, 60:116] for path in sorted((root / "data" / "sample" / "photos").iterdir())[::20]]
    photos += [photos[0][:1, :1], photos[0][:3], np.zeros((24, 24, 3), np.uint8), np.full((5, 8, 3), 255, np.uint8)]
    for lr, sr in zip(photos, evidence.run(photos)):
        assert sr.dtype == np.uint8 and np.abs(sr.astype(int) - keras(lr)).max() <= 1


def test_levels_that_are_no_whole_numbers_are_computed_alike(evidence):
    [sr], [fine] = evidence.run([RANDOM]), evidence.run([RANDOM.astype(np.float32)])
    assert fine.dtype == np.float32 and len(np.unique(fine)) > 1000
    assert np.abs(np.round(fine).clip(0, 255) - sr).max() <= 1


def test_answers_come_in_the_order_of_the_patches(evidence):
    patches = [RANDOM[:16, 4 * i : 4 * i + width] for i, width in enumerate([16, 16, 24, 24, 16, 16, 16])]
    alone = [next(evidence.run([patch])) for patch in patches]
    assert all(np.array_equal(sr, one) for sr, one in zip(evidence.run(iter(patches)), alone, strict=True))
    assert list(evidence.run([])) == []


def test_a_record_says_what_computes_or_would(model):
    said = Engine(model, "evidence").describe()
    assert (said["precision"], said["threads"]) == ("f32", 2) and said["runtime"].startswith("openvino 20")


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such model"), ("text", "no network of"), ("", "no such model")]
)
def test_what_is_no_network_of_the_study_is_refused(tmp_path, name, message):
    (tmp_path / "text").write_text("no network")
    with pytest.raises(StudyError, match=message):
        Engine(tmp_path / name)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="takes no integers")
def test_integers_that_are_damaged_are_named(model, tmp_path):
    for name in ("generator.onnx", "generator.int8.xml"):
        shutil.copy(model.with_name(name), tmp_path)
    with pytest.raises(StudyError, match=r"generator\.int8\.xml: is damaged, or its \.bin is"):
        Engine(tmp_path / "generator.onnx")


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="needs its filter"
)
def test_another_process_gives_the_same_bytes_sends_nothing_and_leaves_no_file_at_home(evidence, model, tmp_path):
    died = python(f"{NO_SOCKETS}\nimport socket\nsocket.socket()")
    assert died.returncode == -31, died.stderr  # killed for its call
    homes = {f"XDG_{name}_HOME": str(tmp_path) for name in ("CACHE", "CONFIG", "DATA", "STATE")}
    done = python(f"{NO_SOCKETS}\n{RUN}\n{NO_CHILDREN}", model, HOME=str(tmp_path), CI="", **homes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == hashlib.sha256(next(evidence.run([RANDOM])).tobytes()).hexdigest()
    assert list(tmp_path.iterdir()) == []


def test_enlarging_imports_nothing_of_what_training_needs():
    heavy = {"tensorflow", "keras", "scipy", "pandas", "matplotlib", "torch", "skimage"}
    done = python(f"import sys, srstudy.enhance.work\nprint(sorted({heavy} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr
