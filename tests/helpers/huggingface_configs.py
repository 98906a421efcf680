"""``preprocessor_config.json`` of the families that classify images, as their authors publish it.

The families are those of transformers' ``AutoModelForImageClassification`` (5.24), and four of
4.x that 5 dropped.
"""

from __future__ import annotations

from typing import Any

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
EFFICIENTNET = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.47853944, 0.4732864, 0.47434163],
}


def extract(kind: str, stats: dict[str, Any], size: Any, **others: Any) -> dict[str, Any]:
    """Return a file of 2022, which names a feature extractor."""
    return {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": f"{kind}FeatureExtractor",
        **stats,
        "size": size,
        **others,
    }


def process(kind: str, stats: dict[str, Any], size: Any, **others: Any) -> dict[str, Any]:
    """Return a newer file, which names an image processor and has sizes by their names."""
    return {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_processor_type": f"{kind}ImageProcessor",
        **stats,
        "rescale_factor": 1 / 255,
        "size": size,
        **others,
    }


def sides(height: int, width: int | None = None) -> dict[str, int]:
    return {"height": height, "width": width or height}


def edge(side: int) -> dict[str, int]:
    return {"shortest_edge": side}


def crop(size: Any) -> dict[str, Any]:
    return {"do_center_crop": True, "crop_size": size}


UNCROPPED = {"crop_size": 224, "do_center_crop": False}
MOBILEVIT = {"do_center_crop": True, "do_flip_channel_order": True, "resample": 2}

PUBLISHED: dict[str, dict[str, Any]] = {
    "beit": extract("Beit", HALF, 224, resample=2, **UNCROPPED),
    "bit": process("Bit", HALF, edge(448), resample=3, **crop(sides(448))),
    "clip": extract("CLIP", CLIP, 224, resample=3, **crop(224)),
    "convnext": extract("ConvNext", IMAGENET, 224, resample=3, crop_pct=0.875),
    "convnext at 384": extract("ConvNext", IMAGENET, 384, resample=3, crop_pct=1.0),
    "convnextv2": process("ConvNext", IMAGENET, edge(224), resample=3, crop_pct=0.875),
    "cvt": extract("ConvNext", IMAGENET, 224, resample=3, crop_pct=0.875),
    "data2vec-vision": extract("Beit", HALF, 224, resample=2, **UNCROPPED),
    "deit": extract("DeiT", IMAGENET, 256, resample=3, **crop(224)),
    "dinat": extract("ViT", IMAGENET, 224, resample=2),
    "dinov2": process("Bit", IMAGENET, edge(256), resample=3, **crop(sides(224))),
    "dinov2_with_registers": process("Bit", IMAGENET, edge(256), resample=3, **crop(sides(224))),
    "efficientformer": process(
        "EfficientFormer", IMAGENET, sides(256), resample=3, **crop(sides(224))
    ),
    "efficientnet": process(
        "EfficientNet",
        EFFICIENTNET,
        sides(224),
        resample=0,
        crop_size=sides(289),
        do_center_crop=False,
        include_top=True,
        rescale_offset=False,
    ),
    "efficientnet with an offset": {
        **process("EfficientNet", EFFICIENTNET, sides(240, 224), resample=3),
        "do_normalize": False,
        "include_top": False,
        "rescale_factor": 1 / 127.5,
        "rescale_offset": True,
    },
    "focalnet": process("Bit", IMAGENET, edge(256), resample=3, **crop(sides(224))),
    "hiera": process("Bit", IMAGENET, edge(256), resample=3, **crop(sides(224))),
    "ijepa": process("ViT", IMAGENET, sides(224), resample=2),
    "levit": extract("Levit", IMAGENET, 224, resample=3, do_center_crop=True),
    "metaclip_2": process("CLIP", CLIP, edge(224), resample=3, **crop(sides(224))),
    "mobilenet_v1": extract("MobileNetV1", HALF, edge(256), resample=2, **crop(sides(224))),
    "mobilenet_v2": extract("MobileNetV2", HALF, edge(219), resample=2, **crop(sides(192))),
    "mobilevit": extract("MobileViT", {}, 288, crop_size=256, **MOBILEVIT),
    "mobilevitv2": process("MobileViT", {}, edge(288), crop_size=sides(256), **MOBILEVIT),
    "nat": extract("ViT", IMAGENET, 224, resample=2),
    "poolformer": extract("PoolFormer", IMAGENET, 224, resample=3, crop_pct=0.95, **crop(224)),
    "pvt": process("Pvt", IMAGENET, sides(224), resample=2),
    "pvt_v2": process("Pvt", IMAGENET, sides(224), resample=2),
    "regnet": extract("ConvNext", IMAGENET, 224, resample=3, crop_pct=0.875),
    "resnet": extract("ConvNext", IMAGENET, 224, resample=3, crop_pct=0.875),
    "segformer": extract("Segformer", IMAGENET, 512, resample=2, reduce_labels=False),
    "siglip": process("Siglip", HALF, sides(224), resample=3),
    "swiftformer": extract("ViT", IMAGENET, 224, resample=3),
    "swin": extract("ViT", IMAGENET, 224, resample=3),
    "swinv2": extract("ViT", IMAGENET, 256, resample=3),
    "van": extract("ConvNext", IMAGENET, 224, resample=3, crop_pct=0.9),
    "vit": extract("ViT", HALF, 224),
    "vit of a fast class": {
        **process("ViT", HALF, sides(224), resample=2),
        "image_processor_type": "ViTImageProcessorFast",
        "crop_size": None,
        "data_format": "channels_first",
        "device": None,
        "do_center_crop": None,
        "do_pad": None,
    },
    "vit-hybrid": process("ViTHybrid", HALF, edge(384), resample=3, **crop(sides(384))),
    "vit_msn": extract("ViT", IMAGENET, 224, resample=3),
}

# Families whose class is refused, and words of the reason.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "donut-swin": (process("Donut", HALF, sides(2560, 1920)), "thumbnails"),
    "imagegpt": (process("ImageGPT", HALF, sides(32), clusters=[[0, 0, 0]]), "colour clusters"),
    "perceiver": (
        extract("Perceiver", IMAGENET, 224, resample=3, **crop(256)),
        "before it resizes",
    ),
    "pp_lcnet": (process("PPLCNet", IMAGENET, sides(256)), "rounds"),
    "shieldgemma2": (process("Gemma3", HALF, sides(896)), "several pictures"),
    "siglip2": (process("Siglip2", HALF, None, patch_size=16), "patches"),
    "textnet": (process("TextNet", IMAGENET, edge(640), size_divisor=32), "multiples of 32"),
    "another": (process("Other", HALF, sides(224)), "no image processor that"),
}
