"""A GPU that leaves all heavy nodes to the CPU is an error; some are a warning."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import PROVIDERS, Device
from onnxplain.runtime.placement import Placement, check_placement, read_placement
from tests.helpers import models
from tests.helpers.specs import session_of

GPU, CPU = PROVIDERS["cuda"], PROVIDERS["cpu"]


def place(parts: Mapping[str, list[str]]) -> Placement:
    """The placement of operators by provider, as ONNX Runtime tells it."""
    told = [
        SimpleNamespace(
            ep_name=provider,
            get_nodes=lambda operators=operators: [SimpleNamespace(op_type=o) for o in operators],
        )
        for provider, operators in parts.items()
    ]
    return read_placement(SimpleNamespace(get_provider_graph_assignment_info=lambda: told))


def test_real_session_tells_its_placement() -> None:
    session = session_of(models.convnet((16, 16)))
    assert set(session.placement) == {CPU}
    assert session.placement[CPU] > 2


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({GPU: ["Conv", "Relu"]}, ""),
        ({GPU: ["Conv"], CPU: ["Gather", "Slice", "Concat"]}, ""),  # shapes
        ({GPU: ["Relu"]}, ""),
        ({}, ""),  # folded to a constant
        ({GPU: ["Conv"], CPU: ["ConvTranspose", "DFT", "ConvTranspose"]}, "2 ConvTranspose"),
    ],
)
def test_heavy_nodes_on_the_cpu_are_a_warning(parts: dict[str, list[str]], says: str) -> None:
    warning = check_placement(place(parts), "net.onnx", Device("cuda"))
    assert bool(warning) == bool(says)
    assert says in warning


@pytest.mark.parametrize(
    "parts",
    [{CPU: ["QLinearConv"], GPU: ["Cast"]}, {CPU: ["ConvInteger", "Relu"]}, {CPU: ["Celu"]}],
)
def test_a_gpu_that_has_nothing_to_do_is_an_error(parts: dict[str, list[str]]) -> None:
    with pytest.raises(DeviceError, match=r"--device cuda:1 cannot run net.onnx: .*--device cpu"):
        check_placement(place(parts), "net.onnx", Device("cuda", 1))
