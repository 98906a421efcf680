"""Translates ONNX Runtime's errors, all of which are bare `Exception`, into the package's own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

from onnxplain.core.errors import DeviceError, ModelError
from onnxplain.runtime.device import Device, suggest_fix

_OUT_OF_MEMORY = re.compile(
    r"failed to allocate memory|available memory of|out of memory|ALLOC_FAILED|bad.alloc",
    re.IGNORECASE,
)
_GPU = re.compile(r"(CUDA|CUDNN|CUBLAS|CUFFT) (failure|error)|TensorRT librar", re.IGNORECASE)
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_SOURCE_LINE = re.compile(r"/\S+\.(?:cc|cu|h|hpp):\d+ \S.*?\)(?: const)? ")


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
        text = _shorten(error)
        if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error)):
            raise OutOfMemory(f"{name}: out of memory on {device}: {text}") from error
        if device.where != "cpu" and _GPU.search(str(error)):
            raise DeviceError(f"--device {device} fails: {text}; {suggest_fix(device)}") from error
        raise ModelError(f"{name}: ONNX Runtime cannot {doing} it: {text}") from error


def _shorten(error: Exception) -> str:
    """Return ONNX Runtime's message in one line, without its code and source lines."""
    text = " ".join(_SOURCE_LINE.sub("", _CODE.sub("", str(error))).split())
    return text[:400] or repr(error)
