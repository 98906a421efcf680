"""The code that a library holds for GPUs is read from its fat binaries."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from onnxplain.runtime.gpu_code import GpuCode, describe_code, read_gpu_code, runs_on


def write_binary(*entries: tuple[int, int], size: int = 24) -> bytes:
    """Write a fat binary of some entries: kind (1: PTX, 2: machine code) and capability."""
    body = b"".join(
        struct.pack("<HHIQ12xI32x", kind, 1, 64, size, capability) + bytes(size)
        for kind, capability in entries
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(body)) + body


def test_all_binaries_of_a_library_are_read(tmp_path: Path) -> None:
    library = tmp_path / "lib.so"
    noise = b"\x7fELF" + b"\x50\xed\x55\xba" * 3 + bytes(99)  # looks like one, and is none
    library.write_bytes(noise + write_binary((2, 75), (2, 90)) + bytes(5) + write_binary((1, 90)))
    code = read_gpu_code(library)
    assert code == {GpuCode(75, False), GpuCode(90, False), GpuCode(90, True)}
    assert describe_code(code) == "7.5, 9.0, 9.0 (PTX)"


@pytest.mark.parametrize("content", [None, b"", b"\x50\xed\x55\xba", write_binary((2, 75))[:50]])
def test_a_library_without_code_lets_every_gpu_pass(tmp_path: Path, content: bytes | None) -> None:
    library = tmp_path / "lib.so"
    if content is not None:
        library.write_bytes(content)
    assert read_gpu_code(library) == frozenset()
    assert runs_on(frozenset(), 70)


@pytest.mark.parametrize(
    ("capability", "runs"),
    [(70, False), (75, True), (80, False), (86, True), (89, True), (90, False), (120, False)],
)
def test_machine_code_runs_on_its_generation_only(capability: int, runs: bool) -> None:
    code = frozenset({GpuCode(75, False), GpuCode(86, False)})
    assert runs_on(code, capability) == runs
    assert runs_on(code | {GpuCode(75, True)}, capability) == (capability >= 75)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_what_nvcc_writes_is_read(tmp_path: Path) -> None:
    source, library = tmp_path / "k.cu", tmp_path / "k.so"
    source.write_text("__global__ void k() {}")
    codes = [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_90,code=[sm_90,compute_90]",
    ]
    options = ["-shared", "-Xcompiler", "-fPIC", "-cudart", "none", "-o"]
    subprocess.run(["nvcc", *codes, *options, library, source], check=True)
    expected = {GpuCode(75, False), GpuCode(90, False), GpuCode(90, True)}
    assert read_gpu_code(library) == expected
