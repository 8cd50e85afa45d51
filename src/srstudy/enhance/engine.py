"""A released network without TensorFlow: by OpenVINO on the processor, by ONNX Runtime on NVIDIA's graphics cards."""

from __future__ import annotations

import hashlib
import platform
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import openvino
from openvino import opset13

from srstudy import StudyError

Mode = Literal["view", "evidence"]
SCALE = 4
THREADS = 2  # of evidence, whatever the machine has
AHEAD = 2  # patches that are computed while the one before is taken
NO_MODEL = "no network of the study as ONNX; see docs/released-models.md"


class Engine:
    """Patches of LR -> patches of SR, four times as wide and high. Super-resolution invents detail: SR is no evidence.

    Mode "view" computes as fast as this machine can: in 8-bit integers where the model has such a file, else in
    bfloat16 where the processor has it. "evidence" computes in float32, with a fixed number of threads, so that equal
    input gives equal pixels.
    """

    def __init__(self, model: Path, mode: Mode = "view"):
        """`model` is an ONNX file of `srstudy.enhance.export`. Raises StudyError if it is none."""
        try:
            content = model.read_bytes()
        except OSError as error:
            raise StudyError(f"{model}: no such model ({error.strerror}); see docs/released-models.md.") from None
        self.path, self.mode, self.sha256 = model, mode, hashlib.sha256(content).hexdigest()
        self._core, self._compiled = openvino.Core(), OrderedDict()
        try:
            self._model = self._core.read_model(content)
            (shape,) = (port.partial_shape for port in self._model.inputs)
            convolutions = (op for op in self._model.get_ops() if op.get_type_name() == "Convolution")
            kernels = [op.input(1).get_partial_shape() for op in convolutions]
            # px of LR that a pixel of SR may depend on; those of one channel interpolate, beside the others
            self.reach = sum(shape[2].get_length() // 2 for shape in kernels if shape[1].get_length() > 1)
        except Exception as error:
            raise StudyError(f"{model}: {NO_MODEL}.") from error
        if len(shape) != 4 or shape[3] != 3:
            raise StudyError(f"{model}: {NO_MODEL}.")
        self._session = _on_graphics_card(content) if mode == "view" and find_spec("onnxruntime") else None
        self._integers, self.integers, file = None, None, model.with_suffix(".int8.xml")
        if mode == "view" and not self._session and platform.machine() in ("x86_64", "AMD64") and file.is_file():
            try:
                self._integers = self._core.read_model(file)
                content = file.read_bytes() + file.with_suffix(".bin").read_bytes()
            except Exception as error:
                raise StudyError(
                    f"{file}: is damaged, or its .bin is; export the model again, or remove both."
                ) from error
            self.integers = hashlib.sha256(content).hexdigest()

    def run(self, patches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """SR of each patch, in order: uint8 [h, w, 3] -> uint8 [4h, 4w, 3], or float32 levels 0 to 255 likewise.

        Float levels are not rounded and may lie a little outside 0 to 255.
        """
        waiting: deque = deque()
        try:
            for number, patch in enumerate(patches):
                if self._session and patch.dtype == np.uint8:
                    yield self._session.run(None, {"lr": patch[None]})[0][0]
                    continue
                requests = self._requests(patch.shape, patch.dtype)
                if len(waiting) == AHEAD:
                    yield _result(waiting.popleft())
                request = requests[number % AHEAD]
                request.start_async([patch[None]], share_inputs=False)
                waiting.append(request)
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for request in waiting:  # who stops in the middle may begin again
                request.wait()

    def describe(self, deep: bool = False) -> dict[str, str | int]:
        """What computes, for a record: versions, device, precision, threads; `deep` of 16-bit samples."""
        if self._session and not deep:
            return {"runtime": f"onnxruntime {version('onnxruntime')}", "device": "CUDA", "precision": "f32"}
        kind = np.dtype(np.float32 if deep else np.uint8)
        used = next((found for (_, name), found in self._compiled.items() if name == str(kind)), None)
        compiled = (used or self._requests((16, 16, 3), kind))[0].get_compiled_model()
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return {
            "runtime": f"openvino {version('openvino')}",
            "device": self._core.get_property("CPU", "FULL_DEVICE_NAME").strip(),
            "precision": "int8" if self._integers and not deep else precision,
            "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        }

    def _requests(self, shape: tuple[int, ...], dtype: np.dtype) -> list[openvino.InferRequest]:
        """The network compiled for patches of this shape; the last two shapes are kept."""
        if (key := (shape, str(dtype))) not in self._compiled:
            network = self._integers or self._model
            network = network.clone() if dtype == np.uint8 else _of_levels(self._model.clone())
            network.reshape([1, *shape])
            settings = {"PERFORMANCE_HINT": "LATENCY"}
            if self.mode == "evidence" or dtype != np.uint8:
                settings["INFERENCE_PRECISION_HINT"] = "f32"
            if self.mode == "evidence":
                settings["INFERENCE_NUM_THREADS"] = THREADS
            compiled = self._core.compile_model(network, "CPU", settings)
            self._compiled[key] = [compiled.create_infer_request() for _ in range(AHEAD)]
            if len(self._compiled) > 2:
                self._compiled.popitem(last=False)
        return self._compiled[key]


def _of_levels(model: openvino.Model) -> openvino.Model:
    """The same network from and to float32 levels, 0 to 255, neither rounded nor cut off: for 16-bit samples."""
    (parameter,), (result,) = model.get_parameters(), model.get_results()
    levels = opset13.parameter(parameter.get_partial_shape(), np.float32)
    for cast in [target.get_node() for target in parameter.output(0).get_target_inputs()]:
        cast.output(0).replace(levels.output(0))
    last = result.input_value(0).get_node()
    while last.get_type_name() in ("Convert", "Clamp", "Round", "Minimum", "Maximum"):
        last = last.input_value(0).get_node()
    return openvino.Model([last.output(0)], [levels])


def _on_graphics_card(content: bytes):
    """A session of ONNX Runtime, or None without an NVIDIA card that it can use."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return None
    session = onnxruntime.InferenceSession(content, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
    return session if "CUDAExecutionProvider" in session.get_providers() else None


def _result(request: openvino.InferRequest) -> np.ndarray:
    request.wait()
    return np.array(request.get_output_tensor(0).data[0])
