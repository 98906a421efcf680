"""The device asked for is the one that runs, and ONNX Runtime's messages become clear errors."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.runtime.device import PROVIDERS, Device
from onnxplain.runtime.session import open_session
from onnxplain.runtime.tensors import join_places
from tests.helpers import models
from tests.helpers.gpus import needs_gpu, needs_no_gpu
from tests.helpers.specs import session_of


def test_session_knows_shapes_types_and_providers() -> None:
    session = session_of(models.additive(models.weights((4, 5)), layout="nhwc", dtype="uint8"))
    (image,), (scores,) = session.inputs, session.outputs
    assert (image.name, image.shape, image.dtype) == ("image", (None, 4, 5, 3), np.uint8)
    assert (scores.name, scores.shape, scores.dtype) == ("scores", (None, 3), np.float32)
    assert session.providers == ("CPUExecutionProvider",)
    assert set(session.placement) == {"CPUExecutionProvider"}


def test_values_on_the_device_give_the_outputs_of_arrays() -> None:
    session = session_of(models.convnet((16, 16)))
    images = np.random.default_rng(0).random((3, 3, 16, 16), np.float32)
    (expected,) = session.run({"image": images}, ["scores"])
    value = session.upload(images)
    (scores,) = session.run({"image": value}, ["scores"])
    np.testing.assert_array_equal(scores, expected)
    (last,) = session.run({"image": value.cut(2, 3)}, ["scores"])
    np.testing.assert_array_equal(last, session.run({"image": images[2:]}, ["scores"])[0])
    for image in (images, value):
        room = session.allocate(expected.shape, expected.dtype)
        session.run({"image": image}, places={"scores": room})
        np.testing.assert_array_equal(room.owner.numpy(), expected)


def test_outputs_left_on_the_device_are_those_of_the_host() -> None:
    session = session_of(models.convnet((16, 16)))
    images = np.random.default_rng(0).random((3, 3, 16, 16), np.float32)
    (expected,) = session.run({"image": images}, ["scores"])
    for image in (images, session.upload(images)):
        (place,) = session.run_on_device({"image": image}, ["scores"])
        assert (place.shape, place.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(place.owner.numpy(), expected)
    first, *others = (place.cut(row, row + 1) for row in (0, 1, 2, 1))
    assert [both.shape for both in join_places([first, *others])] == [(3, 5), (1, 5)]
    assert first.join(session.upload(expected).cut(1, 2)) is None  # of other memory


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "No graph was found"), (b"no protobuf at all", "protobuf parsing failed")],
)
def test_content_that_cannot_be_loaded_is_a_model_error(content: bytes, says: str) -> None:
    with pytest.raises(ModelError, match=f"tiny.onnx: ONNX Runtime cannot load it: .*{says}") as e:
        open_session(content, Device("cpu"), name="tiny.onnx")
    assert "[ONNXRuntimeError]" not in str(e.value)


def test_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="File doesn't exist"):
        open_session(tmp_path / "none.onnx", Device("cpu"), name="none.onnx")


def test_inputs_that_cannot_be_run_are_a_model_error_of_one_line() -> None:
    session = session_of(models.convnet((16, 16)))
    with pytest.raises(ModelError, match=r"tiny.onnx: ONNX Runtime cannot run it: .*16") as caught:
        session.run({"image": np.zeros((1, 3, 8, 8), np.float32)}, ["scores"])
    assert "\n" not in str(caught.value)
    assert "/onnxruntime_src" not in str(caught.value)


@needs_no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_an_error_that_says_so(device: str) -> None:
    with pytest.raises(DeviceError, match=f"--device {device} is not available: .*"):
        open_session(b"", Device.parse(device), name="tiny.onnx")


@needs_no_gpu
def test_auto_without_gpu_is_cpu_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "onnxplain"):
        session = open_session(
            models.convnet().SerializeToString(), Device("auto"), name="tiny.onnx"
        )
    assert str(session.device) == "cpu"
    assert "device auto: cpu (" in caplog.text


@needs_no_gpu
@pytest.mark.slow
@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_onnx_runtime_writes_nothing_to_the_terminal(device: str) -> None:
    script = f"""
from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import open_session
from onnxplain.runtime.tensors import join_places
from tests.helpers import models
from tests.helpers.gpus import needs_gpu, needs_no_gpu
try:
    open_session(models.convnet().SerializeToString(), Device({device!r}), name="tiny.onnx")
except DeviceError:
    pass
"""
    completed = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "", "")


@needs_gpu
def test_cuda_runs_the_model_and_agrees_with_cpu() -> None:
    content = models.convnet((32, 32)).SerializeToString()
    images = np.random.default_rng(0).random((5, 3, 32, 32), np.float32)
    on_gpu = open_session(content, Device("cuda"), name="tiny.onnx")
    on_cpu = open_session(content, Device("cpu"), name="tiny.onnx")
    assert on_gpu.providers[0] == PROVIDERS["cuda"]
    scores, expected = (
        session.run({"image": images}, ["scores"])[0] for session in (on_gpu, on_cpu)
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5)
