"""The cores of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable


def list_cores() -> tuple[int, ...]:
    """List the cores that this process may use."""
    if sys.platform == "linux":  # only there a process can be kept to some
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(list_cores())


def keep_to_cores(cores: Iterable[int]) -> None:
    """Keep the threads that are started from now on to some cores, where the system can."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)
