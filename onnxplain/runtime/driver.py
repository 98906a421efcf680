"""The NVIDIA driver: which GPUs it offers, and which CUDA it runs."""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass

# Numbers of `cuDeviceGetAttribute`.
_MAJOR, _MINOR = 75, 76


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU: its name, and its compute capability as ten times major plus minor (90: 9.0)."""

    name: str
    capability: int


@dataclass(frozen=True, slots=True)
class Driver:
    """The newest CUDA that the driver runs, as (major, minor), and its GPUs in order."""

    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


@functools.cache
def read_driver() -> Driver | None:
    """Ask the driver; return None if there is none.

    The driver itself is asked, as ONNX Runtime lists its CUDA provider on machines that have no
    GPU, and complains on stderr when it is tried. A process that was forked off later cannot use
    CUDA, as with everything that starts it.
    """
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    version, count = ctypes.c_int(0), ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    works = library.cuInit(0) == 0 and library.cuDeviceGetCount(ctypes.byref(count)) == 0
    gpus = tuple(_read_gpu(library, index) for index in range(count.value)) if works else ()
    return Driver((version.value // 1000, version.value % 1000 // 10), gpus)


def _read_gpu(library: ctypes.CDLL, index: int) -> Gpu:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(device), index)
    library.cuDeviceGetName(name, len(name), device)
    numbers = []
    for attribute in (_MAJOR, _MINOR):
        number = ctypes.c_int(0)
        library.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        numbers.append(number.value)
    return Gpu(name.value.decode(errors="replace"), 10 * numbers[0] + numbers[1])
