"""What the tests ask of the fake device: counts, and a limit of its memory."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple


class Counts(NamedTuple):
    """What the device has done so far, in the order of the kit's counters."""

    launches: int
    uploads: int
    upload_bytes: int
    downloads: int
    download_bytes: int
    syncs: int
    mallocs: int
    live_bytes: int

    def since(self, earlier: Counts) -> Counts:
        """What was done since then."""
        return Counts(*(now - then for now, then in zip(self, earlier, strict=True)))


@cache
def _load_runtime() -> ctypes.CDLL:
    library = ctypes.CDLL("libcudart.so.13")
    library.fake_limit_memory.argtypes = [ctypes.c_longlong]
    return library


def read_counts() -> Counts:
    """Read the counters."""
    values = (ctypes.c_longlong * len(Counts._fields))()
    _load_runtime().fake_read_counts(values)
    return Counts(*values)


def count_plans() -> int:
    """Count the plans that were made of convolutions."""
    count = ctypes.CDLL("libcudnn.so.9").fake_count_plans
    count.restype = ctypes.c_longlong
    return int(count())


@contextlib.contextmanager
def limiting_memory(more: int) -> Iterator[None]:
    """Let the device have `more` bytes beside those that are in use now."""
    _load_runtime().fake_limit_memory(read_counts().live_bytes + more)
    try:
        yield
    finally:
        _load_runtime().fake_limit_memory(-1)


@contextlib.contextmanager
def failing_launches(error: int) -> Iterator[None]:
    """Let every kernel fail with an error of CUDA."""
    _load_runtime().fake_fail_launches(error)
    try:
        yield
    finally:
        _load_runtime().fake_fail_launches(0)
