"""Configurations of Hugging Face and timm are read as those programs apply them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxplain.describe.framework_configs import read_id2label, read_timm
from onnxplain.describe.resolve import resolve_spec
from tests.helpers.described import make_net

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False},
            {"range": (0, 1), "mean": (0,) * 3, "std": (1,) * 3},
        ),
        (
            {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
            {"range": (-1, 1), "mean": (0,) * 3},
        ),
        (
            {"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [128.0] * 3},
            {"range": (0, 255), "mean": (127,) * 3},
        ),
        (
            {
                "image_mean": IMAGENET[0],
                "image_std": IMAGENET[1],
                "size": {"shortest_edge": 20},
                "crop_size": {"height": 16, "width": 16},
                "do_center_crop": True,
                "resample": 2,
                "do_flip_channel_order": True,
            },
            {"fit": "crop", "resize": (20, 20), "interpolation": "bilinear", "colour": "bgr"},
        ),
        (
            {
                "image_mean": [0.5],
                "image_std": [0.5],
                "size": {"shortest_edge": 384},
                "crop_pct": 0.875,
            },
            {"fit": "stretch"},
        ),
        (
            {
                "image_mean": [0.5],
                "image_std": [0.5],
                "size": {"shortest_edge": 224},
                "crop_pct": 0.875,
            },
            {"fit": "crop", "resize": (18, 18)},
        ),
    ],
)
def test_preprocessor_config_gives_normalisation_and_resize_rule(
    config: Any, expected: dict[str, Any], tmp_path: Path
) -> None:
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert {name: getattr(spec, name) for name in expected} == expected
    assert spec.size == (16, 16)  # the graph's, whatever the file says


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"mean": [0.5] * 3}, {}),
        (
            {"mean": [0.5] * 3, "std": [0.25] * 3},
            {"range": (0.0, 1.0), "mean": [0.5] * 3, "std": [0.25] * 3},
        ),
        (
            {
                "label_names": ["cat", "dog"],
                "pretrained_cfg": {
                    "mean": [0.5] * 3,
                    "std": [0.25] * 3,
                    "input_size": [3, 20, 24],
                    "interpolation": "bicubic",
                    "crop_pct": 0.95,
                    "crop_mode": "squash",
                },
            },
            {
                "range": (0.0, 1.0),
                "mean": [0.5] * 3,
                "std": [0.25] * 3,
                "size": (20, 24),
                "interpolation": "bicubic",
                "fit": "stretch",
                "crop": 0.95,
                "class_names": ("cat", "dog"),
            },
        ),
    ],
)
def test_timm_config_gives_normalisation_size_and_crop(
    config: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert read_timm(config, "config.json") == expected


def test_id2label_gives_class_names_in_the_order_of_their_numbers() -> None:
    config = {"id2label": {"10": "k", **{str(n): "abcdefghij"[n] for n in range(10)}}}
    assert read_id2label(config, "config.json") == {"class_names": tuple("abcdefghijk")}
    assert read_id2label({"label2id": {}}, "config.json") == {}
