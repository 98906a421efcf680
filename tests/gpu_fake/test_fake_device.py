"""Starts the tests of `inside` on the fake device, and some programs on devices that are odd."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onnxplain.runtime.driver import read_driver
from tests.gpu_fake.build import build_fake_device, find_obstacle

INSIDE = sorted((Path(__file__).parent / "inside").glob("check_*.py"))
ROOT = Path(__file__).parents[2]
TIMEOUT = 900  # seconds for a file: each takes half a minute, and far longer on a busy machine

_obstacle = find_obstacle()
_obstacle = _obstacle or ("there is a real NVIDIA driver here" if read_driver() else None)
pytestmark = pytest.mark.skipif(_obstacle is not None, reason=str(_obstacle))


@pytest.fixture(scope="module")
def fake(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """The environment of a process in which the fake device is found."""
    has_cache = pytestconfig.pluginmanager.hasplugin("cacheprovider")
    cache = pytestconfig.cache.mkdir("gpu_fake") if has_cache else tmp_path_factory.mktemp("fake")
    folder = build_fake_device(cache)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)}


def run_python(*arguments: str, environment: Mapping[str, str]) -> str:
    completed = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout[-8000:] + completed.stderr[-2000:]
    return completed.stdout


@pytest.mark.timeout(TIMEOUT)
@pytest.mark.parametrize("file", INSIDE, ids=lambda file: file.stem)
def test_on_the_fake_device(file: Path, fake: Mapping[str, str], tmp_path: Path) -> None:
    environment = {**fake, "ONNXPLAIN_CACHE": str(tmp_path / "cache")}
    options = ["-q", "-p", "no:cacheprovider", str(file)]
    print(run_python("-m", "pytest", *options, environment=environment))


OPEN = """
import logging, sys
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import open_session
from tests.helpers import models
try:
    session = open_session(
        models.convnet((16, 16)).SerializeToString(), Device.parse(sys.argv[1]), name="net"
    )
    print("runs on", session.device)
except DeviceError as error:
    print("error:", error)
"""
OLD = (
    "the NVIDIA driver runs CUDA 12.4 at most, and the installed onnxruntime needs CUDA 13; update"
)
NO_CODE = "holds no code for Fake GPU, of compute capability 10.0, but for 7.5, "
NONE = "the driver offers no device"


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ({}, "the installed onnxruntime"),
        ({"FAKE_CUDA_DRIVER": "12040"}, OLD),
        ({"FAKE_CUDA_CAPABILITY": "100"}, NO_CODE),
        ({"FAKE_CUDA_CAPABILITY": "70"}, "of compute capability 7.0"),
        ({"FAKE_CUDA_DEVICES": "0"}, NONE),
    ],
    ids=["good", "old driver", "B200", "V100", "no GPU"],
)
def test_a_device_that_does_not_suit_is_named_before_anything_runs(
    fake: Mapping[str, str], device: dict[str, str], says: str
) -> None:
    environment = {**fake, **device}
    auto = run_python("-c", OPEN, "auto", environment=environment)
    cuda = run_python("-c", OPEN, "cuda", environment=environment)
    if not device:
        assert auto.splitlines() == ["device auto: cuda", "runs on cuda"]
        assert cuda.splitlines() == ["runs on cuda"]
        return
    assert auto.splitlines()[-1] == "runs on cpu"
    assert f"device auto: cpu ({says}" in auto or says in auto.splitlines()[0]
    assert cuda.startswith("error: --device cuda is not available: ")
    assert says in cuda


def test_without_cudnn_cuda_is_an_error_that_says_what_to_install(
    fake: Mapping[str, str], tmp_path: Path
) -> None:
    for library in Path(fake["LD_LIBRARY_PATH"]).glob("*.so.*[0-9]"):
        if "cudnn" not in library.name:
            (tmp_path / library.name).symlink_to(library)
    environment = {**fake, "LD_LIBRARY_PATH": str(tmp_path)}
    assert run_python("-c", OPEN, "auto", environment=environment).endswith("runs on cpu\n")
    cuda = run_python("-c", OPEN, "cuda", environment=environment)
    assert cuda.startswith("error: --device cuda")
    assert "onnxplain[cuda]" in cuda


# Ten architectures of torchvision with random weights, as small as their operators allow.
EXPORTS: dict[str, Callable[[Any], Any]] = {
    "resnet18": lambda tv: tv.resnet18(num_classes=10),
    "mobilenet_v3": lambda tv: tv.mobilenet_v3_small(num_classes=10),
    "efficientnet_b0": lambda tv: tv.efficientnet_b0(num_classes=10),
    "densenet": lambda tv: tv.DenseNet(8, (2, 2, 2), 16, num_classes=10),
    "googlenet": lambda tv: tv.googlenet(num_classes=10, aux_logits=False, init_weights=False),
    "shufflenet": lambda tv: tv.shufflenet_v2_x0_5(num_classes=10),
    "regnet": lambda tv: tv.regnet_y_400mf(num_classes=10),
    "convnext": lambda tv: tv.ConvNeXt(
        [tv.convnext.CNBlockConfig(24, 48, 1), tv.convnext.CNBlockConfig(48, None, 1)],
        num_classes=10,
    ),
    "swin": lambda tv: tv.SwinTransformer([4, 4], 24, [2, 2], [2, 2], [4, 4], num_classes=10),
    "vit": lambda tv: tv.VisionTransformer(64, 8, 2, 2, 24, 48, num_classes=10),
}

PLACE = """
import sys
from pathlib import Path
from tests.gpu_fake.inside.check_placement import open_gradient, read
for path in sorted(Path(sys.argv[1]).glob("*.onnx")):
    session = open_gradient(*read(str(path)))
    assert session.placement["CUDAExecutionProvider"] >= 50
    print(path.stem, dict(session.provenance["heavy_on_cpu"]))
"""


@pytest.mark.framework
@pytest.mark.timeout(TIMEOUT)
@pytest.mark.filterwarnings("ignore")  # of torch's exporter
def test_gradients_of_exports_leave_nothing_heavy_to_the_cpu(
    fake: Mapping[str, str], tmp_path: Path
) -> None:
    torch, torchvision = (pytest.importorskip(module) for module in ("torch", "torchvision"))
    torch.manual_seed(0)
    image = (torch.rand(1, 3, 64, 64),)
    for name, make in EXPORTS.items():
        net, path = make(torchvision.models).eval(), tmp_path / f"{name}.onnx"
        torch.onnx.export(net, image, path, dynamo=False, opset_version=17)
    placed = run_python("-c", PLACE, str(tmp_path), environment=fake)
    assert placed.splitlines() == [f"{name} {{}}" for name in sorted(EXPORTS)]
