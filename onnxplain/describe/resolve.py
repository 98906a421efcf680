"""Find out how to feed a classifier and read its answer, and note the source of each fact.

The sources, in the order in which they count: flags (with the preset), the TOML file beside
the model, the configurations of Hugging Face and timm, the file's metadata, the graph. What the
graph fixes (element type, and size and channels where they are given) cannot be overruled. Only
the resize rule and the colour order have defaults; how pixels are normalised is never guessed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.params import describe_unknown
from onnxplain.core.spec import Head, ModelSpec
from onnxplain.describe.class_names import find_class_names
from onnxplain.describe.fields import CLASSIFIER_FIELDS, Part, SpecSource, parse_flag
from onnxplain.describe.geometry import find_geometry
from onnxplain.describe.interface import Interface, read_interface
from onnxplain.describe.label_files import read_class_names
from onnxplain.describe.normalisation import (
    NORMALISATION_FIELDS,
    NORMALISATION_PRESETS,
    find_normalisation,
)
from onnxplain.describe.own_normalisation import find_doubt
from onnxplain.describe.refusals import WAYS, find_refusal
from onnxplain.describe.sources import read_sources
from onnxplain.graph.load import NOWHERE, ModelFile

log = logging.getLogger(__name__)

DEFAULTS = {
    "interpolation": "bilinear",
    "border": (0, 0, 0),
    "centre": "round",
    "allow_random": False,
}
UNSEEN = "default"  # source of a guess about the scores that their values have to confirm
INT8 = (-128.0, 127.0)
INT8_SLACK = 0.02  # of a range of pixels, by which a scale found on data may miss its ends
INT8_LEAST = 16  # steps between black and white; fewer were meant as real numbers
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
PLAUSIBLE_COLOURS = ("rgb", "bgr")
# The options that give a field that is missing, where the name of the option says too little.
MISSING_OPTIONS = {
    "class_names": "--labels FILE",
    "head": "--head probability if its one number is a probability, or --head logit",
}
# The heads of one number per image, in place of those of several.
SINGLE_HEADS: Mapping[Head, Head] = {
    "logits": "logit",
    "multilabel-logits": "logit",
    "probabilities": "probability",
    "multilabel-probabilities": "probability",
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
    resolver = _open_resolver(model, _drop_missing(flags))
    spec = resolver.resolve()
    doubt = find_doubt(model, spec)
    if doubt is None:
        return spec
    origins = {spec.sources[name] for name in NORMALISATION_FIELDS}
    reason = f"{model.path.name}: {doubt.reason} ({', '.join(sorted(origins))})"
    # What somebody said in numbers is meant: networks are trained with such a mistake, too.
    if doubt.certain and not origins.isdisjoint(resolver.list_foreign_sources()):
        raise ModelError(
            f"{reason}, so that photos look nearly the same; pass --preprocessing {doubt.preset}, "
            f"or --range, --mean and --std in numbers if the model was trained so"
        )
    log.warning("%s; --preprocessing %s gives it such pixels", reason, doubt.preset)
    return spec


class KnownSpec(NamedTuple):
    """What is known of a classifier where not all is: values and sources by field, and what lacks.

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
    resolver = _open_resolver(model, _drop_missing(flags))
    with contextlib.suppress(ModelError):  # a contradiction: what is decided before it is known
        resolver.decide()
    return KnownSpec(resolver.values, resolver.origins, resolver.list_missing_options())


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
    return _Resolver(
        NOWHERE / name,
        _drop_missing(arguments),
        sources,
        lambda input, output: facts,
        searched="neither the arguments nor the model say it",
        ways=(),
    ).resolve()


def list_plausible_specs(model: ModelFile, flags: Mapping[str, Any]) -> list[tuple[str, ModelSpec]]:
    """List every plausible way to feed a classifier, each with a name, to compare the answers.

    The first is what flags and files say, if that is enough; then comes each preset, in RGB
    and BGR where neither flags nor the graph tell the order. Presets of equal effect appear
    once, under all their names.
    """
    given = _drop_missing(flags)
    described: list[tuple[str, ModelSpec]] = []
    with contextlib.suppress(ModelError):  # the presets fill in what is missing
        described.append(("as described", resolve_spec(model, given)))
    free = {name: value for name, value in given.items() if name not in NORMALISATION_FIELDS}
    names: dict[Any, list[str]] = {}
    specs: dict[Any, ModelSpec] = {}
    for preset, colour in _list_preset_colours(model, free):
        spec = _open_resolver(model, {**free, "preprocessing": preset, "colour": colour}).resolve()
        if (doubt := find_doubt(model, spec)) and doubt.certain:
            continue
        key = (spec.range, spec.mean, spec.std, spec.colour)
        label = "bytes" if spec.dtype == "uint8" else preset
        names.setdefault(key, [])
        if label not in names[key]:
            names[key].append(label)
        specs[key] = spec
    return described + [(f"{' / '.join(names[key])}, {key[-1]}", specs[key]) for key in specs]


def _list_preset_colours(model: ModelFile, flags: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    facts = read_interface(model, input=flags.get("input"), output=flags.get("output"))
    fixed = flags.get("colour") or facts.colour
    if facts.dtype == "int8":  # presets are of real numbers
        return
    for preset in NORMALISATION_PRESETS:
        for colour in (fixed,) if fixed else PLAUSIBLE_COLOURS:
            yield preset, colour


def _drop_missing(flags: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def _open_resolver(model: ModelFile, given: Mapping[str, Any]) -> _Resolver:
    """Open the sources of a file and what lies beside it."""
    toml_name = model.path.with_suffix(".toml").name
    return _Resolver(
        model.path,
        given,
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


class _Resolver:
    """The sources of one model, asked field by field.

    `searched` and `ways` say, in the error about missing fields, where they were looked for and
    how else they can be given: to find the normalisation, and for all fields. Without ways, the
    fields are arguments of Python.
    """

    def __init__(
        self,
        path: Path,
        flags: Mapping[str, Any],
        sources: Sequence[SpecSource],
        read_facts: Callable[[str | None, str | None], Interface],
        *,
        searched: str,
        ways: tuple[str, ...],
    ) -> None:
        self.path = path
        self.name = path.name
        self.searched = searched
        self.ways = ways
        self.preset = flags.get("preprocessing")
        if self.preset is not None and self.preset not in NORMALISATION_PRESETS:
            unknown = describe_unknown(str(self.preset), NORMALISATION_PRESETS)
            raise ValueError(f"preprocessing: {unknown}")
        self.flags = _read_flags(flags)
        # The sources that are certainly meant for this model.
        self.own = {path.with_suffix(".toml").name, *(source.name for source in self.flags)}
        self.sources = [*self.flags, *sources]
        self.facts = read_facts(self._find("input")[0], self._find("output")[0])
        try:
            self.geometry = find_geometry(self.sources, flags=len(self.flags))
        except ValueError as error:
            raise ModelError(f"{self.name}: {error}") from error
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.missing: list[str] = []

    def resolve(self) -> ModelSpec:
        """Decide all fields, or raise an error that lists the missing ones."""
        self.decide()
        if self.missing:
            raise ModelError(self._describe_missing() if self.ways else self._ask_for_arguments())
        return ModelSpec(**self.values, sources=self.origins)

    def decide(self) -> None:
        """Decide all fields that can be, and note the others as missing."""
        self._put("input", self.facts.input, self._find("input")[1] or "graph")
        self._put("output", self.facts.output, self._find("output")[1] or "graph")
        self._decide_dtype()
        self._decide_layout()
        self._decide_colour()
        if "layout" in self.values:
            self._decide_size()
        if "size" in self.values:
            self._decide_geometry()
        self._decide_normalisation()
        for name, default in DEFAULTS.items():
            self._take(name, default, "default")
        self._check_refusals()
        self._decide_head()
        self._decide_class_names()

    def _decide_head(self) -> None:
        """Decide what the scores are; where nothing tells, the answers will have to show it."""
        unknown = self.facts.head is None and self.facts.classes != 1
        self._take("head", "logits" if unknown else self.facts.head, UNSEEN if unknown else "graph")
        if "head" in self.values:
            self._fit_head(self.values["head"])
        scale = self.facts.output_scale
        guess = 1 / 256, 0.0 if self.facts.is_unsigned else -128.0  # as TFLite's probabilities
        self._take("output_scale", scale or guess, "graph" if scale else UNSEEN)

    def _fit_head(self, head: Head) -> None:
        """Bring the head to the number of scores per image, if that is known."""
        classes, source = self.facts.classes, self.origins["head"]
        if classes == 1:
            if head == "softmax":
                self._raise_contradiction("head", head, source, "one number per image")
            self.values["head"] = SINGLE_HEADS.get(head, head)
        elif classes is not None and head in ("logit", "probability"):
            self._raise_contradiction("head", head, source, f"{classes} numbers per image")

    def list_foreign_sources(self) -> list[str]:
        """Return the names of the sources that frameworks wrote, and of the preset."""
        names = [source.name for source in self.sources if source.name not in self.own]
        return [*names, f"preset {self.preset}"]

    def _put(self, name: str, value: Any, source: str) -> None:
        self.values[name], self.origins[name] = value, source

    def _find(self, name: str) -> tuple[Any, str]:
        """Return the value of the first source that has a field, and that source's name."""
        for source in self.sources:
            if name in source.values:
                return source.values[name], source.name
        return None, ""

    def _take(self, name: str, fallback: Any, fallback_source: str) -> None:
        """Put the first source's value, or the fallback; a field without either is missing."""
        value, source = self._find(name)
        if not source:
            value, source = fallback, fallback_source
        if value is None:
            self.missing.append(name)
        else:
            self._put(name, value, source)

    def _has_flag(self, name: str) -> bool:
        return any(name in source.values for source in self.flags)

    def _decide_dtype(self) -> None:
        dtype, source = self._find("dtype")
        if dtype not in (None, self.facts.dtype):
            self._raise_contradiction("dtype", dtype, source, self.facts.dtype)
        self._put("dtype", self.facts.dtype, "graph")

    def _decide_layout(self) -> None:
        self._take("layout", self.facts.layout, "graph")
        layout = self.values.get("layout")
        if layout and self.facts.channels(layout) not in (None, 1, 3):
            fact = f"the dimensions {self.facts.dims}"
            self._raise_contradiction("layout", layout, self.origins["layout"], fact)

    def _decide_colour(self) -> None:
        colour, source = self._find("colour")
        flagged = self._has_flag("colour")
        preset_colour = NORMALISATION_PRESETS[self.preset].colour if self.preset else None
        if preset_colour is not None and not flagged:
            colour, source = preset_colour, f"preset {self.preset}"
        if colour is None:
            colour = self.facts.colour or "rgb"
            source = "graph" if self.facts.colour else "default"
        layout = self.values.get("layout")
        channels = self.facts.channels(layout) if layout else None
        if channels is not None and (channels == 1) != (colour == "grey"):
            if flagged:
                self._raise_contradiction("colour", colour, source, f"{channels} channel(s)")
            colour, source = "grey" if channels == 1 else "rgb", "graph"
        self._put("colour", colour, source)

    def _decide_size(self) -> None:
        fixed = self.facts.size(self.values["layout"])
        name, wanted, source = self._find_size()
        if wanted is None:
            if None in fixed:
                self.missing.append("size")
            else:
                self._put("size", fixed, "graph")
            return
        size = tuple(
            side if fixed_side is None else fixed_side
            for fixed_side, side in zip(fixed, wanted, strict=True)
        )
        if size != wanted and (name == "crop" or self._has_flag("size")):
            self._raise_contradiction(name, wanted, source, fixed)
        self._put("size", size, source if size == wanted and None in fixed else "graph")

    def _find_size(self) -> tuple[str, Size | None, str]:
        """Return the field that gives the size, the size and its source; a crop is one, too."""
        size, source = self._find("size")
        crop, crop_source = self.geometry.crop, self.geometry.sources.get("crop", "")
        if crop is None:
            return "size", size, source
        if size not in (None, crop):
            raise ModelError(
                f"{self.name}: {crop_source} crops to {crop}, but {source} says size {size}; give "
                f"the size of the model's input as --size, or leave out one of them"
            )
        return "crop", crop, crop_source

    def _decide_geometry(self) -> None:
        sources = self.geometry.sources
        self._put("fit", self.geometry.fit, sources.get("fit", "default"))
        self._check_size_of_geometry()
        resize = self.geometry.choose_resize(self.values["size"])
        self._put("resize", resize, sources.get("resize", "default"))

    def _check_size_of_geometry(self) -> None:
        """Refuse steps in pixels that a file gives for another size than the graph's."""
        origin, size = self.origins["fit"], self.values["size"]
        place = next((source for source in self.sources if source.name == origin), None)
        meant = size if place is None else place.values.get("size", size)
        in_pixels = self.geometry.resize is not None or self.geometry.fit == "keep"
        if in_pixels and meant != size:
            raise ModelError(
                f"{self.name}: {origin} prepares photos for an input of {meant}, but this model "
                f"takes {size}; {WAYS['geometry']}, as the model was trained"
            )

    def _check_refusals(self) -> None:
        passed: Set[Part] = {"normalisation"} if self.facts.dtype == "uint8" else set()
        refusal = find_refusal(self.sources, self.origins, f"preset {self.preset}", passed)
        if refusal:
            raise ModelError(", ".join([f"{self.name}: {refusal}", *self.ways[-1:]]))

    def _decide_normalisation(self) -> None:
        if self.facts.dtype == "uint8":
            self._put_bytes()
        elif self.facts.dtype == "int8":
            self._decide_int8()
        else:
            self._decide_real()
        channels = 1 if self.values["colour"] == "grey" else 3
        for name in ("mean", "std"):
            if name in self.values:
                values = self.values[name]
                if len(values) not in (1, channels):
                    fact = f"{channels} channel(s)"
                    self._raise_contradiction(name, values, self.origins[name], fact)
                self.values[name] = values * channels if len(values) == 1 else values

    def _decide_real(self) -> None:
        """Put the normalisation that flags, the preset and files say."""
        sources = list(self.sources)
        if self.preset:
            fields = NORMALISATION_PRESETS[self.preset].fields(self.values["colour"])
            sources.insert(len(self.flags), SpecSource(f"preset {self.preset}", fields))
        normalisation = find_normalisation(sources, flags=len(self.flags))
        for name, (value, source) in normalisation.items():
            self._put(name, value, source)
        self.missing += [name for name in NORMALISATION_FIELDS if name not in normalisation]
        self._warn_of_mixture()

    def _decide_int8(self) -> None:
        """Decide the values that int8 takes: as somebody says them, or all 256 of them.

        The latter where the graph's scale makes of them one of the usual ranges of pixels.
        """
        given = any(self._find(name)[1] for name in NORMALISATION_FIELDS)
        scale, zero = self.facts.input_scale or (0.0, 0.0)
        ends = [scale * (end - zero) for end in INT8]
        is_usual = any(
            max(abs(end - usual) for end, usual in zip(ends, pixels, strict=True))
            <= INT8_SLACK * (pixels[1] - pixels[0])
            for pixels in PIXEL_RANGES
        )
        if not given and not self.preset and is_usual:
            for name, value in (("range", INT8), ("mean", (0.0,)), ("std", (1.0,))):
                self._put(name, value, "graph")
            return
        self._decide_real()
        if not set(NORMALISATION_FIELDS) <= set(self.values):
            return
        (low, high), mean, std = (self.values[name] for name in NORMALISATION_FIELDS)
        pairs = [(m, s) for m in mean for s in std]  # of any channel: they hardly differ
        reached = [((low - m) / s, (high - m) / s) for m, s in pairs]
        if any(a < INT8[0] - 1 or b > INT8[1] + 1 or b - a < INT8_LEAST for a, b in reached):
            black, white = reached[0]
            raise ModelError(
                f"{self.name}: the input takes int8, and {self.origins['range']} gives pixels from "
                f"{black:g} to {white:g}, where integers from -128 to 127 are meant; pass --range "
                f"-128,127, or the values that the graph takes for black and white"
            )

    def _put_bytes(self) -> None:
        """Put the only normalisation of uint8 pixels; the model's own sources must agree."""
        for name, value in (("range", (0.0, 255.0)), ("mean", (0.0,)), ("std", (1.0,))):
            wanted, source = self._find(name)
            own = source in self.own  # a folder's configuration may be of a float model
            if own and set(wanted) != set(value):
                self._raise_contradiction(name, wanted, source, "uint8 pixels from 0 to 255")
            self._put(name, value, "graph")

    def _warn_of_mixture(self) -> None:
        """Warn where a flag's mean goes with a std from elsewhere, or the reverse.

        Each alone is a legitimate correction, but more often half of a pair was forgotten.
        """
        flags = {source.name for source in self.flags}
        elsewhere = {source.name for source in self.sources} - flags
        for name, other in (("mean", "std"), ("std", "mean")):
            if self.origins.get(name) in flags and self.origins.get(other) in elsewhere:
                value = ", ".join(f"{number:g}" for number in self.values[other])
                log.warning(
                    "%s: %s goes with the %s %s of %s; give %s too if they belong together",
                    *(self.name, self.origins[name], other, value, self.origins[other]),
                    CLASSIFIER_FIELDS[other].option,
                )

    def _decide_class_names(self) -> None:
        named = find_class_names(self.path, self.sources, self.own, self.facts.classes)
        if named is None:
            self.missing.append("class_names")
        else:
            self._put("class_names", *named)

    def _raise_contradiction(self, name: str, wanted: Any, source: str, fact: Any) -> None:
        raise ModelError(f"{self.name}: {source} says {name} {wanted}, but the graph has {fact}")

    def list_missing_options(self) -> dict[str, str]:
        """Return the options to try, by the names of the missing fields."""
        options = {
            name: MISSING_OPTIONS.get(name, CLASSIFIER_FIELDS[name].option) for name in self.missing
        }
        lacking = [name for name in NORMALISATION_FIELDS if options.pop(name, None)]
        if lacking:
            presets = ", ".join(NORMALISATION_PRESETS)
            by_preset = f"--preprocessing ({presets}), or --range, --mean and --std"
            is_int8 = self.facts.dtype == "int8"
            options[", ".join(lacking)] = "--range -128,127 (mostly)" if is_int8 else by_preset
        return options

    def _describe_missing(self) -> str:
        ways = []
        if set(NORMALISATION_FIELDS) & set(self.missing) and self.facts.dtype == "int8":
            ways.append(
                "pass --range with the values of int8 that the graph takes for black and white, "
                "which are mostly -128,127"
            )
        elif set(NORMALISATION_FIELDS) & set(self.missing):
            ways.append(
                f"pass --preprocessing ({', '.join(NORMALISATION_PRESETS)}) or --range, --mean and "
                f"--std, as the model was trained"
            )
            ways += self.ways[:1]
        others = [name for name in self.missing if name not in NORMALISATION_FIELDS]
        if others:
            options = (MISSING_OPTIONS.get(name, CLASSIFIER_FIELDS[name].option) for name in others)
            ways.append(f"pass {', '.join(options)}")
        ways += self.ways[1:]
        missing = ", ".join(self.missing)
        return f"{self.name}: cannot tell {missing}: {self.searched}; {'; '.join(ways)}"

    def _ask_for_arguments(self) -> str:
        """Say which arguments of Python are missing, where there is no command line."""
        hints = {
            "head": 'head="probability" or head="logit", what its one number is',
            "size": "size=(rows, columns)",
        }
        wanted = [
            hints.get(name, f"{name}=") for name in self.missing if name not in NORMALISATION_FIELDS
        ]
        if set(NORMALISATION_FIELDS) & set(self.missing):
            presets = ", ".join(NORMALISATION_PRESETS)
            wanted.append(
                f"preprocessing= ({presets}) or range=, mean= and std=, as the model was trained"
            )
        missing = ", ".join(self.missing)
        return f"{self.name}: cannot tell {missing}: {self.searched}; pass {', and '.join(wanted)}"


def _read_flags(flags: Mapping[str, Any]) -> list[SpecSource]:
    """Return one source per flag, so that the flag of each value is recorded."""
    sources = []
    for name, value in flags.items():
        if name == "labels":
            names = read_class_names(Path(value))
            sources.append(SpecSource("flag --labels", {"class_names": names}))
        elif name != "preprocessing":
            if name not in CLASSIFIER_FIELDS:
                known = [*CLASSIFIER_FIELDS, "labels", "preprocessing"]
                raise ValueError(f"flag {describe_unknown(name, known)}")
            sources.append(parse_flag(CLASSIFIER_FIELDS, name, value))
    return sources
