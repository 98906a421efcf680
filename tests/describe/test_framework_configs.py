"""Configurations of Hugging Face and timm are read as those programs apply them."""

from __future__ import annotations

from typing import Any

import pytest

from onnxplain.describe.framework_configs import read_id2label, read_timm

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


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
    assert read_timm(config).values == expected


def test_id2label_gives_class_names_in_the_order_of_their_numbers() -> None:
    config = {"id2label": {"10": "k", **{str(n): "abcdefghij"[n] for n in range(10)}}}
    assert read_id2label(config, "config.json") == {"class_names": tuple("abcdefghijk")}
    assert read_id2label({"label2id": {}}, "config.json") == {}
