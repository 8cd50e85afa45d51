"""A generator as ONNX gives what it gives in Keras."""

import numpy as np
import pytest

from srstudy import StudyError
from srstudy.enhance.export import ConvolvedEnlargement, export
from srstudy.networks.architectures import BicubicEnlargement, load_model, srgan_generator
from srstudy.networks.enhance import Enhancer


def test_the_enlargement_by_convolution_is_tensorflow_s_up_to_its_borders():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 11, 7, 3)).astype("float32")
    np.testing.assert_allclose(ConvolvedEnlargement()(images), BicubicEnlargement(4)(images), atol=1e-5)


def test_batch_norm_which_onnx_would_give_other_statistics_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"model\.onnx: its model has batch norm"):
        export(srgan_generator(4, 1), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


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
