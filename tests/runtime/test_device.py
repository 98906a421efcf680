"""Devices are parsed as users write them, and an error says why one is not available."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnxplain.runtime import device as devices
from onnxplain.runtime.device import PROVIDERS, Build, Device, find_obstacle, suggest_packages
from onnxplain.runtime.driver import Driver, Gpu
from onnxplain.runtime.gpu_code import GpuCode
from tests.helpers.wheels import write_both_wheels

CUDA = Device("cuda")
BUILD = Build(tuple(PROVIDERS.values()), "13.0", Path())


@pytest.mark.parametrize("text", ["auto", "cpu", "cuda", "cuda:3"])
def test_devices_read_as_written(text: str) -> None:
    assert str(Device.parse(text)) == text


def test_first_cuda_device_has_two_names() -> None:
    assert Device.parse("cuda:0") == Device.parse("cuda")


@pytest.mark.parametrize(
    "text", ["", "CPU", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda ", "tensorrt"]
)
def test_other_words_are_no_devices(text: str) -> None:
    with pytest.raises(ValueError, match="device is auto, cpu, cuda"):
        Device.parse(text)


def test_runtime_without_the_provider_says_what_to_install() -> None:
    obstacle = find_obstacle(CUDA, BUILD._replace(providers=("CPUExecutionProvider",)))
    assert obstacle is not None
    assert "built without it" in obstacle
    assert "onnxplain[cuda]" in obstacle
    assert find_obstacle(Device("cpu"), BUILD) is None


NEW, OLD, OLD_MINOR = (13, 1), (12, 9), (13, 0)
HOPPER, BLACKWELL = Gpu("H100", 90), Gpu("B200", 100)


@pytest.mark.parametrize(
    ("driver", "index", "says"),
    [
        (None, 0, "there is no NVIDIA driver on this machine"),
        (Driver(NEW, ()), 0, "the driver offers no device"),
        (Driver(NEW, (HOPPER, HOPPER)), 2, "the driver offers cuda:0 to cuda:1; check nvidia-smi"),
        (Driver(NEW, (HOPPER, HOPPER)), 1, None),
        (Driver(OLD_MINOR, (HOPPER,)), 0, None),
        (Driver(OLD, (HOPPER,)), 0, "runs CUDA 12.9 at most, and .* needs CUDA 13; update the dri"),
        (Driver(NEW, (HOPPER, BLACKWELL)), 1, "holds no code for B200, of .* 10.0, but for 7.5, 9"),
    ],
)
def test_driver_and_wheel_decide_which_cuda_devices_there_are(
    monkeypatch: pytest.MonkeyPatch, driver: Driver | None, index: int, says: str | None
) -> None:
    monkeypatch.setattr(devices, "read_driver", lambda: driver)
    code = frozenset({GpuCode(75, False), GpuCode(90, False)})
    monkeypatch.setattr(devices, "read_provider_code", lambda _: code)
    obstacle = find_obstacle(Device("cuda", index), BUILD._replace(cuda="13.2"))
    assert obstacle is None if says is None else re.search(says, str(obstacle))


def test_two_wheels_that_overwrite_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "uninstall" not in suggest_packages()
    write_both_wheels(tmp_path, monkeypatch)
    assert "overwrite each other" in suggest_packages()
