"""Find out how an inpainter wants to be fed, and say where that is known from.

In this order: flags, a preset among them, the table ``[inpainter]`` of the TOML file beside
the model, the metadata entry ``onnxplain.inpainter`` (JSON of the same keys), the graph. What
the graph fixes nobody can overrule. What stays open is the plain convention's, unless the
graph's behaviour shows otherwise (`onnxplain.runtime.inpainters.conformance`).

Example of a TOML file::

    [inpainter]
    preset = "lama"
    output_range = [0, 1]
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from onnxplain.core.errors import InpainterError
from onnxplain.core.params import describe_unknown
from onnxplain.describe.inpainter.inpainter_spec import (
    INPAINTER_FIELDS,
    InpainterSpec,
    format_value,
    parse_inpainter_field,
)
from onnxplain.describe.inpainter.ports import has_picture_output, read_ports
from onnxplain.describe.inpainter.presets import INPAINTER_PRESETS
from onnxplain.describe.sources import SpecSource, read_spec_toml
from onnxplain.graph.load import ModelFile

TABLE = "inpainter"
METADATA = "onnxplain.inpainter"


def is_inpainter(model: ModelFile) -> bool:
    """Whether a file is described as an inpainter, or its graph answers with a picture."""
    return bool(_beside(model)) or has_picture_output(model)


def spell_inpainter_option(name: str) -> str:
    """How the command line spells a field.

    >>> option("output_range")
    '--inpainter-output-range'
    """
    return f"--inpainter-{name.replace('_', '-')}"


def resolve_inpainter(model: ModelFile, flags: Mapping[str, Any]) -> InpainterSpec:
    """Describe an inpainter.

    Parameters
    ----------
    model : ModelFile
        What `read_model` gave.
    flags : mapping
        Fields of `InpainterSpec`, and ``preset`` (a name of `INPAINTER_PRESETS`). None counts as
        not given.

    Raises
    ------
    InpainterError
        If it is no inpainter, if what is said contradicts the graph, or if how image and mask
        go in cannot be known.
    ValueError, TypeError
        If a flag has no valid value.
    """
    name = model.path.name
    sources = [*_flags(flags), *_beside(model, must_be_table=True)]
    told: dict[str, tuple[Any, str]] = {}
    for source in sources:
        for field, value in source.values.items():
            told.setdefault(field, (value, source.name))
    facts = read_ports(model, {field: value for field, (value, _) in told.items()})
    for field in ("image_input", "mask_input", "output"):  # told by name or index, found by it
        if field in told:
            told[field] = facts[field], told[field][1]
    values, origins = dict[str, Any](), dict[str, str]()
    for field in INPAINTER_FIELDS:
        fact = facts.get(field)
        if field in told:
            values[field], origins[field] = told[field]
            if fact not in (None, values[field]):
                raise InpainterError(
                    f"{name}: {origins[field]} says {field} {format_value(values[field])}, but the "
                    f"graph has {format_value(fact)}; write {field} = {json.dumps(fact)}, or leave "
                    f"it away"
                )
        elif fact is not None:
            values[field], origins[field] = fact, "graph"
        else:
            values[field], origins[field] = _by_default(field, values, told, facts)
    if facts["axis"] is not None and values["batch"] not in (1, facts["axis"]):
        raise InpainterError(
            f"{name}: {origins['batch']} says batch {values['batch']}, but the graph has "
            f"{facts['axis']}; leave it away"
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


def _by_default(
    field: str, values: Mapping[str, Any], told: Mapping[str, Any], facts: Mapping[str, Any]
) -> tuple[Any, str]:
    """The plain convention's value, or what follows from fields before it."""
    default = INPAINTER_FIELDS[field].default, "default"
    if field == "range" and values["dtype"] == "uint8":
        return (0.0, 255.0), "follows from dtype"
    if field == "premultiply" and values["pack"] == "image":
        return True, "follows from pack"
    if field in ("hole", "known"):
        return _mask_value(field, values, told)
    if field == "batch" and facts["axis"] is not None:
        return facts["axis"], "follows from the graph's batch"
    if field == "output_layout":
        return values["layout"], "follows from layout"
    if field == "output_colour":
        return values["colour"], "follows from colour"
    if field == "output_range" and facts["output_dtype"] == "uint8":
        return (0.0, 255.0), "follows from the output's type"
    return default


def _mask_value(
    field: str, values: Mapping[str, Any], told: Mapping[str, Any]
) -> tuple[float, str]:
    """What the mask holds in a hole, or elsewhere: 0 and the largest, as the other is told."""
    largest = 255.0 if values["mask_dtype"] == "uint8" else 1.0
    if values["pack"] == "width":  # it is a picture, as the image beside it
        largest = values["range"][1]
    other = "known" if field == "hole" else "hole"
    if other in told:
        return (0.0 if told[other][0] != 0 else largest), f"follows from {other}"
    return (largest if field == "hole" else 0.0), "default"


def _flags(flags: Mapping[str, Any]) -> list[SpecSource]:
    """One source a flag, so that each value tells which flag it came from."""
    given = {name: value for name, value in flags.items() if value is not None}
    preset = given.pop("preset", None)
    found = [
        SpecSource(
            f"flag {spell_inpainter_option(name)}", {name: parse_inpainter_field(name, value)}
        )
        for name, value in given.items()
    ]
    return found if preset is None else [*found, _preset(preset, "flag")]


def _preset(name: object, where: str) -> SpecSource:
    if not isinstance(name, str) or name not in INPAINTER_PRESETS:
        raise ValueError(f"preset {describe_unknown(str(name), INPAINTER_PRESETS)}")
    return SpecSource(f"preset {name} ({where})", INPAINTER_PRESETS[str(name)])


def _beside(model: ModelFile, *, must_be_table: bool = False) -> list[SpecSource]:
    """What the TOML file beside the model says, and the file's metadata."""
    found = []
    path = model.path.with_suffix(".toml")
    if path.is_file():
        content = read_spec_toml(path, InpainterError)
        if must_be_table and content and TABLE not in content:
            raise InpainterError(
                f"{path.name}: describes no inpainter; put {', '.join(content)} under [{TABLE}]"
            )
        found += _table(content.get(TABLE, {}), path.name)
    for entry in model.proto.metadata_props:
        if entry.key == METADATA:
            try:
                content = json.loads(entry.value)
            except ValueError as error:
                raise InpainterError(
                    f"{model.path.name}: its metadata {METADATA} is no JSON: {error}"
                ) from error
            found += _table(content, "ONNX metadata")
    return found


def _table(content: Any, where: str) -> list[SpecSource]:
    """The fields of a table, and after them those of the preset that it names."""
    if not isinstance(content, Mapping):
        raise InpainterError(f"{where}: {TABLE} must be a table, got {content!r}")
    values = dict(content)
    try:
        presets = [_preset(values.pop("preset"), where)] if "preset" in values else []
        own = {name: parse_inpainter_field(name, value) for name, value in values.items()}
    except (TypeError, ValueError) as error:
        raise InpainterError(
            f"{where}: {error}; its keys: preset, {', '.join(INPAINTER_FIELDS)}"
        ) from error
    return [SpecSource(where, own), *presets] if own else presets
