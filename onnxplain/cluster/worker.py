"""What runs in the process of a worker."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Mapping
from typing import Any

from onnxplain.core.cores import keep_to_cores, list_cores
from onnxplain.core.errors import OnnxplainError, format_in_one_line
from onnxplain.version import __version__


class ClusterError(OnnxplainError):
    """Workers that cannot be started, or are not the same as where the work was started."""


class Worker:
    """Answers tasks, one at a time, once it has opened what it needs."""

    def look_around(self) -> tuple[str, str, int, tuple[int, ...]]:
        """Return where it runs, and the cores that it could use."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        return node, socket.gethostname(), os.getpid(), list_cores()

    def open(
        self,
        content: bytes,
        cores: list[int],
        halvings: int,
        folder: str,
        versions: dict[str, str],
    ) -> tuple[None, Exception | None]:
        """Make what answers tasks."""
        keep_to_cores(cores)
        if os.path.isdir(folder):
            os.chdir(folder)  # relative paths mean the same as where the work was started
        try:
            _check_versions(versions)
            self._answer = pickle.loads(content)(halvings)
        except Exception as error:
            return None, _make_portable(error)
        return None, None

    def answer(self, task: Any) -> tuple[Any, Exception | None]:
        """Answer a task."""
        try:
            return self._answer(task), None
        except Exception as error:
            return None, _make_portable(error)


def _make_portable(error: Exception) -> Exception:
    """Return the error without what cannot be sent: its causes, and classes nobody else has."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return OnnxplainError(format_in_one_line(error))
    return error


def list_versions() -> dict[str, str]:
    """Return the versions that must be the same everywhere, as they decide the numbers."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"onnxplain": __version__}
    for package in ("onnxruntime-gpu", "onnxruntime", "numpy", "opencv-python"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _check_versions(wanted: Mapping[str, str]) -> None:
    own = list_versions()
    others = [f"{name} {own[name]}, not {v}" for name, v in wanted.items() if own[name] != v]
    if others:
        raise ClusterError(
            f"{socket.gethostname()} has {'; '.join(others)}; install the same versions on all "
            f"machines"
        )
