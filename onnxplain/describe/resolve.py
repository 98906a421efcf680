"""Find out how to feed a classifier and read its answer, and note the source of each fact.

The sources, in the order in which they count: flags (with the preset), the TOML file beside
the model, the configurations of Hugging Face and timm, the file's metadata, the graph. What the
graph fixes (element type, and size and channels where they are given) cannot be overruled. Only
the resize rule and the colour order have defaults; how pixels are normalised is never guessed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.class_names import find_class_names
from onnxplain.describe.decide_input import decide_input
from onnxplain.describe.decide_pixels import decide_pixels
from onnxplain.describe.decide_scores import decide_scores
from onnxplain.describe.decisions import Decisions
from onnxplain.describe.fields import Part, SpecSource
from onnxplain.describe.interface import Interface, read_interface
from onnxplain.describe.missing import describe_missing, list_missing_options
from onnxplain.describe.normalisation import NORMALISATION_FIELDS
from onnxplain.describe.own_normalisation import find_doubt
from onnxplain.describe.refusals import find_refusal
from onnxplain.describe.sources import read_sources
from onnxplain.graph.load import NOWHERE, ModelFile

log = logging.getLogger(__name__)

DEFAULTS = {
    "interpolation": "bilinear",
    "border": (0, 0, 0),
    "centre": "round",
    "allow_random": False,
}


def resolve_spec(model: ModelFile, flags: Mapping[str, Any]) -> ModelSpec:
    """Describe a classifier.

    Parameters
    ----------
    model : ModelFile
        The result of `read_model`.
    flags : mapping
        Fields of `ModelSpec`, ``labels`` (path of a file with class names) and
        ``preprocessing`` (a name of `NORMALISATION_PRESETS`). None counts as not given.

    Raises
    ------
    ModelError
        If the model does not classify images, if a flag or file contradicts the graph, or if
        something cannot be known; then the message lists all of it and the ways to give it.
        If a preset or a framework's file certainly normalises what the graph normalises again.
    ValueError
        If a flag has no valid value.
    """
    decisions = _open_decisions(model, flags)
    spec = _settle(decisions)
    doubt = find_doubt(model, spec)
    if doubt is None:
        return spec
    origins = {spec.sources[name] for name in NORMALISATION_FIELDS}
    reason = f"{model.path.name}: {doubt.reason} ({', '.join(sorted(origins))})"
    # What somebody said in numbers is meant: networks are trained with such a mistake, too.
    if doubt.certain and not origins.isdisjoint(decisions.list_foreign_sources()):
        raise ModelError(
            f"{reason}, so that photos look nearly the same; pass --preprocessing {doubt.preset}, "
            f"or --range, --mean and --std in numbers if the model was trained so"
        )
    log.warning("%s; --preprocessing %s gives it such pixels", reason, doubt.preset)
    return spec


def settle_spec(model: ModelFile, flags: Mapping[str, Any]) -> ModelSpec:
    """Describe a classifier as `resolve_spec` does, and let it normalise twice."""
    return _settle(_open_decisions(model, flags))


class KnownSpec(NamedTuple):
    """What is known of a classifier where something is missing: values and sources by field.

    Parameters
    ----------
    values, sources : mapping
        By the name of the field.
    missing : mapping
        The options to try, by the names of the fields that they give.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    missing: Mapping[str, str]


def resolve_known_spec(model: ModelFile, flags: Mapping[str, Any]) -> KnownSpec:
    """Describe a classifier as far as possible.

    Raises
    ------
    ModelError
        If the graph is not that of a classifier of images.
    ValueError
        If a flag has no valid value.
    """
    decisions = _open_decisions(model, flags)
    with contextlib.suppress(ModelError):  # a contradiction: what is decided before it is known
        _decide(decisions)
    return KnownSpec(decisions.values, decisions.origins, list_missing_options(decisions))


def resolve_function_spec(
    name: str, facts: Interface, sources: Sequence[SpecSource], arguments: Mapping[str, Any]
) -> ModelSpec:
    """Describe a classifier that is a function of a framework, as `resolve_spec` does a file.

    Parameters
    ----------
    name : str
        The classifier's name in error texts.
    facts : Interface
        What is known of its input and output.
    sources : sequence of SpecSource
        What the framework's object says of itself, the most specific first.
    arguments : mapping
        As the flags of `resolve_spec`.

    Raises
    ------
    ModelError, ValueError
        As `resolve_spec`.
    """
    decisions = Decisions(
        NOWHERE / name,
        _drop_missing(arguments),
        sources,
        lambda input, output: facts,
        searched="neither the arguments nor the model say it",
        ways=(),
    )
    return _settle(decisions)


def _drop_missing(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _open_decisions(model: ModelFile, flags: Mapping[str, Any]) -> Decisions:
    """Open the sources of a file and what lies beside it."""
    toml_name = model.path.with_suffix(".toml").name
    return Decisions(
        model.path,
        _drop_missing(flags),
        read_sources(model.path, model.proto),
        lambda input, output: read_interface(model, input=input, output=output),
        searched=f"not in flags, {toml_name}, preprocessor_config.json, config.json, the ONNX "
        f"metadata or the graph",
        ways=(
            f"onnxplain inspect {model.path.name} --image PHOTO shows what it answers under each "
            f"preset",
            f"or put them in {toml_name} beside the model",
        ),
    )


def _settle(decisions: Decisions) -> ModelSpec:
    """Decide all fields, or raise an error that lists the missing ones."""
    _decide(decisions)
    if decisions.missing:
        raise ModelError(describe_missing(decisions))
    return ModelSpec(**decisions.values, sources=decisions.origins)


def _decide(decisions: Decisions) -> None:
    """Decide all fields that can be, and note the others as missing."""
    facts = decisions.facts
    decisions.put("input", facts.input, decisions.find("input")[1] or "graph")
    decisions.put("output", facts.output, decisions.find("output")[1] or "graph")
    decide_input(decisions)
    decide_pixels(decisions)
    for name, default in DEFAULTS.items():
        decisions.take(name, default, "default")
    _check_refusals(decisions)
    decide_scores(decisions)
    _decide_class_names(decisions)


def _check_refusals(decisions: Decisions) -> None:
    passed: Set[Part] = {"normalisation"} if decisions.facts.dtype == "uint8" else set()
    preset = f"preset {decisions.preset}"
    refusal = find_refusal(decisions.sources, decisions.origins, preset, passed)
    if refusal:
        raise ModelError(", ".join([f"{decisions.name}: {refusal}", *decisions.ways[-1:]]))


def _decide_class_names(decisions: Decisions) -> None:
    named = find_class_names(
        decisions.path, decisions.sources, decisions.own, decisions.facts.classes
    )
    if named is None:
        decisions.missing.append("class_names")
    else:
        decisions.put("class_names", *named)
