"""Where models run: the devices a user may ask for, and whether they are available."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from onnxplain.runtime.driver import Driver, read_driver
from onnxplain.runtime.gpu_code import describe_code, read_provider_code, runs_on
from onnxplain.runtime.wheels import AGAIN, CPU, GPU, describe_clash, read_wheels

Where: TypeAlias = Literal["auto", "cpu", "cuda"]

# The provider whose presence in a created session proves that the device is used.
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True, slots=True)
class Device:
    """A place to run models: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

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
            case "auto" | "cpu" | "cuda":
                return cls(text)
        if match := re.fullmatch(r"cuda:(\d{1,3})", text):
            return cls("cuda", int(match[1]))
        raise ValueError(f"device is auto, cpu, cuda or cuda:N, got {text!r}")

    def __str__(self) -> str:
        return f"{self.where}:{self.index}" if self.index else self.where


class Build(NamedTuple):
    """What the installed ONNX Runtime was built with, and its folder."""

    providers: tuple[str, ...]
    cuda: str  # the version, such as "13.0"; "" if none, or not known
    folder: Path


def find_obstacle(device: Device, build: Build) -> str | None:
    """Say why a device is not available here and what to do; None if nothing is in the way.

    Parameters
    ----------
    device : Device
        Any but ``auto``.
    build : Build
        Of the installed ONNX Runtime.
    """
    if device.where == "cpu":
        return None
    if PROVIDERS[device.where] not in build.providers:
        return "the installed onnxruntime is built without it; " + suggest_packages()
    driver = read_driver()
    if driver is None:
        return "there is no NVIDIA driver on this machine; install it, or use --device cpu"
    return _find_old_driver(driver, build.cuda) or _find_unsuitable_gpu(device, driver, build)


def _find_old_driver(driver: Driver, cuda: str) -> str | None:
    needed = int(cuda.split(".")[0] or 0)
    major, minor = driver.cuda
    if not 0 < major < needed:  # within a major version, older drivers run newer minor ones
        return None
    return (
        f"the NVIDIA driver runs CUDA {major}.{minor} at most, and the installed onnxruntime needs "
        f"CUDA {needed}; update the driver"
    )


def _find_unsuitable_gpu(device: Device, driver: Driver, build: Build) -> str | None:
    count = len(driver.gpus)
    if device.index >= count:
        devices = f"cuda:0 to cuda:{count - 1}" if count else "no device"
        return f"the driver offers {devices}; check nvidia-smi and CUDA_VISIBLE_DEVICES"
    gpu, code = driver.gpus[device.index], read_provider_code(build.folder)
    if runs_on(code, gpu.capability):
        return None
    return (
        f"the installed onnxruntime holds no code for {gpu.name}, of compute capability "
        f"{gpu.capability / 10:.1f}, but for {describe_code(code)}; install a version that has "
        f"it, or use --device cpu"
    )


def suggest_packages() -> str:
    """Say which packages most likely have to be installed or removed for CUDA to load."""
    wheels = read_wheels()
    if clash := describe_clash(wheels):
        return clash
    if GPU not in wheels:
        return f"{CPU} runs on the CPU alone: {AGAIN}, with pip install 'onnxplain[cuda]'"
    return "install the CUDA and cuDNN libraries with pip install 'onnxplain[cuda]'"
