"""Where models run: the devices a user may ask for, and whether they are available."""

from __future__ import annotations

import ctypes
import functools
import re
import sys
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnxplain.runtime.wheels import AGAIN, CPU, GPU, describe_clash, read_wheels

Where: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt"]

# The provider whose presence in a created session proves that the device is used.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True, slots=True)
class Device:
    """A place to run models: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``tensorrt``.

    Examples
    --------
    >>> str(Device.parse("cuda:1")), Device.parse("cuda")
    ('cuda:1', Device(where='cuda', index=0))
    """

    where: Where
    index: int = 0

    @classmethod
    def parse(cls, text: str) -> Device:
        """Parse a device as users write it.

        Raises
        ------
        ValueError
            If `text` names no device.
        """
        match text:
            case "auto" | "cpu" | "cuda" | "tensorrt":
                return cls(text)
        if match := re.fullmatch(r"cuda:(\d{1,3})", text):
            return cls("cuda", int(match[1]))
        raise ValueError(f"device is auto, cpu, cuda, cuda:N or tensorrt, got {text!r}")

    def __str__(self) -> str:
        return f"{self.where}:{self.index}" if self.index else self.where


@functools.cache
def count_cuda_devices() -> int | None:
    """Count the CUDA devices that the driver sees; return None if there is no driver.

    The driver itself is asked: ONNX Runtime lists its CUDA provider on machines that have
    no GPU, and complains on stderr when it is tried.
    """
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return None
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def find_obstacle(device: Device, providers: list[str]) -> str | None:
    """Say why a device is not available here and what to do; None if nothing is in the way.

    Parameters
    ----------
    device : Device
        Any but ``auto``.
    providers : list of str
        The execution providers that the installed ONNX Runtime was built with.
    """
    if device.where == "cpu":
        return None
    if PROVIDERS[device.where] not in providers:
        return "the installed onnxruntime is built without it; " + _suggest_packages()
    count = count_cuda_devices()
    if count is None:
        return "there is no NVIDIA driver on this machine; install it, or use --device cpu"
    if device.index >= count:
        devices = f"cuda:0 to cuda:{count - 1}" if count else "no device"
        return f"the driver offers {devices}; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    return None


def suggest_fix(device: Device) -> str:
    """Say what most likely has to be installed when a session comes back without its provider."""
    if device.where == "tensorrt":
        return "TensorRT's libraries were not found; install TensorRT, or use --device cuda"
    return _suggest_packages()


def _suggest_packages() -> str:
    """Say which packages to install or remove."""
    wheels = read_wheels()
    if clash := describe_clash(wheels):
        return clash
    if GPU not in wheels:
        return f"{CPU} runs on the CPU alone: {AGAIN}, with pip install 'onnxplain[cuda]'"
    return "install the CUDA and cuDNN libraries with pip install 'onnxplain[cuda]'"
