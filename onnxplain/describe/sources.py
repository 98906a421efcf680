"""Where a classifier's description may stand beside its graph, read into fields of a spec.

============================  ===================================================
source                        what is read
============================  ===================================================
``<model>.toml``              our own: any field of `ModelSpec`, and ``labels``, the
                              path of a file with class names
``preprocessor_config.json``  Hugging Face: what the image processor it names does; in
                              ``processor_config.json`` it stands as ``image_processor``
``config.json``               timm's ``pretrained_cfg``; Hugging Face's ``id2label`` and
                              ``problem_type``, and its ``model_type`` if the other file
                              names no class
metadata of the ONNX file     `onnxplain.describe.metadata` lists it
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path, PureWindowsPath
from typing import Any

from onnx import ModelProto

from onnxplain.core.errors import ModelError, OnnxplainError, tell_reason
from onnxplain.core.spec import ModelSpec
from onnxplain.core.text_files import TextError, parse_json, parse_toml, read_text
from onnxplain.describe.class_names import NUMBERED
from onnxplain.describe.fields import CLASSIFIER_FIELDS, SpecSource, parse_fields
from onnxplain.describe.framework_configs import read_id2label, read_problem_type, read_timm
from onnxplain.describe.huggingface import NAMES as PROCESSOR_FILES
from onnxplain.describe.huggingface import read_preprocessor
from onnxplain.describe.imagenet import IMAGENET_NAMES
from onnxplain.describe.label_files import read_class_names
from onnxplain.describe.metadata import list_fixed_sizes, read_metadata


def read_sources(path: Path, proto: ModelProto) -> list[SpecSource]:
    """Read the files beside a model and its metadata, the most specific source first.

    Raises
    ------
    ModelError
        If one of the files is not in its usual form.
    """
    sources = []
    if _is_there(toml := path.with_suffix(".toml")):
        sources.append(SpecSource(toml.name, _read_own_toml(toml)))
    config = _find_json(path, "config.json")
    name, processor = _find_processor(path)
    with _naming(name):
        if processor is not None:
            read = read_preprocessor(processor, (config or {}).get("model_type"), name)
            sources.append(_parse_source(read))
    with _naming("config.json"):
        if config is not None:
            sources.append(_parse_source(read_timm(config, list_fixed_sizes(proto))))
            labels = read_id2label(config, "config.json")
            sources.append(SpecSource("config.json (id2label)", labels))
            sources.append(SpecSource("config.json (problem_type)", read_problem_type(config)))
    try:
        sources += map(_parse_source, read_metadata(proto))
    except ModelError as error:  # it names the metadata, not the file
        raise ModelError(f"{path.name}: {error}") from error
    return [source for source in sources if source.values or source.refusals]


def _find_processor(path: Path) -> tuple[str, Mapping[str, Any] | None]:
    """Return the name and content of the file of an image processor; None if there is none."""
    nested, plain = PROCESSOR_FILES
    content = _find_json(path, nested)
    if content is not None and "image_processor" in content:
        return nested, content
    return plain, _find_json(path, plain)


def _find_json(path: Path, name: str) -> Mapping[str, Any] | None:
    """Return the content of a JSON file beside a model; None if there is no such file."""
    # Hugging Face keeps ONNX files in a folder of that name, below the configuration.
    folders = [path.parent, *([path.parent.parent] if path.parent.name == "onnx" else [])]
    file = next((folder / name for folder in folders if _is_there(folder / name)), None)
    return None if file is None else _read_json(file)


def _is_there(path: Path) -> bool:
    """Return whether a file describes a model, be it by a broken link, which is then an error."""
    return path.is_file() or (path.is_symlink() and not path.is_dir())


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn exceptions over a file of another form into errors that name the file."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{name}: is not in the usual form: {error!r}") from error


def _parse_source(source: SpecSource) -> SpecSource:
    return replace(source, values=_parse(source.values, source.name))


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
        reason = tell_reason(cause)
        raise error(f"{path.name}: not a readable TOML file: {reason}") from cause


def format_spec_toml(spec: ModelSpec) -> str:
    """Return the text of a TOML file that reads back to a spec, with the source of each value.

    A value in this file wins over one that is found later, so it holds only what somebody
    said: defaults stand in comments, and class names that nobody gave are left out.
    """
    lines = []
    for field in fields(spec):
        source = spec.sources.get(field.name)
        value = getattr(spec, field.name)
        if field.name == "sources" or source in (NUMBERED, IMAGENET_NAMES) or value is None:
            continue
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
        raise ModelError(f"{path.name}: not a readable JSON file: {tell_reason(error)}") from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path.name}: must hold an object, holds {type(content).__name__}")
    return content
