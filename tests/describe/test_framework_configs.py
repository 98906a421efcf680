"""Configurations of Hugging Face and timm are read as those programs apply them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.framework_configs import read_id2label, read_timm
from onnxplain.describe.resolve import resolve_spec
from tests.helpers.described import make_net, make_open_net
from tests.helpers.pictures import make_noise
from tests.helpers.prepared import measure_levels, prepare

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


TIMM = {
    "architecture": "net",
    "pretrained_cfg": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "input_size": [3, 16, 16],
        "interpolation": "bicubic",
        "crop_pct": 0.875,
    },
}


def change_timm(**changes: Any) -> dict[str, Any]:
    inner = {**TIMM["pretrained_cfg"], **changes}  # type: ignore[dict-item]  # a mapping
    return {**TIMM, "pretrained_cfg": inner}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"crop_pct": None, "interpolation": ""}, {"crop": 0.875, "interpolation": "bicubic"}),
        ({"interpolation": "box"}, {"interpolation": "area"}),
        ({"crop_mode": "center"}, {"fit": "crop"}),
        ({"crop_mode": "border"}, {"fit": "pad", "border": [124, 116, 104]}),
        ({"crop_pct": 1.15}, {"fit": "crop", "resize": (13, 13)}),  # 16 / 1.15
    ],
)
def test_timm_config_is_read_with_timms_defaults(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    values = read_timm(change_timm(**changes)).values
    assert {name: values[name] for name in expected} == expected
    assert "resize" in expected or "resize" not in values


def test_size_for_tests_counts_where_the_graph_has_it() -> None:
    config = change_timm(test_input_size=[3, 20, 20], test_crop_pct=1.0)
    for sizes, size, crop in (
        ((), (16, 16), 0.875),
        ({(20, 20)}, (20, 20), 1.0),
        ({(16, 16), (20, 20)}, (16, 16), 0.875),
        ({(18, 18)}, (16, 16), 0.875),
    ):
        values = read_timm(config, sizes).values
        assert (values["size"], values["crop"]) == (size, crop)


def test_size_for_tests_is_that_of_the_graph(tmp_path: Path) -> None:
    config = change_timm(input_size=[3, 12, 12], test_input_size=[3, 16, 16], test_crop_pct=0.5)
    spec = resolve_spec(make_net(tmp_path, config=config), {})
    assert (spec.size, spec.resize) == ((16, 16), (32, 32))


def test_interpolation_that_is_random_is_refused_by_name(tmp_path: Path) -> None:
    model = make_net(tmp_path, config=change_timm(interpolation="random"))
    with pytest.raises(ModelError, match=r"no interpolation 'random'.*pass --interpolation"):
        resolve_spec(model, {})
    assert resolve_spec(model, {"interpolation": "bilinear"}).interpolation == "bilinear"


def test_descriptions_stand_for_wordnet_ids() -> None:
    ids = ["n01440764", "n01443537"]
    described = {"n01440764": "tench, Tinca tinca", "n01443537": "goldfish"}
    names = read_timm({**TIMM, "label_names": ids, "label_descriptions": described}).values[
        "class_names"
    ]
    assert names == ("tench, Tinca tinca", "goldfish")
    for labels, texts in ((ids, {ids[0]: "tench"}), (["cat", "dog"], {"cat": "a", "dog": "b"})):
        config = {**TIMM, "label_names": labels, "label_descriptions": texts}
        assert read_timm(config).values["class_names"] == tuple(labels)


# One of each way to prepare photos that timm 1.0.31 has.
TIMM_MODELS = [
    "resnet50.a1_in1k",
    "vit_base_patch16_224.augreg_in1k",
    "convnext_tiny.fb_in22k_ft_in1k_384",
    "efficientnet_b0.ra_in1k",
    "tf_efficientnet_b7.ap_in1k",
    "eva02_base_patch14_448.mim_in22k_ft_in1k",
    "vit_so400m_patch14_siglip_378.webli",
    "tf_mobilenetv3_small_minimal_100.in1k",
]


def compare_with_timm(tag: str, folder: Path, photos: Sequence[Any]) -> None:
    """Compare with timm's transform for evaluation, in grey levels."""
    timm = pytest.importorskip("timm")
    timm_data = pytest.importorskip("timm.data")
    inner = timm.models.get_pretrained_cfg(tag).to_dict()
    transform = timm_data.create_transform(**timm_data.resolve_data_config({}, inner))
    config = json.loads(json.dumps({"architecture": tag, "pretrained_cfg": inner}))
    spec = resolve_spec(make_open_net(folder, config=config), {})
    for photo in photos:
        theirs = transform(PIL.Image.fromarray(photo)).numpy()
        assert measure_levels(spec, prepare(spec, photo), theirs) < 0.01, tag


@pytest.mark.framework
@pytest.mark.parametrize("tag", TIMM_MODELS)
def test_configurations_of_timm_give_the_pixels_of_its_transform(tag: str, tmp_path: Path) -> None:
    compare_with_timm(tag, tmp_path, [make_noise(301, 457), make_noise(200, 190)])


@pytest.mark.framework
@pytest.mark.slow
def test_every_pretrained_configuration_of_timm_gives_the_pixels_of_its_transform(
    tmp_path: Path,
) -> None:
    timm = pytest.importorskip("timm")
    ways = {}
    for tag in timm.list_pretrained():
        inner = timm.models.get_pretrained_cfg(tag).to_dict()
        names = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std")
        ways[tuple(inner.get(name) for name in names)] = tag
    assert len(ways) > 100
    for tag in ways.values():
        compare_with_timm(tag, tmp_path, [make_noise(301, 457)])


def test_id2label_gives_class_names_in_the_order_of_their_numbers() -> None:
    config = {"id2label": {"10": "k", **{str(n): "abcdefghij"[n] for n in range(10)}}}
    assert read_id2label(config, "config.json") == {"class_names": tuple("abcdefghijk")}
    assert read_id2label({"label2id": {}}, "config.json") == {}
