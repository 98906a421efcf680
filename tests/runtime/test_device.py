"""Devices are parsed as users write them, and an error says why one is not available."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxplain.runtime import device as devices
from onnxplain.runtime.device import PROVIDERS, Device, find_obstacle, suggest_fix
from tests.helpers.wheels import write_both_wheels

CUDA = Device("cuda")
BUILT_WITH = list(PROVIDERS.values())


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:3", "tensorrt"])
def test_devices_read_as_written(text: str) -> None:
    assert str(Device.parse(text)) == text


def test_first_cuda_device_has_two_names() -> None:
    assert Device.parse("cuda:0") == Device.parse("cuda")


@pytest.mark.parametrize("text", ["", "CPU", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda "])
def test_other_words_are_no_devices(text: str) -> None:
    with pytest.raises(ValueError, match="device is auto, cpu, cuda"):
        Device.parse(text)


def test_runtime_without_the_provider_says_what_to_install() -> None:
    obstacle = find_obstacle(CUDA, [PROVIDERS["cpu"]])
    assert obstacle is not None
    assert "built without it" in obstacle
    assert "onnxplain[cuda]" in obstacle
    assert find_obstacle(Device("cpu"), []) is None


@pytest.mark.parametrize(
    ("count", "index", "says"),
    [
        (None, 0, "there is no NVIDIA driver on this machine"),
        (0, 0, "the driver offers no device"),
        (2, 2, "the driver offers cuda:0 to cuda:1; check nvidia-smi"),
        (2, 1, None),
    ],
)
def test_the_driver_decides_which_cuda_devices_there_are(
    monkeypatch: pytest.MonkeyPatch, count: int | None, index: int, says: str | None
) -> None:
    monkeypatch.setattr(devices, "count_cuda_devices", lambda: count)
    obstacle = find_obstacle(Device("cuda", index), BUILT_WITH)
    assert obstacle is None if says is None else says in str(obstacle)


def test_two_wheels_that_overwrite_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "uninstall" not in suggest_fix(CUDA)
    write_both_wheels(tmp_path, monkeypatch)
    assert "overwrite each other" in suggest_fix(CUDA)
    assert "install TensorRT" in suggest_fix(Device("tensorrt"))
