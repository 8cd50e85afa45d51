"""A generator as ONNX gives what it gives in Keras."""

import numpy as np
import pytest

from srstudy.networks.architectures import BicubicEnlargement, load_model
from srstudy.networks.enhance import Enhancer
from srstudy.networks.export import ConvolvedEnlargement, export


def test_the_enlargement_by_convolution_is_tensorflow_s_up_to_its_borders():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 11, 7, 3)).astype("float32")
    np.testing.assert_allclose(ConvolvedEnlargement()(images), BicubicEnlargement(4)(images), atol=1e-5)


def test_a_released_model_gives_the_same_picture_by_onnx_runtime(root, photo, tmp_path, monkeypatch):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")  # else it sends reports of its use
    pytest.importorskip("tf2onnx", reason="the group `export` is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the group `export` is not installed")
    model = load_model(root / "models/released/recommended-psnr/generator.keras")
    export(model, tmp_path / "generator.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "generator.onnx", providers=["CPUExecutionProvider"])
    for lr in (photo[:40, :52], photo[60:67, 30:35]):
        [sr] = session.run(None, {"lr": lr[None]})
        assert np.abs(sr[0].astype(int) - Enhancer(model, "image")(lr)).max() <= 1
