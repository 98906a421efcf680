"""The image processors of Hugging Face: the settings of each class, and how it resizes.

These are the classes of transformers 5.24 that serve image classification (and two of 4.x),
in their PIL form. The torchvision form, which transformers 5 prefers, resamples with integers
of its own and differs by a grey level here and there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from onnxplain.core.data import IMAGENET_MEAN
from onnxplain.describe.fields import Part

Settings: TypeAlias = Mapping[str, Any]
Steps: TypeAlias = dict[str, Any]  # fields of a spec: fit, resize, and size if the step cuts
Resize: TypeAlias = Callable[[Settings, Mapping[str, int]], Steps]


class RefusedError(Exception):
    """A processor does what a spec cannot say."""


@dataclass(frozen=True, slots=True)
class ImageProcessor:
    """A class of image processors.

    Parameters
    ----------
    settings : mapping
        What the class reads, with the values of its own.
    resize : callable
        Takes settings and the `size` in them, and returns steps. Raises a `RefusedError`.
    square : bool, optional
        A `size` of one number means both sides, not the shortest; None if that is unknown.
    ignores : set of str
        Settings of others that the class passes over.
    refuses : mapping
        What it does that a spec cannot say, by the part of the spec.
    """

    settings: Settings
    resize: Resize
    square: bool | None = True
    ignores: frozenset[str] = frozenset()
    refuses: Mapping[Part, str] = field(default_factory=dict)


def resize_plainly(settings: Settings, size: Mapping[str, int]) -> Steps:
    """Resize to height and width, or to the shortest edge."""
    if size.keys() == {"height", "width"}:
        return {"fit": "stretch", "resize": (size["height"], size["width"])}
    if size.keys() == {"shortest_edge"}:
        return {"fit": "crop", "resize": (size["shortest_edge"],) * 2}
    raise RefusedError(f"resizes to {dict(size)}, which is no fixed size")


def _resize_convnext(settings: Settings, size: Mapping[str, int]) -> Steps:
    """Stretch to 384 pixels and more; resize to less with a margin, and cut it off."""
    if size.keys() != {"shortest_edge"}:
        raise RefusedError(f"resizes to {dict(size)}, but takes a shortest_edge only")
    edge = size["shortest_edge"]
    if edge >= 384:
        return {"fit": "stretch", "size": (edge, edge)}
    wide = int(edge / settings["crop_pct"])
    return {"fit": "crop", "resize": (wide, wide), "size": (edge, edge), "centre": "floor"}


def _resize_levit(settings: Settings, size: Mapping[str, int]) -> Steps:
    if size.keys() == {"shortest_edge"}:
        size = {"shortest_edge": int((256 / 224) * size["shortest_edge"])}
    return resize_plainly(settings, size)


def _resize_poolformer(settings: Settings, size: Mapping[str, int]) -> Steps:
    wide = {key: int(side / settings["crop_pct"]) for key, side in size.items()}
    if size.keys() == {"height", "width"} and size["height"] == size["width"]:
        wide = {"shortest_edge": wide["height"]}
    return resize_plainly(settings, wide)


def _sides(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _shortest(edge: int) -> dict[str, int]:
    return {"shortest_edge": edge}


_BILINEAR, _BICUBIC = 2, 3  # PIL's numbers
_IMAGENET: Mapping[str, Any] = {"image_mean": IMAGENET_MEAN, "image_std": (0.229, 0.224, 0.225)}
_HALF: Mapping[str, Any] = {"image_mean": (0.5,) * 3, "image_std": (0.5,) * 3}
_CLIP: Mapping[str, Any] = {
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
_BASE: Settings = {
    "do_resize": True,
    "size": None,
    "resample": None,
    "do_center_crop": False,
    "crop_size": None,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": None,
    "image_std": None,
    "do_pad": False,
    "pad_size": None,
}


def _settle(resample: int | None, size: Any, crop: int | None = None, **others: Any) -> Settings:
    """Return the settings of a class that differs from the others in these."""
    crops = {"do_center_crop": True, "crop_size": _sides(crop)} if crop else {}
    return {**_BASE, "resample": resample, "size": size, **crops, **others}


_BIT = ImageProcessor(_settle(_BICUBIC, _shortest(224), 224, **_CLIP), resize_plainly, square=False)
_MOBILENET = ImageProcessor(
    _settle(_BILINEAR, _shortest(256), 224, **_HALF), resize_plainly, square=False
)

# None where versions 4 and 5 have different values: a file has to say it.
IMAGE_PROCESSORS: Mapping[str, ImageProcessor] = {
    "BeitImageProcessor": ImageProcessor(
        {**_settle(_BICUBIC, None, 224, **_HALF), "do_center_crop": None}, resize_plainly
    ),
    "BitImageProcessor": _BIT,
    "CLIPImageProcessor": _BIT,
    "ConvNextImageProcessor": ImageProcessor(
        _settle(None, _shortest(384), **_HALF, crop_pct=224 / 256),
        _resize_convnext,
        square=False,
    ),
    "DeiTImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _sides(256), 224, **_HALF), resize_plainly
    ),
    "EfficientFormerImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _sides(224), 224, **_IMAGENET), resize_plainly
    ),
    "EfficientNetImageProcessor": ImageProcessor(
        {
            **_settle(None, _sides(346), 289, **_HALF, rescale_offset=False, include_top=True),
            "do_center_crop": False,
        },
        resize_plainly,
    ),
    "LevitImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _shortest(224), 224, **_IMAGENET), _resize_levit, square=False
    ),
    "MobileNetV1ImageProcessor": _MOBILENET,
    "MobileNetV2ImageProcessor": _MOBILENET,
    "MobileViTImageProcessor": ImageProcessor(
        _settle(None, _shortest(224), 256, do_normalize=False, do_flip_channel_order=True),
        resize_plainly,
        square=False,
        ignores=frozenset({"do_normalize"}),
    ),
    "PerceiverImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _sides(224), 256, **_IMAGENET),
        resize_plainly,
        refuses={"geometry": "cuts out the photo's centre before it resizes"},
    ),
    "PoolFormerImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _shortest(224), 224, **_IMAGENET, crop_pct=0.9),
        _resize_poolformer,
        square=False,
    ),
    "PvtImageProcessor": ImageProcessor(_settle(None, _sides(224), **_IMAGENET), resize_plainly),
    "SegformerImageProcessor": ImageProcessor(
        _settle(_BILINEAR, _sides(512), **_IMAGENET),
        resize_plainly,
        ignores=frozenset({"do_center_crop"}),
    ),
    "SiglipImageProcessor": ImageProcessor(
        _settle(_BICUBIC, _sides(224), **_HALF), resize_plainly, square=False
    ),
    "ViTHybridImageProcessor": _BIT,
    "ViTImageProcessor": ImageProcessor(_settle(_BILINEAR, _sides(224), **_HALF), resize_plainly),
}

# A file that names no class has to say all by itself.
UNNAMED = ImageProcessor(
    {
        **_BASE,
        "do_center_crop": True,  # where there is a crop_size
        **dict.fromkeys(("do_rescale", "do_normalize")),
        **dict.fromkeys(("rescale_offset", "include_top", "do_flip_channel_order"), False),
    },
    resize_plainly,
    square=None,
)

# Classes whose work a spec cannot say, and what that is.
REFUSED_PROCESSORS: Mapping[str, str] = {
    "DonutImageProcessor": "makes thumbnails of its own and may rotate photos",
    "Gemma3ImageProcessor": "cuts photos into several pictures",
    "ImageGPTImageProcessor": "turns pixels into the numbers of colour clusters",
    "PPLCNetImageProcessor": "rounds the sides of the resized photo in a way of its own",
    "Siglip2ImageProcessor": "cuts photos into a row of patches",
    "TextNetImageProcessor": "resizes to multiples of 32, so that sizes vary",
}

# The class of each type of model, for files that do not name it.
PROCESSORS_OF_MODELS: Mapping[str, str] = {
    model: name
    for name, models in {
        "BeitImageProcessor": "beit data2vec-vision",
        "BitImageProcessor": "bit dinov2 dinov2_with_registers focalnet hiera",
        "CLIPImageProcessor": "clip metaclip_2",
        "ConvNextImageProcessor": "convnext convnextv2 cvt regnet resnet van",
        "DeiTImageProcessor": "deit",
        "DonutImageProcessor": "donut-swin",
        "EfficientFormerImageProcessor": "efficientformer",
        "EfficientNetImageProcessor": "efficientnet",
        "Gemma3ImageProcessor": "shieldgemma2",
        "ImageGPTImageProcessor": "imagegpt",
        "LevitImageProcessor": "levit",
        "MobileNetV1ImageProcessor": "mobilenet_v1",
        "MobileNetV2ImageProcessor": "mobilenet_v2",
        "MobileViTImageProcessor": "mobilevit mobilevitv2",
        "PPLCNetImageProcessor": "pp_lcnet",
        "PerceiverImageProcessor": "perceiver",
        "PoolFormerImageProcessor": "poolformer",
        "PvtImageProcessor": "pvt pvt_v2",
        "SegformerImageProcessor": "segformer",
        "Siglip2ImageProcessor": "siglip2",
        "SiglipImageProcessor": "siglip",
        "TextNetImageProcessor": "textnet",
        "ViTHybridImageProcessor": "vit-hybrid",
        "ViTImageProcessor": "dinat ijepa nat swiftformer swin swinv2 vit vit_msn",
    }.items()
    for model in models.split()
}
