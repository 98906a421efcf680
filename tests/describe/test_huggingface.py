"""Hugging Face's processors are reproduced to a grey level, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.huggingface import read_preprocessor
from onnxplain.describe.resolve import resolve_spec
from tests.helpers import models
from tests.helpers.described import get_normalisation, make_net, make_open_net, save_and_read
from tests.helpers.huggingface_configs import HALF, IMAGENET, PUBLISHED, REFUSED, extract
from tests.helpers.pictures import make_noise
from tests.helpers.prepared import measure_levels, prepare

# Wide, tall, and smaller than most inputs; noise shows every pixel that is out of place.
PHOTOS = [make_noise(301, 457), make_noise(480, 333), make_noise(200, 190)]


def name_class(config: dict[str, Any]) -> str:
    kind: str = config.get("image_processor_type") or config["feature_extractor_type"]
    return kind.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")


def load_class(config: dict[str, Any], ending: str) -> Any:
    transformers = pytest.importorskip("transformers", minversion="5.0")
    plain = name_class(config)
    found = getattr(transformers, plain + ending, None)
    if found is None:
        pytest.skip(f"transformers {transformers.__version__} has no {plain}{ending}")
    return found


@pytest.mark.framework
@pytest.mark.parametrize("family", PUBLISHED)
def test_published_configurations_give_the_pixels_of_the_real_classes(
    family: str, tmp_path: Path
) -> None:
    config = PUBLISHED[family]
    processor = load_class(config, "Pil")(**config)
    spec = resolve_spec(make_open_net(tmp_path, preprocessor_config=config), {})
    for photo in PHOTOS:
        (theirs,) = processor(photo, return_tensors="np", input_data_format="channels_last")[
            "pixel_values"
        ]
        ours = prepare(spec, photo)
        assert ours.shape == theirs.shape
        assert measure_levels(spec, ours, theirs) < 0.01  # of rounding in float32


@pytest.mark.framework
def test_files_that_the_real_classes_save_are_read_as_they_apply_them(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", minversion="5.0")
    pytest.importorskip("torchvision")
    for kind in ("Bit", "DeiT", "Levit", "MobileNetV1", "PoolFormer", "Segformer", "ViT"):
        processor = getattr(transformers, f"{kind}ImageProcessorPil")()
        processor.save_pretrained(tmp_path)
        spec = resolve_spec(make_open_net(tmp_path), {})
        (theirs,) = processor(PHOTOS[0], return_tensors="np")["pixel_values"]
        assert measure_levels(spec, prepare(spec, PHOTOS[0]), theirs) < 0.01


@pytest.mark.framework
def test_torchvision_form_of_the_classes_differs_by_two_grey_levels_on_smooth_photos(
    tmp_path: Path,
) -> None:
    torch = pytest.importorskip("torch")
    photo = np.asarray(PIL.Image.fromarray(make_noise(20, 30)).resize((450, 300)))
    for family in ("convnext", "deit", "efficientnet", "mobilevit", "segformer", "swin", "vit"):
        config = PUBLISHED[family]
        processor = load_class(config, "")(**config)
        spec = resolve_spec(make_open_net(tmp_path, preprocessor_config=config), {})
        pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1)
        (theirs,) = processor(pixels, return_tensors="pt")["pixel_values"].numpy()
        assert measure_levels(spec, prepare(spec, photo), theirs) < 2.01


@pytest.mark.parametrize("family", REFUSED)
def test_other_processors_are_refused_by_name_with_what_to_pass(
    family: str, tmp_path: Path
) -> None:
    config, reason = REFUSED[family]
    kind = name_class(config)
    with pytest.raises(ModelError, match=f"preprocessor_config.json: {kind} .*{reason}") as caught:
        resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert "pass --fit and --resize or --crop" in str(caught.value)
    said = {"preprocessing": "unit", "fit": "crop", "interpolation": "bicubic"}
    assert resolve_spec(make_net(tmp_path), said).fit == "crop"


def test_refusal_names_only_the_parts_that_nothing_else_says(tmp_path: Path) -> None:
    config, _ = REFUSED["perceiver"]
    with pytest.raises(ModelError, match="before it resizes; pass --fit") as caught:
        resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert "--mean" not in str(caught.value)  # the file says it
    spec = resolve_spec(make_net(tmp_path, net="crop = 0.875"), {})
    assert (spec.fit, spec.interpolation, spec.mean) == ("crop", "bicubic", (0.485, 0.456, 0.406))
    config = {"image_processor_type": "OtherImageProcessor"}
    flags = {"fit": "crop", "interpolation": "bilinear"}
    with pytest.raises(ModelError, match="onnxplain knows; pass --preprocessing"):
        resolve_spec(make_net(tmp_path, preprocessor_config=config), flags)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"do_solarise": True}, "settings that onnxplain does not know: do_solarise"),
        ({"blur": 3, "noise": [1]}, "does not know: blur, noise"),
        ({"do_pad": True, "pad_size": {"height": 9, "width": 9}}, r"pads .*do_pad"),
        ({"size": {"longest_edge": 224}}, "resizes to .*longest_edge.*no fixed size"),
        ({"size": {"shortest_edge": 16, "longest_edge": 32}}, "no fixed size"),
        ({"size": {"shortest_edge": 16}}, "keeps the photo's shape and does not crop"),
        ({"resample": 9}, "resamples by 9"),
        ({"image_processor_type": "PvtImageProcessor"}, "leaves out resample"),
        ({"image_processor_type": "BeitImageProcessor"}, "leaves out do_center_crop"),
        (
            {"image_processor_type": "ConvNextImageProcessor", "size": {"height": 1, "width": 1}},
            "takes a shortest_edge only",
        ),
        (
            {
                "image_processor_type": "ConvNextImageProcessor",
                "resample": 3,
                "size": {"shortest_edge": 16},
                "do_center_crop": True,
                "crop_size": 12,
            },
            "crops twice",
        ),
        ({"image_processor_type": None, "crop_pct": 0.9}, "names no .*does not know: crop_pct"),
        ({"image_processor_type": None}, "does not say whether size 16 is that of the shortest"),
        (
            {"image_processor_type": None, "do_normalize": True, "image_mean": None},
            "says no image_mean or image_std",
        ),
    ],
)
def test_settings_that_a_spec_cannot_say_are_refused(
    changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    config = {**HALF, "image_processor_type": "ViTImageProcessor", "size": 16, **changes}
    with pytest.raises(ModelError, match=reason):
        resolve_spec(make_net(tmp_path, preprocessor_config=config), {})


def test_settings_without_an_effect_are_passed_over(tmp_path: Path) -> None:
    config = {
        **HALF,
        "image_processor_type": "ViTImageProcessorFast",
        "size": 16,
        "crop_pct": 0.9,  # ConvNeXt's
        "do_reduce_labels": True,
        "do_solarise": False,
        "sharpness": None,
    }
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert (spec.fit, spec.resize) == ("stretch", (16, 16))


def test_class_follows_from_the_type_of_the_model_if_the_file_names_none(tmp_path: Path) -> None:
    config = {**IMAGENET, "crop_pct": 0.875, "resample": 3, "size": 14}
    files = {"preprocessor_config": config, "config": {"model_type": "resnet"}}
    spec = resolve_spec(make_open_net(tmp_path, **files), {})
    assert (spec.size, spec.fit, spec.resize, spec.centre) == ((14, 14), "crop", (16, 16), "floor")


def test_efficientnet_divides_by_std_twice(tmp_path: Path) -> None:
    """(x - mean) / std, and the result / std again, for the weights of Keras."""
    config = {**PUBLISHED["efficientnet"], "size": {"height": 16, "width": 16}}
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    once = np.array([0.47853944, 0.4732864, 0.47434163])
    np.testing.assert_allclose(spec.std, once**2)
    assert spec.mean == (0.485, 0.456, 0.406)
    alone = {**config, "do_normalize": False}
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=alone), {})
    np.testing.assert_allclose(spec.std, once)
    assert (spec.range, spec.mean) == ((0, 1), (0,) * 3)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"do_rescale": True, "rescale_factor": 1 / 255}, ((0, 1), (0,) * 3, (1,) * 3)),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
         ((-1, 1), (0,) * 3, (1,) * 3)),
        ({"do_rescale": False, "image_mean": [127.0] * 3, "image_std": [128.0] * 3},
         ((0, 255), (127,) * 3, (128,) * 3)),
        ({"rescale_factor": 1 / 256, **HALF}, ((0, 255 / 256), (0.5,) * 3, (0.5,) * 3)),
    ],
)  # fmt: skip
def test_file_that_names_no_class_says_its_normalisation(
    config: dict[str, Any], expected: Any, tmp_path: Path
) -> None:
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert get_normalisation(spec) == expected
    assert spec.sources["fit"] == spec.sources["colour"] == "default"


def test_file_that_names_no_class_says_its_steps(tmp_path: Path) -> None:
    config = {
        **IMAGENET,
        "size": {"shortest_edge": 20},
        "crop_size": {"height": 16, "width": 16},
        "resample": 1,
        "do_flip_channel_order": True,
    }
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert (spec.fit, spec.resize, spec.centre) == ("crop", (20, 20), "floor")
    assert (spec.interpolation, spec.colour) == ("lanczos", "bgr")


def test_steps_in_pixels_for_another_size_than_the_graphs_are_an_error(tmp_path: Path) -> None:
    config = PUBLISHED["resnet"]  # 256, then 224
    with pytest.raises(ModelError, match=r"input of \(224, 224\), but this model takes \(16, 16\)"):
        resolve_spec(make_net(tmp_path, preprocessor_config=config), {})
    assert resolve_spec(make_net(tmp_path), {"crop": 0.875}).resize == (18, 18)
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=PUBLISHED["swin"]), {})
    assert spec.resize == (16, 16)  # stretched to whatever the graph takes


def test_presets_and_flags_count_before_the_file(tmp_path: Path) -> None:
    config = {"image_processor_type": "MobileViTImageProcessor", "size": 16, "crop_size": 16}
    model = make_net(tmp_path, preprocessor_config={**config, "resample": 2})
    spec = resolve_spec(model, {"preprocessing": "keras-tf", "colour": "rgb"})
    assert get_normalisation(spec) == ((-1, 1), (0,) * 3, (1,) * 3)
    assert (spec.colour, spec.resize) == ("rgb", (16, 16))
    assert resolve_spec(model, {}).colour == "bgr"


def test_readers_of_size_take_numbers_pairs_and_mappings() -> None:
    for size in (16, [16, 16], {"height": 16, "width": 16}):
        read = read_preprocessor(extract("ViT", HALF, size))
        assert read.values["size"] == (16, 16)
    read = read_preprocessor(extract("CLIP", HALF, 16, crop_size=[14, 12]))
    assert (read.values["size"], read.values["resize"]) == ((14, 12), (16, 16))


def test_settings_are_found_in_the_file_of_a_processor_with_a_tokenizer(tmp_path: Path) -> None:
    nested = {"processor_class": "CLIPProcessor", "image_processor": extract("ViT", HALF, 16)}
    files = {"processor_config": nested, "preprocessor_config": extract("ViT", IMAGENET, 16)}
    spec = resolve_spec(make_net(tmp_path, **files), {})
    assert (spec.mean, spec.sources["mean"]) == ((0.5,) * 3, "processor_config.json")
    spec = resolve_spec(make_net(tmp_path, processor_config={"processor_class": "X"}), {})
    assert spec.sources["mean"] == "preprocessor_config.json"
    refused = {"image_processor": {"image_processor_type": "OtherImageProcessor"}}
    with pytest.raises(ModelError, match=r"net.onnx: processor_config.json: OtherImageProcessor"):
        resolve_spec(make_net(tmp_path, processor_config=refused), {})


def test_wrapper_of_timm_leaves_all_to_the_configuration_of_timm(tmp_path: Path) -> None:
    timm = {"pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 16, 16]}}
    wrapper = {"image_processor_type": "TimmWrapperImageProcessor", **timm}
    spec = resolve_spec(make_net(tmp_path, preprocessor_config=wrapper, config=timm), {})
    assert (spec.std, spec.sources["std"]) == ((0.25,) * 3, "config.json (timm)")


def test_a_size_of_one_number_means_what_the_file_says() -> None:
    def read(name: str, size: int, square: bool) -> Mapping[str, Any]:
        config = {"image_processor_type": name, "size": size, "default_to_square": square}
        return read_preprocessor({**config, "do_center_crop": True, "crop_size": 24}).values

    shortest = {"fit": "crop", "resize": (48, 48)}
    squeezed = {"fit": "stretch", "resize": (48, 48)}
    assert squeezed.items() <= read("BitImageProcessor", 48, True).items()
    assert shortest.items() <= read("DeiTImageProcessor", 48, False).items()


@pytest.mark.parametrize(
    ("family", "fit", "resize", "size", "interpolation"),
    [
        ("beit", "stretch", 224, 224, "bilinear"),
        ("clip", "crop", 224, 224, "bicubic"),
        ("convnext", "crop", 256, 224, "bicubic"),  # 224 / .875
        ("convnext at 384", "stretch", 384, 384, "bicubic"),
        ("deit", "stretch", 256, 224, "bicubic"),
        ("dinov2", "crop", 256, 224, "bicubic"),
        ("efficientnet", "stretch", 224, 224, "nearest"),
        ("levit", "crop", 256, 224, "bicubic"),  # 224 * 256 / 224
        ("mobilenet_v2", "crop", 219, 192, "bilinear"),
        ("mobilevit", "crop", 288, 256, "bilinear"),
        ("poolformer", "crop", 235, 224, "bicubic"),  # 224 / .95
        ("segformer", "stretch", 512, 512, "bilinear"),
        ("swin", "stretch", 224, 224, "bicubic"),
        ("van", "crop", 248, 224, "bicubic"),  # 224 / .9
        ("vit", "stretch", 224, 224, "bilinear"),
    ],
)
def test_steps_of_the_families(
    family: str, fit: str, resize: int, size: int, interpolation: str, tmp_path: Path
) -> None:
    spec = resolve_spec(make_open_net(tmp_path, preprocessor_config=PUBLISHED[family]), {})
    assert (spec.fit, spec.resize, spec.size) == (fit, (resize, resize), (size, size))
    assert spec.interpolation == interpolation
    assert spec.centre == ("floor" if resize != size or fit == "crop" else "round")


def test_normalisation_of_the_classes_where_a_file_leaves_it_out(tmp_path: Path) -> None:
    """The values of the classes in transformers 4.57 and 5.24."""
    for kind, mean in (
        ("ViT", (0.5, 0.5, 0.5)),
        ("CLIP", (0.48145466, 0.4578275, 0.40821073)),
        ("Levit", (0.485, 0.456, 0.406)),
        ("MobileViT", (0.0, 0.0, 0.0)),
    ):
        config = extract(kind, {}, 16, resample=3, crop_size=16, do_normalize=True)
        spec = resolve_spec(make_open_net(tmp_path, preprocessor_config=config), {})
        assert (spec.range, spec.mean) == ((0, 1), mean)


def test_normalisation_of_another_class_is_passed_over_for_pixels_in_bytes(tmp_path: Path) -> None:
    model = save_and_read(models.quantised(models.weights((4, 4))), tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(REFUSED["another"][0]))
    spec = resolve_spec(model, {"fit": "crop", "interpolation": "bilinear"})
    assert get_normalisation(spec) == ((0, 255), (0,) * 3, (1,) * 3)
