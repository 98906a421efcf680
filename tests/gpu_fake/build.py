"""Builds the fake device: libraries that ONNX Runtime's own CUDA provider loads without a GPU.

Only a C compiler and the wheel onnxruntime-gpu are needed. What the provider calls and the kit
does not define becomes a function that does nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

KIT = Path(__file__).parent / "kit"
# Libraries by what their functions begin with, and the file of the kit that has some of them.
LIBRARIES = {
    "libcudart.so.13": (r"(?:__)?cuda[A-Z]\w+", "runtime.c"),
    "libcuda.so.1": (r"cu[A-Z]\w+", "driver.c"),
    "libcudnn.so.9": (r"cudnn[A-Z]\w+", "cudnn.c"),
    "libcublas.so.13": (r"cublas(?!Lt)[A-Z]\w+", None),
    "libcublasLt.so.13": (r"cublasLt[A-Z]\w+", None),
    "libcufft.so.12": (r"cufft[A-Z]\w+", None),
    "libcurand.so.10": (r"curand[A-Z]\w+", None),
}
DEFINED = re.compile(r"\b((?:__)?cu[a-zA-Z]\w+)\(")


def find_provider() -> Path | None:
    """Find the library of ONNX Runtime's CUDA provider; None without that wheel."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    library = Path(spec.origin).parent / "capi" / "libonnxruntime_providers_cuda.so"
    return library if library.exists() else None


def find_obstacle() -> str | None:
    """Say what is missing for building the fake device; None if nothing is."""
    if shutil.which("gcc") is None:
        return "the fake device is built with gcc, which is not here"
    if find_provider() is None:
        return "the fake device serves onnxruntime-gpu for Linux, which is not here"
    return None


def build_fake_device(cache: Path) -> Path:
    """Build the libraries, unless they are in the cache folder; return their folder."""
    provider = find_provider()
    assert provider is not None
    sources = sorted([*KIT.iterdir(), Path(__file__)])
    content = b"".join(source.read_bytes() for source in sources)
    stamp = f"{provider.stat().st_size} {provider.stat().st_mtime_ns}".encode()
    folder = cache / hashlib.sha256(content + stamp).hexdigest()[:16]
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.{os.getpid()}")
        new.mkdir(parents=True)
        words = _list_functions(provider)
        for name, (pattern, source) in LIBRARIES.items():
            _compile(new, name, words, pattern, source)
        new.rename(folder)
    return folder


def _list_functions(provider: Path) -> set[str]:
    """List the functions that the provider links to, and those that it looks up by their names."""
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", provider], check=True, capture_output=True, text=True
    )
    linked = set(re.findall(r"\bU ((?:__)?cu\w+)", listed.stdout))
    late = re.findall(rb"\0(cudnn[A-Z]\w+|cufft[A-Z]\w+)(?=\0)", provider.read_bytes())
    return linked | {name.decode() for name in late}


def _compile(folder: Path, name: str, words: set[str], pattern: str, source: str | None) -> None:
    code = (KIT / source).read_text() if source else ""
    wanted = {word for word in words if re.fullmatch(pattern, word)}
    written = [_write_stub(word) for word in sorted(wanted - set(DEFINED.findall(code)))]
    path = folder / f"{name}.c"
    path.write_text("\n".join(["#include <stdlib.h>", code, *written]))
    options = ["-shared", "-fPIC", "-O1", "-w", f"-I{KIT}", f"-Wl,-soname,{name}"]
    versions = ["-Wl,--default-symver"]
    command = ["gcc", *options, *versions, "-o", str(folder / name), str(path), "-lpthread"]
    subprocess.run(command, check=True)


def _write_stub(name: str) -> str:
    """Write a function that succeeds; one that makes a handle returns some memory."""
    if re.search(r"(Error|Status)(String|Name)$|LastErrorString$", name):
        return f'const char *{name}(void) {{ return "an error of the fake device"; }}'
    if "Create" in name:
        return f"int {name}(void **handle) {{ *handle = calloc(1, 256); return 0; }}"
    return f"int {name}(void) {{ return 0; }}"
