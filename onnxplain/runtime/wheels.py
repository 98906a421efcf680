"""The packages of ONNX Runtime, of which only one may be installed."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Mapping
from functools import cache
from types import ModuleType

from onnxplain.core.errors import LibraryMissing, is_short_of_memory

log = logging.getLogger(__name__)

GPU, CPU = "onnxruntime-gpu", "onnxruntime"
AGAIN = (
    f"pip uninstall -y {GPU} {CPU}, then pip install {GPU} (for CUDA and CPU) or {CPU} (for CPU)"
)


def read_wheels() -> Mapping[str, str]:
    """Return the versions of the packages of ONNX Runtime that are installed, by name."""
    found = {}
    for name in (GPU, CPU):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_clash(wheels: Mapping[str, str], running: str = "") -> str:
    """Say that both packages are installed, and what to do; "" if at most one is.

    Parameters
    ----------
    wheels : mapping of str to str
        Versions by package, as `read_wheels` returns them.
    running : str
        The version that was imported, if any was.
    """
    if len(wheels) < 2:
        return ""
    listed = " and ".join(f"{name} {version}" for name, version in wheels.items())
    what = f"; {running} is what runs" if running else ""
    return (
        f"the packages {listed} are both installed and overwrite each other, as they share a "
        f"folder{what}: {AGAIN}"
    )


@cache
def import_wheel() -> ModuleType:
    """Import onnxruntime, and warn if two packages have written to its folder.

    Raises
    ------
    LibraryMissing
        If there is none, or its folder is not whole, as after one of two packages was removed.
    """
    wheels = read_wheels()
    try:
        import onnxruntime
    except ImportError as error:
        if is_short_of_memory(error):
            raise
        raise LibraryMissing(f"ONNX Runtime cannot be loaded ({error}): {AGAIN}") from error
    module: ModuleType = onnxruntime
    if not hasattr(module, "InferenceSession"):
        raise LibraryMissing(
            f"the folder of onnxruntime is not whole, as when one of two packages that share it "
            f"was removed: {AGAIN}"
        )
    if clash := describe_clash(wheels, module.__version__):
        log.warning("%s", clash)
    return module
