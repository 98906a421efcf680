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
    ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", DeviceError, "cuda"),
    ("CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED ; GPU=0", DeviceError, "cuda"),
    ("OP not supported by CUDNN Frontend: [with ERRTYPE = int; T = x] Failed", DeviceError, "cuda"),
    ("CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", OutOfMemory, "cuda"),
    ("CUDA_ERROR_OUT_OF_MEMORY", OutOfMemory, "cuda"),
    ("CUBLAS failure 1: CUBLAS_STATUS_NOT_INITIALIZED ; GPU=0", OutOfMemory, "cuda"),
    ("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no kernel for Foo(1)", ModelError, "cuda"),
    ("[ONNXRuntimeError] : 1 : FAIL : no opset 99", ModelError, "cpu"),
]


@pytest.mark.parametrize(("text", "error", "device"), CASES)
def test_texts_become_the_right_error(text: str, error: type[Exception], device: str) -> None:
    with pytest.raises(error) as caught, translating_errors("a.onnx", Device.parse(device), "run"):
        raise Exception(text)  # noqa: TRY002  # as ONNX Runtime does
    assert type(caught.value) is error
    for noise in ("[ONNXRuntimeError]", "/onnxruntime_src", "BFCArena", "ERRTYPE", "\n"):
        assert noise not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "CUDA failure 35: CUDA driver version is insufficient ; GPU=0",
            "update the NVIDIA driver",
        ),
        ("CUDA failure 209: no kernel image is available ; GPU=0", "holds code for this GPU"),
        ("CUDA error cudaErrorNoKernelImageForDevice:no kernel image", "holds code for this GPU"),
        ("CUDA failure 700: an illegal memory access ; GPU=0", ""),
        ("CUDA failure 700: an illegal memory access at 35 ; GPU=0", ""),
        ("CUDNN failure 8: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0", ""),
        ("libcudnn.so.9: cannot open shared object file", "pip install 'onnxplain[cuda]'"),
    ],
)
def test_advice_fits_the_failure(text: str, advice: str) -> None:
    with pytest.raises(DeviceError) as caught, translating_errors("a", Device("cuda"), "run"):
        raise Exception(text)  # noqa: TRY002  # as ONNX Runtime does
    assert advice in str(caught.value)
    assert bool(advice) != str(caught.value).endswith(text)
    assert ("pip install" in str(caught.value)) == ("pip install" in advice)
