"""What was asked for is what runs, and what ONNX Runtime says becomes one clear error."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.runtime.device import PROVIDERS, Device, count_cuda_devices, find_obstacle
from onnxplain.runtime.session import open_session
from tests.helpers import models
from tests.helpers.specs import session_of

CUDA = Device("cuda")
no_gpu = pytest.mark.skipif(bool(count_cuda_devices()), reason="there is a CUDA device here")


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:3", "tensorrt"])
def test_devices_read_as_written(text: str) -> None:
    assert str(Device.parse(text)) == text


def test_first_cuda_device_has_two_names() -> None:
    assert Device.parse("cuda:0") == Device.parse("cuda")


@pytest.mark.parametrize("text", ["", "CPU", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda "])
def test_other_words_are_no_devices(text: str) -> None:
    with pytest.raises(ValueError, match="device is auto, cpu, cuda"):
        Device.parse(text)


def test_session_tells_shapes_types_and_providers() -> None:
    session = session_of(models.additive(models.weights((4, 5)), layout="nhwc", dtype="uint8"))
    (entry,), (result,) = session.inputs, session.outputs
    assert (entry.name, entry.shape, entry.dtype) == ("image", (None, 4, 5, 3), np.uint8)
    assert (result.name, result.shape, result.dtype) == ("scores", (None, 3), np.float32)
    assert session.providers == ("CPUExecutionProvider",)
    assert set(session.placement) == {"CPUExecutionProvider"}


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "No graph was found"), (b"no protobuf at all", "protobuf parsing failed")],
)
def test_what_cannot_be_loaded_is_a_model_error(content: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=f"tiny.onnx: ONNX Runtime cannot load it: .*{says}") as e:
        open_session(content, Device("cpu"), name="tiny.onnx")
    assert "[ONNXRuntimeError]" not in str(e.value)


def test_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="File doesn't exist"):
        open_session(tmp_path / "none.onnx", Device("cpu"), name="none.onnx")


def test_what_cannot_be_run_is_a_model_error_of_one_line() -> None:
    session = session_of(models.convnet((16, 16)))
    with pytest.raises(ModelError, match=r"tiny.onnx: ONNX Runtime cannot run it: .*16") as caught:
        session.run({"image": np.zeros((1, 3, 8, 8), np.float32)}, ["scores"])
    assert "\n" not in str(caught.value)
    assert "/onnxruntime_src" not in str(caught.value)


def test_runtime_without_the_provider_says_what_to_install() -> None:
    why = find_obstacle(CUDA, [PROVIDERS["cpu"]])
    assert why is not None
    assert "built without it" in why
    assert "onnxplain[cuda]" in why
    assert find_obstacle(Device("cpu"), []) is None


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_gpu_that_is_not_there_is_an_error_that_says_so(device: str) -> None:
    with pytest.raises(DeviceError, match=f"--device {device} is not available: .*"):
        open_session(b"", Device.parse(device), name="tiny.onnx")


@no_gpu
def test_auto_without_gpu_is_cpu_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onnxplain"):
        session = open_session(
            models.convnet().SerializeToString(), Device("auto"), name="tiny.onnx"
        )
    assert str(session.device) == "cpu"
    assert "device auto: cpu (" in caplog.text


@no_gpu
@pytest.mark.slow
@pytest.mark.parametrize("device", ["auto", "cuda", "tensorrt"])
def test_nothing_but_our_words_reaches_the_terminal(device: str) -> None:
    script = f"""
from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import open_session
from tests.helpers import models
try:
    open_session(models.convnet().SerializeToString(), Device({device!r}), name="tiny.onnx")
except DeviceError:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.gpu
@pytest.mark.skipif(not count_cuda_devices(), reason="needs a CUDA device")
def test_cuda_runs_the_model_and_agrees_with_cpu() -> None:
    content = models.convnet((32, 32)).SerializeToString()
    images = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    on_gpu = open_session(content, CUDA, name="tiny.onnx", tf32=False)
    on_cpu = open_session(content, Device("cpu"), name="tiny.onnx")
    assert on_gpu.providers[0] == PROVIDERS["cuda"]
    got, expected = (one.run({"image": images}, ["scores"])[0] for one in (on_gpu, on_cpu))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
