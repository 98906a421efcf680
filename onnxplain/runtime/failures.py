"""Translates ONNX Runtime's errors, all of which are bare `Exception`, into the package's own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.runtime.device import Device, suggest_packages

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|available memory of|out[ _]of[ _]memory|ALLOC(ATION)?_FAILED"
    r"|bad.alloc",
    re.IGNORECASE,
)
# Libraries that find no room for their own buffers say that they are not initialised.
_NO_ROOM = re.compile(r"CU(BLAS|DNN)_STATUS_NOT_INITIALIZED")
_GPU = re.compile(
    r"\bCU(DA|DNN|DNN_FE|BLAS|BLAS_LT|FFT|RAND) (failure|error)|CUDA_ERROR_|CUDNN[ _]Frontend",
    re.IGNORECASE,
)
_LIBRARY = re.compile(r"lib(cud|cublas|cufft|curand|nv)\w*\.|cuDNN (is )?not|cannot open shared")
_CUDA = re.compile(r"\bCUDA (?:failure|error) (\w+)", re.IGNORECASE)
# What to do about a failure of CUDA, by its number and its name: ONNX Runtime tells either.
_ADVICE = {
    r"\b35\b|InsufficientDriver|SystemDriverMismatch": "update the NVIDIA driver",
    r"\b209\b|NoKernelImage": "install an onnxruntime-gpu that holds code for this GPU, or use "
    "--device cpu",
}
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE_LINE = re.compile(r"/\S+\.(?:cc|cu|h|hpp):\d+ \S.*?\)(?: const)? ")
_TYPES = re.compile(r"\[with \w+ = [^]]*\] ?|\bstd::\S*<[^>]*>\S* ")


class OutOfMemory(DeviceError):
    """A run needed more memory than the device has; fewer images may fit."""


@contextlib.contextmanager
def translating_errors(name: str, device: Device, doing: Literal["load", "run"]) -> Iterator[None]:
    """Turn any error that is raised inside into one of the package's own.

    Parameters
    ----------
    name : str
        The model.
    device : Device
        Where it runs.
    doing : {'load', 'run'}
        What is being done with the model.

    Raises
    ------
    OutOfMemory
        If the device has too little memory; a session stays usable.
    DeviceError
        If the device or its libraries fail.
    ModelError
        Otherwise.
    """
    try:
        yield
    except Exception as error:
        text, whole = _shorten(error), str(error)
        lacks_room = _OUT_OF_MEMORY.search(whole) or (doing == "run" and _NO_ROOM.search(whole))
        if isinstance(error, MemoryError) or lacks_room:
            raise OutOfMemory(f"{name}: out of memory on {device}: {text}") from error
        if device.where != "cpu" and (_GPU.search(whole) or _LIBRARY.search(whole)):
            advice = _advise(whole)
            raise DeviceError(
                f"--device {device} fails: {text}{advice and '; '}{advice}"
            ) from error
        raise ModelError(f"{name}: ONNX Runtime cannot {doing} it: {text}") from error


def _advise(text: str) -> str:
    """Say what to do about a failure of CUDA; "" if nothing is known to help."""
    if _LIBRARY.search(text):
        return suggest_packages()
    code = _CUDA.search(text)
    return next(
        (advice for codes, advice in _ADVICE.items() if code and re.search(codes, code[1])), ""
    )


def _shorten(error: Exception) -> str:
    """Return ONNX Runtime's message in one line, without its code and source lines."""
    text = _TYPES.sub("", _SOURCE_LINE.sub("", _CODE.sub("", str(error))))
    return " ".join(text.split())[:400] or repr(error)
