"""For which GPUs ONNX Runtime's CUDA provider holds code.

Its kernels stand in the library as *fat binaries*, each with machine code for some compute
capabilities, and perhaps PTX, from which the driver makes machine code for later GPUs. Where
neither suits a GPU, sessions load, and fail with CUDA's error 209 at the first kernel.
"""

from __future__ import annotations

import functools
import mmap
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MAGIC = b"\x50\xed\x55\xba"
_HEADER = struct.Struct("<4sHHQ")  # magic, version, bytes of the header, bytes that follow it
_ENTRY = struct.Struct("<HHIQ12xI")  # kind, version, bytes of header and of code, ..., capability
_PTX = 1


class GpuCode(NamedTuple):
    """Code for a compute capability (90: 9.0): machine code, or PTX."""

    capability: int
    is_ptx: bool


def runs_on(code: frozenset[GpuCode], capability: int) -> bool:
    """Return whether some code runs on a GPU; true if no code is known.

    Machine code runs on its own generation, from its capability on; PTX on all later GPUs.
    """
    return not code or any(
        entry.capability <= capability
        and (entry.is_ptx or entry.capability // 10 == capability // 10)
        for entry in code
    )


def describe_code(code: frozenset[GpuCode]) -> str:
    """List the compute capabilities, as ``7.5, 8.0, 9.0 (PTX)``."""
    return ", ".join(
        f"{entry.capability / 10:.1f}{' (PTX)' * entry.is_ptx}" for entry in sorted(code)
    )


def read_provider_code(package: Path) -> frozenset[GpuCode]:
    """Read the code of the CUDA provider in the folder of onnxruntime; none if it is not found."""
    name = "onnxruntime_providers_cuda"
    file = f"{name}.dll" if sys.platform == "win32" else f"lib{name}.so"
    return read_gpu_code(package / "capi" / file)


@functools.cache
def read_gpu_code(library: Path) -> frozenset[GpuCode]:
    """Read for which GPUs a library holds code; none if it cannot be read."""
    try:
        with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as b:
            return frozenset(_list_code(b))
    except (OSError, ValueError):  # no such file, or an empty one
        return frozenset()


def _list_code(content: mmap.mmap) -> Iterator[GpuCode]:
    """Yield the code of every fat binary; what only looks like one is passed over."""
    at = content.find(_MAGIC)
    while 0 <= at <= len(content) - _HEADER.size:
        _, version, header, size = _HEADER.unpack_from(content, at)
        start, end = at + header, at + header + size
        if version != 1 or header != _HEADER.size or end > len(content):
            end = at + len(_MAGIC)
        else:
            yield from _list_entries(content, start, end)
        at = content.find(_MAGIC, end)


def _list_entries(content: mmap.mmap, at: int, end: int) -> Iterator[GpuCode]:
    while at + _ENTRY.size <= end:
        kind, _, header, size, capability = _ENTRY.unpack_from(content, at)
        if header < _ENTRY.size or at + header + size > end:
            return
        yield GpuCode(capability, kind == _PTX)
        at += header + size
