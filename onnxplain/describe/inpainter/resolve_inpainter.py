"""Find out how an inpainter wants to be fed, and note where that is known from.

The sources, in the order in which they count: flags, a preset among them, the table
``[inpainter]`` of the TOML file beside the model, the metadata entry ``onnxplain.inpainter``
(JSON of the same keys), the graph. What the graph fixes cannot be overruled. What stays open is
the plain convention's, unless the graph's behaviour shows otherwise
(`onnxplain.runtime.inpainters.conformance`).

Example of a TOML file::

    [inpainter]
    preset = "lama"
    output_range = [0, 1]
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from onnxplain.core.errors import InpainterError
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.text_files import TextError, parse_json
from onnxplain.describe.fields import SpecSource, parse_fields, parse_flag
from onnxplain.describe.inpainter.inpainter_spec import (
    INPAINTER_FIELDS,
    INPAINTER_PARAMETERS,
    InpainterSpec,
    format_value,
)
from onnxplain.describe.inpainter.ports import has_picture_output, read_ports
from onnxplain.describe.inpainter.presets import INPAINTER_PRESETS
from onnxplain.describe.metadata import METADATA
from onnxplain.describe.sources import read_spec_toml
from onnxplain.graph.load import ModelFile

TABLE = "inpainter"
METADATA_KEY = "onnxplain.inpainter"

Sourced: TypeAlias = tuple[Any, str]  # a value and the name of its source


def is_inpainter(model: ModelFile) -> bool:
    """Return whether a file is described as an inpainter, or its graph answers with a picture."""
    return bool(_read_file_sources(model)) or has_picture_output(model)


def resolve_inpainter(model: ModelFile, flags: Mapping[str, Any]) -> InpainterSpec:
    """Describe an inpainter.

    Parameters
    ----------
    model : ModelFile
        The result of `read_model`.
    flags : mapping
        Fields of `InpainterSpec`, and ``preset`` (a name of `INPAINTER_PRESETS`). None counts
        as not given.

    Raises
    ------
    InpainterError
        If it is no inpainter, if a flag, preset or file contradicts the graph, or if how image
        and mask go in cannot be known.
    ValueError, TypeError
        If a flag has no valid value.
    """
    name = model.path.name
    given = _merge([*_read_flags(flags), *_read_file_sources(model, must_be_table=True)])
    facts = read_ports(model, {field: value for field, (value, _) in given.items()})
    for field in ("image_input", "mask_input", "output"):  # given by name or index
        if field in given:
            given[field] = facts[field], given[field][1]
    values, origins = _decide_fields(name, given, facts)
    if facts["axis"] is not None and values["batch"] not in (1, facts["axis"]):
        raise InpainterError(
            f"{name}: {origins['batch']} says batch {values['batch']}, but the graph has "
            f"{facts['axis']}; leave it out"
        )
    try:
        spec = InpainterSpec(**values, sources=origins)
    except (TypeError, ValueError) as error:
        raise InpainterError(f"{name}: {error}") from error
    if spec.pack == "image" and not spec.premultiply:
        raise InpainterError(
            f"{name}: {origins['premultiply']} says premultiply = false, but a graph that takes no "
            f"mask can only see holes that are blank; write premultiply = true"
        )
    return spec


def _merge(sources: Sequence[SpecSource]) -> dict[str, Sourced]:
    """Return each field with the value of the first source that has it."""
    merged: dict[str, Sourced] = {}
    for source in sources:
        for field, value in source.values.items():
            merged.setdefault(field, (value, source.name))
    return merged


def _decide_fields(
    name: str, given: Mapping[str, Sourced], facts: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return values and origins of all fields: as given, by the graph, or by default."""
    values, origins = dict[str, Any](), dict[str, str]()
    for field in INPAINTER_FIELDS:
        fact = facts.get(field)
        if field in given:
            values[field], origins[field] = given[field]
            if fact not in (None, values[field]):
                raise InpainterError(
                    f"{name}: {origins[field]} says {field} {format_value(values[field])}, but the "
                    f"graph has {format_value(fact)}; write {field} = {json.dumps(fact)}, or leave "
                    f"it out"
                )
        elif fact is not None:
            values[field], origins[field] = fact, "graph"
        else:
            values[field], origins[field] = _choose_default(field, values, given, facts)
    return values, origins


def _choose_default(
    field: str, values: Mapping[str, Any], given: Mapping[str, Sourced], facts: Mapping[str, Any]
) -> Sourced:
    """Return the plain convention's value, or the one that follows from fields before it."""
    if field == "range" and values["dtype"] == "uint8":
        return (0.0, 255.0), "follows from dtype"
    if field == "premultiply" and values["pack"] == "image":
        return True, "follows from pack"
    if field in ("hole", "known"):
        return _choose_mask_value(field, values, given)
    if field == "batch" and facts["axis"] is not None:
        return facts["axis"], "follows from the graph's batch"
    if field == "output_layout":
        return values["layout"], "follows from layout"
    if field == "output_colour":
        return values["colour"], "follows from colour"
    if field == "output_range" and facts["output_dtype"] == "uint8":
        return (0.0, 255.0), "follows from the output's type"
    return INPAINTER_PARAMETERS[field].default, "default"


def _choose_mask_value(
    field: str, values: Mapping[str, Any], given: Mapping[str, Sourced]
) -> tuple[float, str]:
    """Return `hole` or `known`: 0 or the mask's largest value, the opposite of the other."""
    largest = 255.0 if values["mask_dtype"] == "uint8" else 1.0
    if values["pack"] == "width":  # the mask is a picture, as the image beside it
        largest = values["range"][1]
    other = "known" if field == "hole" else "hole"
    if other in given:
        return (0.0 if given[other][0] != 0 else largest), f"follows from {other}"
    return (largest if field == "hole" else 0.0), "default"


def _read_flags(flags: Mapping[str, Any]) -> list[SpecSource]:
    """Return one source per flag, so that each value tells which flag it came from."""
    given = {name: value for name, value in flags.items() if value is not None}
    preset = given.pop("preset", None)
    sources = [parse_flag(INPAINTER_FIELDS, name, value) for name, value in given.items()]
    return sources if preset is None else [*sources, _find_preset(preset, "flag")]


def _find_preset(name: object, where: str) -> SpecSource:
    if not isinstance(name, str) or name not in INPAINTER_PRESETS:
        raise ValueError(f"preset {describe_unknown(str(name), INPAINTER_PRESETS)}")
    return SpecSource(f"preset {name} ({where})", INPAINTER_PRESETS[name])


def _read_file_sources(model: ModelFile, *, must_be_table: bool = False) -> list[SpecSource]:
    """Read the TOML file beside the model, and the file's metadata.

    With `must_be_table`, a TOML file that holds anything but the table is an error.
    """
    sources = []
    path = model.path.with_suffix(".toml")
    if path.is_file():
        content = read_spec_toml(path, InpainterError)
        if must_be_table and content and TABLE not in content:
            raise InpainterError(
                f"{path.name}: describes no inpainter; put {', '.join(content)} under [{TABLE}]"
            )
        sources += _parse_table(content.get(TABLE, {}), path.name)
    for entry in model.proto.metadata_props:
        if entry.key == METADATA_KEY:
            try:
                content = parse_json(entry.value)
            except TextError as error:
                raise InpainterError(
                    f"{model.path.name}: its metadata {METADATA_KEY} is no JSON: {error}"
                ) from error
            sources += _parse_table(content, METADATA)
    return sources


def _parse_table(content: Any, where: str) -> list[SpecSource]:
    """Return the fields of a table, and after them those of the preset that it names."""
    if not isinstance(content, Mapping):
        raise InpainterError(f"{where}: {TABLE} must be a table, got {content!r}")
    values = dict(content)
    try:
        presets = [_find_preset(values.pop("preset"), where)] if "preset" in values else []
        own = parse_fields(INPAINTER_FIELDS, values)
    except (TypeError, ValueError) as error:
        keys = ", ".join(INPAINTER_FIELDS)
        raise InpainterError(f"{where}: {error}; its keys: preset, {keys}") from error
    return [SpecSource(where, own), *presets] if own else presets
