"""The driver is asked for its GPUs; on the fake device too (`tests/gpu_fake`)."""

from __future__ import annotations

from onnxplain.runtime.driver import read_driver
from tests.helpers.gpus import needs_gpu, needs_no_gpu


@needs_no_gpu
def test_without_a_gpu_there_is_no_driver_or_one_without_gpus() -> None:
    driver = read_driver()
    assert driver is None or driver.gpus == ()


@needs_gpu
def test_a_real_driver_names_its_gpus() -> None:
    driver = read_driver()
    assert driver is not None
    assert driver.cuda >= (11, 0)
    assert all(gpu.name and gpu.capability >= 30 for gpu in driver.gpus)
