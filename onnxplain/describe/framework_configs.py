"""The ``config.json`` of timm and of Hugging Face, read into fields of a spec."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from onnxplain.core.data import Fit, Interpolation, Size
from onnxplain.core.spec import Head
from onnxplain.describe.fields import Part, SpecSource
from onnxplain.describe.label_files import parse_class_names

TIMM = "config.json (timm)"
INTERPOLATIONS: Mapping[str, Interpolation] = {
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "nearest": "nearest",
    "box": "area",
    "hamming": "hamming",
    "lanczos": "lanczos",
}
FITS: Mapping[str, Fit] = {"squash": "stretch", "border": "pad"}  # all others crop
CROP_PCT = 0.875  # where a configuration gives none

# Of the two, Hugging Face's pipeline makes probabilities by a sigmoid, or by a softmax.
PROBLEM_TYPES: Mapping[str, Head] = {
    "multi_label_classification": "sigmoid",
    "single_label_classification": "softmax",
}


def read_timm(config: Mapping[str, Any], graph_sizes: Collection[Size] = ()) -> SpecSource:
    """Return the fields in timm's ``config.json``, as its transform for evaluation applies them.

    Parameters
    ----------
    config : mapping
        The file's content; one that is not timm's gives no fields.
    graph_sizes : collection of (rows, columns), optional
        Sizes that the graph may take. If that is `test_input_size` and not `input_size`, the
        model was exported for it, and `test_crop_pct` counts.
    """
    inner = config.get("pretrained_cfg", config)
    if not isinstance(inner, Mapping) or "mean" not in inner or "std" not in inner:
        return SpecSource(TIMM, {})
    values: dict[str, Any] = {"range": (0.0, 1.0), "mean": inner["mean"], "std": inner["std"]}
    refusals = dict[Part, str]()
    if inner is not config or "architecture" in config:
        values |= _read_steps(inner, graph_sizes)
        name = inner.get("interpolation") or "bicubic"
        if name in INTERPOLATIONS:
            values["interpolation"] = INTERPOLATIONS[name]
        else:
            refusals["interpolation"] = f"timm has no interpolation {name!r} for evaluation"
    names = config.get("label_names") or inner.get("label_names")
    if names:
        described = config.get("label_descriptions") or inner.get("label_descriptions")
        values["class_names"] = _describe_labels(parse_class_names(names, TIMM), described)
    return SpecSource(TIMM, values, refusals)


def _read_steps(inner: Mapping[str, Any], graph_sizes: Collection[Size]) -> dict[str, Any]:
    size, share = (_read_size(inner.get("input_size")), inner.get("crop_pct") or CROP_PCT)
    test_size = _read_size(inner.get("test_input_size"))
    if test_size in graph_sizes and size not in graph_sizes:
        size, share = test_size, inner.get("test_crop_pct") or share
    fit = FITS.get(inner.get("crop_mode") or "center", "crop")
    steps: dict[str, Any] = {"fit": fit} if size is None else {"fit": fit, "size": size}
    if share > 1 and size is not None:  # the resized photo is smaller than the input
        steps["resize"] = (math.floor(size[0] / share), math.floor(size[1] / share))
    else:
        steps["crop"] = float(share)
    if fit == "pad":
        steps["border"] = [round(255 * part) for part in inner["mean"]]
    return steps


def _read_size(size: Any) -> Size | None:
    """Return rows and columns of (channels, rows, columns)."""
    return None if size is None else (int(size[-2]), int(size[-1]))


def _describe_labels(names: tuple[str, ...], described: Any) -> tuple[str, ...]:
    """Return descriptions in place of WordNet ids, if each has one."""
    if not isinstance(described, Mapping) or not all(re.fullmatch(r"n\d{8}", n) for n in names):
        return names
    texts = tuple(described.get(name) for name in names)
    return texts if all(isinstance(text, str) for text in texts) else names  # type: ignore[return-value]  # mypy does not see that no text is None


def read_id2label(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the class names in Hugging Face's ``config.json``; none if it has none."""
    if not isinstance(config.get("id2label"), Mapping):
        return {}
    return {"class_names": parse_class_names(config["id2label"], where)}


def read_problem_type(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the kind of scores in Hugging Face's ``config.json``; none if it does not say it."""
    head = PROBLEM_TYPES.get(config.get("problem_type", ""))
    return {} if head is None else {"head": head}
