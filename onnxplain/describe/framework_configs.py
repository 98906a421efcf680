"""The configurations of Hugging Face and timm, read into fields of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxplain.core.spec import Head
from onnxplain.describe.label_files import parse_class_names

# Of the two, Hugging Face's pipeline makes probabilities by a sigmoid, or by a softmax.
PROBLEM_TYPES: Mapping[str, Head] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}

# PIL's numbers of its filters, as Hugging Face writes them, and the nearest of ours.
RESAMPLE = {0: "nearest", 1: "bicubic", 2: "bilinear", 3: "bicubic", 4: "area", 5: "bilinear"}


def read_preprocessor(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields in Hugging Face's ``preprocessor_config.json``."""
    values = dict[str, Any]()
    scaled = config.get("do_rescale", True)
    high = 255 * float(config.get("rescale_factor", 1 / 255)) if scaled else 255.0
    if abs(high - 1) < 1e-6:
        high = 1.0
    offset = bool(config.get("rescale_offset")) and scaled  # EfficientNet: x * factor - 1
    mean, std = config.get("image_mean"), config.get("image_std")
    if config.get("do_normalize", mean is not None):
        if mean is not None and std is not None:
            values |= {"mean": mean, "std": std}
    elif {"do_rescale", "rescale_factor", "do_normalize"} & set(config):
        values |= {"mean": 0.0, "std": 1.0}
    if values:
        values["range"] = (-1.0, high - 1) if offset else (0.0, high)
    if config.get("do_resize", True):
        values |= _read_resize_rule(config)
    if config.get("resample") in RESAMPLE:
        values["interpolation"] = RESAMPLE[config["resample"]]
    if config.get("do_flip_channel_order"):
        values["colour"] = "bgr"
    return values


def _read_resize_rule(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return size, fit and crop: stretch to height and width, or short edge and then centre."""
    size, crop = config.get("size"), config.get("crop_size")
    if size is None:
        return {}
    resized = size if isinstance(size, Mapping) else {"shortest_edge": size}
    if crop is not None and config.get("do_center_crop", True):
        crop = crop if isinstance(crop, Mapping) else {"height": crop, "width": crop}
        rows, columns = int(crop["height"]), int(crop["width"])
        edge = resized.get("shortest_edge") or min(resized["height"], resized["width"])
        share = min(1.0, min(rows, columns) / float(edge))
        return {"size": (rows, columns), "fit": "crop", "crop": share}
    if "height" in resized:
        return {"size": (resized["height"], resized["width"]), "fit": "stretch"}
    edge = int(resized.get("shortest_edge", 0))
    if not edge:
        return {}
    if "crop_pct" in config and edge >= 384:  # ConvNeXt: large sizes are stretched
        return {"size": (edge, edge), "fit": "stretch"}
    # Without a crop of its own, an old-style number means both sides.
    if not isinstance(size, Mapping) and "crop_pct" not in config:
        return {"size": (edge, edge), "fit": "stretch"}
    return {"size": (edge, edge), "fit": "crop", "crop": float(config.get("crop_pct") or 1.0)}


def read_timm(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields in timm's ``config.json``; none if it is not timm's."""
    inner = config.get("pretrained_cfg", config)
    if not isinstance(inner, Mapping) or "mean" not in inner or "std" not in inner:
        return {}
    values: dict[str, Any] = {"range": (0.0, 1.0), "mean": inner["mean"], "std": inner["std"]}
    if "input_size" in inner:
        values["size"] = tuple(inner["input_size"][-2:])
    if inner.get("interpolation") in ("bilinear", "bicubic", "nearest"):
        values["interpolation"] = inner["interpolation"]
    if inner.get("crop_pct"):
        fits = {"squash": "stretch", "border": "pad"}
        values["fit"] = fits.get(inner.get("crop_mode", "center"), "crop")
        values["crop"] = inner["crop_pct"]
    names = config.get("label_names") or inner.get("label_names")
    if names:
        values["class_names"] = parse_class_names(names, where)
    return values


def read_id2label(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the class names in Hugging Face's ``config.json``; none if it has none."""
    if not isinstance(config.get("id2label"), Mapping):
        return {}
    return {"class_names": parse_class_names(config["id2label"], where)}


def read_problem_type(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kind of scores in Hugging Face's ``config.json``; none if it does not say it."""
    head = PROBLEM_TYPES.get(config.get("problem_type", ""))
    return {} if head is None else {"head": head}
