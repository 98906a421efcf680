"""Marks of tests by whether there is a real GPU here."""

from __future__ import annotations

from typing import TypeVar

import pytest

from onnxplain.runtime.driver import read_driver

T = TypeVar("T")

_driver = read_driver()
_has_gpu = _driver is not None and bool(_driver.gpus)

needs_no_gpu = pytest.mark.skipif(_has_gpu, reason="there is a CUDA device here")


def needs_gpu(test: T) -> T:
    """Mark a test that runs on a real GPU only."""
    skip = pytest.mark.skipif(not _has_gpu, reason="needs a CUDA device")
    marked: T = pytest.mark.gpu(skip(test))
    return marked
