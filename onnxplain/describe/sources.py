"""Where a model's description may stand beside its graph, each read into fields of a spec.

===========================  ====================================================
source                       what is read
===========================  ====================================================
``<model>.toml``             our own: any field of `ModelSpec`, and ``labels``, the
                             path of a file with class names
``preprocessor_config.json``  Hugging Face: size, crop, resample, rescale, mean, std
``config.json``              timm's ``pretrained_cfg``; Hugging Face's ``id2label``
metadata of the ONNX file    ``onnxplain.spec`` (JSON, as the TOML file); the standard
                             ``Image.BitmapPixelFormat`` and
                             ``Image.NominalPixelRange``; class names as ``names``,
                             ``classes`` or ``class_names``
===========================  ====================================================

Example of a TOML file::

    colour = "bgr"
    range = [0, 255]
    mean = [104.05, 112.51, 116.68]   # in units of range, in the model's channel order
    std = [255, 255, 255]
    labels = "categories.txt"
"""

from __future__ import annotations

import ast
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from onnx import ModelProto

from onnxplain.core.errors import ModelError, OnnxplainError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.fields import FIELDS, parse_field
from onnxplain.describe.labels import parse_class_names, read_class_names

# PIL's numbers of its filters, as Hugging Face writes them; the nearest of ours.
RESAMPLE = {0: "nearest", 1: "bicubic", 2: "bilinear", 3: "bicubic", 4: "area", 5: "bilinear"}
PIXEL_FORMATS = {"gray8": "grey", "rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgb", "bgra8": "bgr"}
PIXEL_RANGES = {
    "nominalrange_0_255": (0.0, 255.0),
    "normalized_0_1": (0.0, 1.0),
    "normalized_1_1": (-1.0, 1.0),
    "nominalrange_16_235": (16.0, 235.0),
}


@dataclass(frozen=True, slots=True)
class SpecSource:
    """Fields of a spec and the place that they were found in."""

    name: str
    values: Mapping[str, Any]


def read_sources(path: Path, proto: ModelProto) -> list[SpecSource]:
    """What lies beside a model and in its metadata, the most specific first.

    Raises
    ------
    ModelError
        If one of the files cannot be read as what it is.
    """
    found = []
    if (own := path.with_suffix(".toml")).is_file():
        found.append(SpecSource(own.name, _own(own)))
    # Hugging Face keeps ONNX files in a folder of that name, below the configuration.
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "onnx" else [])]
    for name, read in (("preprocessor_config.json", _huggingface), ("config.json", _config)):
        file = next((one / name for one in folders if (one / name).is_file()), None)
        if file is not None:
            try:
                found += read(_json(file))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise ModelError(f"{name}: {error!r} is not as that file is written") from error
    found.append(SpecSource("ONNX metadata", _metadata(proto)))
    return [source for source in found if source.values]


def read_spec_toml(path: Path, error: type[OnnxplainError]) -> dict[str, Any]:
    """What a TOML file beside a model says, by its keys.

    Raises
    ------
    OnnxplainError
        `error`, if it cannot be read as TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as why:
        raise error(f"{path.name}: not a readable TOML file: {why}") from why


def format_spec_toml(spec: ModelSpec) -> str:
    """A spec as a TOML file that reads back to it, with the source of each value.

    What nobody said is not written as if somebody had, since a value in this file wins over
    one that is found later: defaults stand in comments, numbers in place of names nowhere.
    """
    lines = []
    for field in fields(spec):
        source = spec.sources.get(field.name)
        if field.name == "sources" or source == "numbered":
            continue
        value = getattr(spec, field.name)
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        comment = f"  # {source}" if source and field.name != "class_names" else ""
        lines.append(f"{'# ' if source == 'default' else ''}{field.name} = {text}{comment}\n")
    return "".join(lines)


def _own(path: Path) -> dict[str, Any]:
    values = read_spec_toml(path, ModelError)
    if isinstance(values.get("inpainter"), Mapping):
        raise ModelError(
            f"{path.name}: describes an inpainter, which is no classifier; give the model as "
            f"--inpainter"
        )
    labels = values.pop("labels", None)
    if labels is not None:
        values["class_names"] = read_class_names(path.parent / str(labels))
    return _parsed(values, path.name)


def _parsed(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        return {name: parse_field(name, value) for name, value in values.items()}
    except (TypeError, ValueError) as error:
        raise ModelError(f"{where}: {error}; its keys: {', '.join(FIELDS)}") from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path.name}: not a readable JSON file: {error}") from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path.name}: must hold an object, holds {type(content).__name__}")
    return content


def _huggingface(config: Mapping[str, Any]) -> list[SpecSource]:
    name, values = "preprocessor_config.json", dict[str, Any]()
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
        values |= _huggingface_size(config)
    if config.get("resample") in RESAMPLE:
        values["interpolation"] = RESAMPLE[config["resample"]]
    if config.get("do_flip_channel_order"):
        values["colour"] = "bgr"
    return [SpecSource(name, _parsed(values, name))]


def _huggingface_size(config: Mapping[str, Any]) -> dict[str, Any]:
    """The resize rule: stretch to height and width, or the short edge and then the centre."""
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


def _config(config: Mapping[str, Any]) -> list[SpecSource]:
    """Timm's and Hugging Face's ``config.json``."""
    found = []
    inner = config.get("pretrained_cfg", config)
    if isinstance(inner, Mapping) and "mean" in inner and "std" in inner:
        name = "config.json (timm)"
        values: dict[str, Any] = {
            "range": (0.0, 1.0),
            "mean": inner["mean"],
            "std": inner["std"],
        }
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
            values["class_names"] = parse_class_names(names, name)
        found.append(SpecSource(name, _parsed(values, name)))
    if isinstance(config.get("id2label"), Mapping):
        names = parse_class_names(config["id2label"], "config.json")
        found.append(SpecSource("config.json (id2label)", {"class_names": names}))
    return found


def _metadata(proto: ModelProto) -> dict[str, Any]:
    where, values = "ONNX metadata", dict[str, Any]()
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    if "onnxplain.spec" in entries:
        try:
            values = dict(json.loads(entries["onnxplain.spec"]))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{where}: onnxplain.spec is no JSON object: {error}") from error
    colour = PIXEL_FORMATS.get(entries.get("Image.BitmapPixelFormat", "").lower())
    if colour:
        values.setdefault("colour", colour)
    pixels = PIXEL_RANGES.get(entries.get("Image.NominalPixelRange", "").lower())
    if pixels and not {"range", "mean", "std"} & set(values):
        values["range"] = pixels
    for key in ("class_names", "names", "classes", "labels"):
        if key in entries and "class_names" not in values:
            names = _names(entries[key])
            if names:
                values["class_names"] = names
    return _parsed(values, where)


def _names(text: str) -> tuple[str, ...]:
    """Class names of a metadata entry: JSON, or a Python literal as some exporters write."""
    for read in (json.loads, ast.literal_eval):
        try:
            return parse_class_names(read(text), "ONNX metadata")
        except (ValueError, SyntaxError, ModelError, MemoryError, RecursionError):
            continue
    return ()
