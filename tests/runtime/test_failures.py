"""Messages as ONNX Runtime words them become the right error, in one readable line."""

from __future__ import annotations

import pytest

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.runtime.device import Device
from onnxplain.runtime.failures import OutOfMemory, translating_errors

ARENA = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. "
    "Name:'/c1' Status Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 "
    "void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) "
)
CASES: list[tuple[str, type[Exception], str]] = [
    (ARENA + "Failed to allocate memory for requested buffer of size 1", OutOfMemory, "cuda"),
    (ARENA + "Available memory of 5 is smaller than requested bytes of 9", OutOfMemory, "cpu"),
    ("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0", OutOfMemory, "cuda"),
    ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", OutOfMemory, "cuda"),
    ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory, "cuda"),
    ("std::bad_alloc", OutOfMemory, "cpu"),
    ("CUDA failure 35: CUDA driver version is insufficient ; GPU=0", DeviceError, "cuda"),
    ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no kernel for Foo(1)", ModelError, "cuda"),
    ("[ONNXRuntimeError] : 1 : FAIL : no opset 99", ModelError, "cpu"),
]


@pytest.mark.parametrize(("text", "error", "device"), CASES)
def test_texts_become_the_right_error(text: str, error: type[Exception], device: str) -> None:
    with pytest.raises(error) as caught, translating_errors("a.onnx", Device.parse(device), "run"):
        raise Exception(text)  # noqa: TRY002  # as ONNX Runtime does
    assert type(caught.value) is error
    for noise in ("[ONNXRuntimeError]", "/onnxruntime_src", "BFCArena", "\n"):
        assert noise not in str(caught.value)
