"""Every plausible description is listed once."""

from __future__ import annotations

from pathlib import Path

from onnxplain.describe.plausible import list_plausible_specs
from tests.helpers import models
from tests.helpers.described import make_net, save_and_read

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_plausible_specs_are_the_presets_in_both_colour_orders(tmp_path: Path) -> None:
    specs = dict(list_plausible_specs(make_net(tmp_path), {}))
    assert "torchvision / timm / keras-torch, rgb" in specs
    assert specs["torchvision / timm / keras-torch, bgr"].mean == IMAGENET[0][::-1]
    assert specs["keras-caffe, bgr"].mean == (103.939, 116.779, 123.68)
    assert len(specs) == 12
    described = list_plausible_specs(make_net(tmp_path), {"colour": "rgb", "mean": 0.5, "std": 0.5})
    assert described[0][0] == "as described"
    assert described[0][1].mean == (0.5,) * 3
    assert len(described) == 7


def test_plausible_specs_of_uint8_differ_in_colour_only(tmp_path: Path) -> None:
    specs = list_plausible_specs(
        save_and_read(models.quantised(models.weights((4, 4))), tmp_path), {}
    )
    assert [name for name, _ in specs] == ["as described", "bytes, rgb", "bytes, bgr"]
