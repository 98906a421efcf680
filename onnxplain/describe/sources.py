"""Where a classifier's description may stand beside its graph, read into fields of a spec.

============================  ===================================================
source                        what is read
============================  ===================================================
``<model>.toml``              our own: any field of `ModelSpec`, and ``labels``, the
                              path of a file with class names
``preprocessor_config.json``  Hugging Face: size, crop, resample, rescale, mean, std
``config.json``               timm's ``pretrained_cfg``; Hugging Face's ``id2label``
metadata of the ONNX file     ``onnxplain.spec`` (JSON, as the TOML file); the
                              standard's ``Image.BitmapPixelFormat`` and
                              ``Image.NominalPixelRange``; class names as ``names``,
                              ``classes``, ``labels`` or ``class_names``
============================  ===================================================

Example of a TOML file::

    colour = "bgr"
    range = [0, 255]
    mean = [104.05, 112.51, 116.68]   # in units of range, in the model's channel order
    std = [255, 255, 255]
    labels = "categories.txt"
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PureWindowsPath
from typing import Any

from onnx import ModelProto

from onnxplain.core.errors import ModelError, OnnxplainError
from onnxplain.core.spec import ModelSpec
from onnxplain.core.text_files import TextError, parse_json, parse_toml, read_text
from onnxplain.describe.class_names import NUMBERED
from onnxplain.describe.fields import CLASSIFIER_FIELDS, SpecSource, parse_fields
from onnxplain.describe.framework_configs import read_id2label, read_preprocessor, read_timm
from onnxplain.describe.label_files import parse_class_text, read_class_names

METADATA = "ONNX metadata"  # the name of this source
PIXEL_FORMATS = {"gray8": "grey", "rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgb", "bgra8": "bgr"}
PIXEL_RANGES = {
    "nominalrange_0_255": (0.0, 255.0),
    "normalized_0_1": (0.0, 1.0),
    "normalized_1_1": (-1.0, 1.0),
    "nominalrange_16_235": (16.0, 235.0),
}


def read_sources(path: Path, proto: ModelProto) -> list[SpecSource]:
    """Read the files beside a model and its metadata, the most specific source first.

    Raises
    ------
    ModelError
        If one of the files is not in its usual form.
    """
    sources = []
    if (toml := path.with_suffix(".toml")).is_file():
        sources.append(SpecSource(toml.name, _read_own_toml(toml)))
    # Hugging Face keeps ONNX files in a folder of that name, below the configuration.
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "onnx" else [])]
    for name, read in (
        ("preprocessor_config.json", _read_preprocessor),
        ("config.json", _read_config),
    ):
        file = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if file is not None:
            try:
                sources += read(_read_json(file))
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise ModelError(f"{name}: is not in the usual form: {error!r}") from error
    try:
        sources.append(SpecSource(METADATA, _read_metadata(proto)))
    except ModelError as error:  # it names the metadata, not the file
        raise ModelError(f"{path.name}: {error}") from error
    return [source for source in sources if source.values]


def read_spec_toml(path: Path, error: type[OnnxplainError]) -> dict[str, Any]:
    """Return the content of a TOML file beside a model.

    Raises
    ------
    OnnxplainError
        `error`, if it cannot be read as TOML.
    """
    try:
        return parse_toml(read_text(path))
    except (OSError, TextError) as cause:
        raise error(f"{path.name}: not a readable TOML file: {cause}") from cause


def format_spec_toml(spec: ModelSpec) -> str:
    """Return the text of a TOML file that reads back to a spec, with the source of each value.

    A value in this file wins over one that is found later, so it holds only what somebody
    said: defaults stand in comments, and numbers in place of class names are left out.
    """
    lines = []
    for field in fields(spec):
        source = spec.sources.get(field.name)
        if field.name == "sources" or source == NUMBERED:
            continue
        value = getattr(spec, field.name)
        text = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        comment = f"  # {source}" if source and field.name != "class_names" else ""
        lines.append(f"{'# ' if source == 'default' else ''}{field.name} = {text}{comment}\n")
    return "".join(lines)


def _read_own_toml(path: Path) -> dict[str, Any]:
    values = read_spec_toml(path, ModelError)
    if isinstance(values.get("inpainter"), Mapping):
        raise ModelError(
            f"{path.name}: describes an inpainter, which is no classifier; give the model as "
            f"--inpainter"
        )
    labels = values.pop("labels", None)
    if labels is not None:
        values["class_names"] = read_class_names(_find_beside(path, labels))
    return _parse(values, path.name)


def _find_beside(path: Path, name: object) -> Path:
    """Return a file that the description of a model names; it lies in the model's folder."""
    given = str(name)
    below = os.path.normpath(given)
    leads_out = below.split(os.sep)[0] == ".." or Path(given).is_absolute()
    if not isinstance(name, str) or leads_out or PureWindowsPath(given).anchor:
        raise ModelError(
            f"{path.name}: labels names a file in the model's folder, got {name!r}; put the file "
            f"there, or give it as --labels"
        )
    return path.parent / below


def _parse(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        return parse_fields(CLASSIFIER_FIELDS, values)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{where}: {error}; its keys: {', '.join(CLASSIFIER_FIELDS)}") from error


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(read_text(path))
    except (OSError, TextError) as error:
        raise ModelError(f"{path.name}: not a readable JSON file: {error}") from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path.name}: must hold an object, holds {type(content).__name__}")
    return content


def _read_preprocessor(config: Mapping[str, Any]) -> list[SpecSource]:
    name = "preprocessor_config.json"
    return [SpecSource(name, _parse(read_preprocessor(config), name))]


def _read_config(config: Mapping[str, Any]) -> list[SpecSource]:
    """Return two sources from a ``config.json``: the fields of timm and of Hugging Face."""
    timm, labels = "config.json (timm)", "config.json (id2label)"
    return [
        SpecSource(timm, _parse(read_timm(config, timm), timm)),
        SpecSource(labels, read_id2label(config, "config.json")),
    ]


def _read_metadata(proto: ModelProto) -> dict[str, Any]:
    values = dict[str, Any]()
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    if "onnxplain.spec" in entries:
        try:
            values = dict(parse_json(entries["onnxplain.spec"]))
        except (TypeError, ValueError) as error:
            raise ModelError(f"{METADATA}: onnxplain.spec is not a JSON object: {error}") from error
    colour = PIXEL_FORMATS.get(entries.get("Image.BitmapPixelFormat", "").lower())
    if colour:
        values.setdefault("colour", colour)
    pixel_range = PIXEL_RANGES.get(entries.get("Image.NominalPixelRange", "").lower())
    if pixel_range and not {"range", "mean", "std"} & set(values):
        values["range"] = pixel_range
    for key in ("class_names", "names", "classes", "labels"):
        if key in entries and "class_names" not in values:
            with suppress(ModelError):  # it may be a note on something else
                names = parse_class_text(entries[key], METADATA)
                if len(names) > 1:
                    values["class_names"] = names
    return _parse(values, METADATA)
