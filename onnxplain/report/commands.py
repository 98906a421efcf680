"""The command that makes a map again, ready to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from onnxplain import registry, zoo
from onnxplain.core.flow import NO_FILL
from onnxplain.core.params import Usual, list_parameters
from onnxplain.describe.fields import CLASSIFIER_FIELDS


def format_command(record: Mapping[str, Any]) -> str:
    """Format the command line of ``onnxplain explain`` that asks the question of a record.

    Parameters
    ----------
    record : mapping
        With the keys of `onnxplain.results.Explanation.record`.

    Returns
    -------
    command : str
        Quoted for a POSIX shell. A model of the zoo has its name there; of another, the file is
        named without its folder, which is not recorded, and for a file of class names stands
        ``FILE``. Parameters that have their default value are left out.
    """
    method, fill = str(record["method"]), str(record["fill"])
    base, implied = registry.GENERATIVE.get(method, (method, None))
    methods, fills = registry.get_methods(), registry.get_fills()
    words = ["onnxplain", "explain", str(record["image"])]
    model = record.get("provenance", {}).get("classifier", {}).get("model")
    words += ["--model", _name_model(str(model))] if model else []
    words += ["--method", format_entry(method, record["parameters"], methods.get(base))]
    if fill not in (NO_FILL, implied):
        words += ["--fill", format_entry(fill, record["fill_parameters"], fills.get(fill))]
    words += ["--target", str(record["target"]), "--seed", str(record["seed"])]
    words += _list_flags(record.get("provenance", {}).get("preprocessing") or {})
    return shlex.join(words)


def _name_model(file: str) -> str:
    """Return the name of the zoo's model in a file, or the file's name."""
    by_file = {f"{model.name}.onnx": model.name for model in zoo.list_models()}
    return by_file.get(file, file)


def format_entry(name: str, parameters: Mapping[str, Any], cls: type | None) -> str:
    """Format a name with parameters as `onnxplain.registry.parse_entry` reads it.

    Parameters
    ----------
    name : str
        Of a method or a fill.
    parameters : mapping
        Their values; those of the class's defaults are left out.
    cls : type, optional
        The dataclass that declares the parameters.
    """
    declared = list_parameters(cls) if cls else ()
    # A text that is empty was not given. Usual numbers depend on the size of the image, so that
    # they are always told.
    usual = {p.name: p.default for p in declared if not isinstance(p.default, Usual)}
    given = [
        f"{key}={_format_value(value)}"
        for key, value in parameters.items()
        if value not in (None, "") and (key not in usual or _to_list(usual[key]) != _to_list(value))
    ]
    return f"{name}:{','.join(given)}" if given else name


def _list_flags(preprocessing: Mapping[str, Any]) -> list[str]:
    """Return the options by which the classifier was described, with their values."""
    given: dict[str, str] = {}
    for name, source in preprocessing.get("sources", {}).items():
        kind, _, rest = str(source).partition(" ")
        if kind == "preset":
            given["--preprocessing"] = rest
        elif kind == "flag" and name in CLASSIFIER_FIELDS:
            option = CLASSIFIER_FIELDS[name].option
            given[option] = "FILE" if option == "--labels" else _format_flag(preprocessing[name])
    return [word for pair in given.items() for word in pair if word]


def _format_flag(value: Any) -> str:
    """Format the value of an option; empty for a switch, which has none."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, list):
        is_size = all(isinstance(part, int) for part in value) and len(value) == 2
        return ("x" if is_size else ",").join(map(str, value))
    return str(value)


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _format_value(value: Any) -> str:
    """Format a value as TOML; text needs no quotes."""
    return value if isinstance(value, str) else json.dumps(value)
