"""What an ONNX file says about its images and classes beside the graph, read into fields of a spec.

================================  ==============================================================
metadata                          what is read
================================  ==============================================================
``onnxplain.spec``                our own (JSON): any field of `ModelSpec`, as in a TOML file
``Image.BitmapPixelFormat``,      the standard's (Windows ML, Custom Vision): colour order and
``Image.NominalPixelRange``,      range
``Image.ColorSpaceGamma``
``names``, ``classes``,           class names, as a list or dictionary, or separated by commas or
``labels``, ``class_names``       lines
``task: classify``, ``imgsz``,    Ultralytics: the shortest side is resized to ``imgsz``, the
``stride``                        centre cut out, and pixels go from 0 to 1
description of the input          converters from Core ML and others: "Image(s) in BGR format",
                                  "values in [0, 255]"
================================  ==============================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from onnx import ModelProto

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ChannelOrder
from onnxplain.core.text_files import parse_json
from onnxplain.describe.fields import Part, SpecSource
from onnxplain.describe.label_files import parse_class_text
from onnxplain.describe.normalisation import NORMALISATION_FIELDS
from onnxplain.graph.shapes import list_fed_inputs, read_declared_dims

METADATA = "ONNX metadata"  # the name of this source
DESCRIPTION = "description of the input"
PIXEL_FORMATS: Mapping[str, ChannelOrder] = {
    "gray8": "grey",
    "rgb8": "rgb",
    "bgr8": "bgr",
    "rgba8": "rgb",
    "bgra8": "bgr",
}
PIXEL_RANGES = {
    "nominalrange_0_255": (0.0, 255.0),
    "normalized_0_1": (0.0, 1.0),
    "normalized_1_1": (-1.0, 1.0),
    "nominalrange_16_235": (16.0, 235.0),
}


def read_metadata(proto: ModelProto) -> list[SpecSource]:
    """Return the fields in a file's metadata, those in the input's description, and refusals.

    Raises
    ------
    ModelError
        If ``onnxplain.spec`` is no JSON object.
    """
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    values = dict[str, Any]()
    if "onnxplain.spec" in entries:
        try:
            values = dict(parse_json(entries["onnxplain.spec"]))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{METADATA}: onnxplain.spec is not a JSON object: {error}") from error
    standard, refusals = _read_standard(entries)
    ultralytics, more_refusals = _read_ultralytics(entries)
    for found in (standard, ultralytics):
        if set(NORMALISATION_FIELDS) & set(values):  # range, mean and std belong together
            found = {name: found[name] for name in found if name not in NORMALISATION_FIELDS}
        values = found | values
    if "class_names" not in values and (names := _read_names(entries)):
        values["class_names"] = names
    return [
        SpecSource(METADATA, values, refusals | more_refusals),
        SpecSource(DESCRIPTION, _read_description(proto)),
    ]


def list_fixed_sizes(proto: ModelProto) -> set[Size]:
    """Return what may be the rows and columns of the image input, in either layout."""
    sizes = set[Size]()
    for value in list_fed_inputs(proto.graph):
        dims = read_declared_dims(value) or ()
        for rows, columns in (dims[1:3], dims[2:4]) if len(dims) == 4 else ():
            if rows and columns:
                sizes.add((rows, columns))
    return sizes


def _read_standard(entries: Mapping[str, str]) -> tuple[dict[str, Any], dict[Part, str]]:
    """Read the keys of the standard; values that a spec cannot say are refused."""
    values, refusals = dict[str, Any](), dict[Part, str]()
    for key, field, known in (
        ("Image.BitmapPixelFormat", "colour", PIXEL_FORMATS),
        ("Image.NominalPixelRange", "range", PIXEL_RANGES),
        ("Image.ColorSpaceGamma", "", {"srgb": None}),
    ):
        said = entries.get(key)
        if said is None:
            continue
        if said.lower() not in known:
            refusals["normalisation"] = f"{key} is {said!r}, which onnxplain cannot make"
        elif field:
            values[field] = known[said.lower()]
    return values, refusals


def _read_ultralytics(entries: Mapping[str, str]) -> tuple[dict[str, Any], dict[Part, str]]:
    """Read how Ultralytics prepares a photo for its classifiers."""
    if entries.get("task") != "classify" or not {"imgsz", "stride"} <= set(entries):
        return {}, {}
    values: dict[str, Any] = {"colour": "rgb", "range": (0.0, 1.0), "interpolation": "bilinear"}
    sides = tuple(map(int, re.findall(r"\d+", entries["imgsz"])))
    if len(sides) not in (1, 2):
        return values, {}
    size = (sides[0], sides[-1])
    if size[0] != size[1]:
        reason = f"versions of Ultralytics differ in how they prepare a size of {size}"
        return {**values, "size": size}, {"geometry": reason}
    return {**values, "size": size, "fit": "crop"}, {}


def _read_names(entries: Mapping[str, str]) -> tuple[str, ...] | None:
    for key in ("class_names", "names", "classes", "labels"):
        if key in entries:
            with suppress(ModelError):  # it may be a note on something else
                names = parse_class_text(entries[key], METADATA)
                if len(names) > 1:
                    return names
    return None


def _read_description(proto: ModelProto) -> dict[str, Any]:
    """Read the colour order and the range that the description of the only input tells."""
    inputs = list_fed_inputs(proto.graph)
    text = inputs[0].doc_string if len(inputs) == 1 else ""
    values = dict[str, Any]()
    orders = {order.lower() for order in re.findall(r"\b(?:RGB|BGR)\b", text, re.IGNORECASE)}
    if re.search(r"\bgr[ae]y(?:[ -]?scale)?\b", text, re.IGNORECASE):
        orders.add("grey")
    if len(orders) == 1:
        values["colour"] = orders.pop()
    number = r"(-?\d+(?:\.\d*)?)"
    for low, high in re.findall(rf"\[\s*{number}\s*(?:,|-|to|\.\.+)\s*{number}\s*\]", text):
        if (float(low), float(high)) in PIXEL_RANGES.values():
            values["range"] = (float(low), float(high))
    return values
