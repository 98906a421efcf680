"""ONNX Runtime itself: imported late, kept quiet, and set up for a device."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from onnxplain.runtime.device import PROVIDERS, Build, Device
from onnxplain.runtime.wheels import import_wheel

# Levels of ONNX Runtime's log. It also raises what it logs as an error, so nothing is lost.
SILENT, WARNINGS = 4, 2


# ONNX Runtime reads it as it is imported, and would leave a device id in the user's cache.
TELEMETRY = "ORT_DISABLE_TELEMETRY"


def import_runtime() -> ModuleType:
    """Import the onnxruntime package when it is first needed: that takes 0.1 s or more.

    Its telemetry is turned off, unless the user has set `TELEMETRY`.

    Raises
    ------
    LibraryMissing
        If it is not installed, or not whole.
    """
    is_chosen = TELEMETRY in os.environ
    os.environ.setdefault(TELEMETRY, "1")
    module = import_wheel()
    if not is_chosen:  # the program may have imported it before
        module.disable_telemetry_events()
    return module


def get_ort_version() -> str:
    """Return the version of ONNX Runtime."""
    return str(import_runtime().__version__)


@cache
def read_build() -> Build:
    """Read what the installed ONNX Runtime was built with."""
    ort = import_runtime()
    cuda = str(getattr(ort, "cuda_version", "") or "")  # the CPU's wheel has none
    return Build(tuple(ort.get_available_providers()), cuda, Path(str(ort.__file__)).parent)


def make_options(ort: ModuleType, device: Device, *, threads: int, folder: Path | None) -> Any:
    """Make the options of a session on a device.

    `threads` is the number of threads within one run, on CPU; `folder` holds the external data, if
    there is any.
    """
    options = ort.SessionOptions()
    options.log_severity_level = SILENT
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Only this level uses the blocked layout of CPU convolutions, which halves the time.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Threads that spin after a run take the cores from other sessions.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if folder is not None:
        key = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(key, os.fspath(folder))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device.where != "cpu":
        # CUDA has no kernels of integers that a QDQ model's could become, nor one for its biases of
        # int32: without them, constants are dequantised once and for all as the model is loaded.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.use_deterministic_compute = True  # in those kernels that have the choice
    return options


def make_shrinking_options(device: Device) -> Any:
    """Make the options of a run after which memory that is not in use goes back to the GPU."""
    options = import_runtime().RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"gpu:{device.index}")
    return options


def list_providers(device: Device, *, tf32: bool) -> list[str | tuple[str, dict[str, str]]]:
    """List the execution providers of a device, the preferred one first, with their options."""
    if device.where == "cpu":
        return [PROVIDERS["cpu"]]
    cuda = {
        "device_id": str(device.index),
        # The default search tries every algorithm again for each new batch size.
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": "1",
        "arena_extend_strategy": "kSameAsRequested",
        "use_tf32": str(int(tf32)),
    }
    return [(PROVIDERS["cuda"], cuda), PROVIDERS["cpu"]]


_loading_on_a_gpu = threading.Lock()


@contextlib.contextmanager
def silencing(ort: ModuleType, device: Device) -> Iterator[None]:
    """Keep ONNX Runtime off stderr while a session is made on a GPU; errors are raised as well.

    The level is the whole process's and cannot be read: whoever has set another one does so again
    after loading on a GPU. On the CPU the session's own level is enough.
    """
    if device.where == "cpu":
        yield
        return
    with _loading_on_a_gpu:
        ort.set_default_logger_severity(SILENT)
        try:
            yield
        finally:
            ort.set_default_logger_severity(WARNINGS)


def get_cudnn_version() -> str:
    """Return the version of cuDNN that a session on a GPU has loaded; "" if it cannot be asked."""
    name = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return ""
    library.cudnnGetVersion.restype = ctypes.c_size_t
    major, rest = divmod(library.cudnnGetVersion(), 10_000)
    return f"{major}.{rest // 100}.{rest % 100}"


@cache
def preload_cuda() -> str:
    """Load the CUDA libraries that came as wheels; return ONNX Runtime's complaints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        import_runtime().preload_dlls()
    return " ".join(printed.getvalue().split())
