"""Find out how to feed a classifier and read its answer, and say where that is known from.

In this order: flags, a preset among them, the TOML file beside the model, the
configurations of Hugging Face and timm, the file's metadata, the graph. What the graph fixes
(element type, and size and channels where they are given) nobody can overrule. Only the
resize rule and the colour order have defaults; how pixels are normalised is never guessed.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxplain.core.errors import ModelError
from onnxplain.core.params import describe_unknown
from onnxplain.core.spec import ModelSpec
from onnxplain.describe.fields import FIELDS, parse_field, spell_option
from onnxplain.describe.interface import Interface, read_interface
from onnxplain.describe.labels import fit_class_names, make_printable, read_class_names
from onnxplain.describe.normalisation import (
    NORMALISATION_FIELDS,
    NORMALISATION_PRESETS,
    find_normalisation,
)
from onnxplain.describe.sources import SpecSource, read_sources
from onnxplain.graph.load import ModelFile

log = logging.getLogger(__name__)

DEFAULTS = {"fit": "crop", "crop": 1.0, "interpolation": "bilinear"}
PLAUSIBLE_COLOURS = ("rgb", "bgr")


def resolve_spec(model: ModelFile, flags: Mapping[str, Any]) -> ModelSpec:
    """Describe a classifier.

    Parameters
    ----------
    model : ModelFile
        What `read_model` gave.
    flags : mapping
        What the user says: fields of `ModelSpec`, ``labels`` (path of a file with class
        names) and ``preprocessing`` (a name of `NORMALISATION_PRESETS`). None counts as not said.

    Raises
    ------
    ModelError
        If it is no classifier of images, if what is said contradicts the graph, or if
        something cannot be known; then the message lists all of it and the ways to say it.
    ValueError
        If a flag has no valid value.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    return _Resolver(model, given).spec()


def list_plausible_specs(model: ModelFile, flags: Mapping[str, Any]) -> list[tuple[str, ModelSpec]]:
    """Every plausible way to feed a classifier, each with a name, to compare their answers.

    First what the flags and files say, if that is enough; then each preset, in RGB and BGR
    where neither flags nor the graph tell which. Presets of equal effect appear once, under
    all their names.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    found: list[tuple[str, ModelSpec]] = []
    with contextlib.suppress(ModelError):  # what is missing is what the presets fill in
        found.append(("as described", resolve_spec(model, given)))
    free = {name: value for name, value in given.items() if name not in NORMALISATION_FIELDS}
    names: dict[Any, list[str]] = {}
    specs: dict[Any, ModelSpec] = {}
    for preset, colour in _plausible(model, free):
        spec = resolve_spec(model, {**free, "preprocessing": preset, "colour": colour})
        key = (spec.range, spec.mean, spec.std, spec.colour)
        label = "bytes" if spec.dtype == "uint8" else preset
        names.setdefault(key, [])
        if label not in names[key]:
            names[key].append(label)
        specs[key] = spec
    return found + [(f"{' / '.join(names[key])}, {key[-1]}", specs[key]) for key in specs]


def _plausible(model: ModelFile, flags: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    facts = read_interface(model, input=flags.get("input"), output=flags.get("output"))
    told = flags.get("colour") or facts.colour
    for preset in NORMALISATION_PRESETS:
        for colour in (told,) if told else PLAUSIBLE_COLOURS:
            yield preset, colour


class _Resolver:
    """One model's sources, asked field by field."""

    def __init__(self, model: ModelFile, flags: Mapping[str, Any]) -> None:
        self.model = model
        self.name = model.path.name
        self.preset = flags.get("preprocessing")
        if self.preset is not None and self.preset not in NORMALISATION_PRESETS:
            raise ValueError(
                f"preprocessing: {describe_unknown(str(self.preset), NORMALISATION_PRESETS)}"
            )
        self.told = _flag_sources(flags)
        toml = model.path.with_suffix(".toml").name
        self.own = {toml, *(source.name for source in self.told)}  # meant for this very model
        self.sources = [*self.told, *read_sources(model.path, model.proto)]
        self.facts: Interface = read_interface(
            model, input=self._first("input")[0], output=self._first("output")[0]
        )
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.missing: list[str] = []

    def spec(self) -> ModelSpec:
        """The whole description."""
        self._put("input", self.facts.input, self._first("input")[1] or "graph")
        self._put("output", self.facts.output, self._first("output")[1] or "graph")
        self._dtype()
        self._layout()
        self._colour()
        if "layout" in self.values:
            self._size()
        self._normalisation()
        for name, default in DEFAULTS.items():
            self._take(name, default, "default")
        self._take("head", self.facts.head, "graph")
        if self.facts.classes == 1 and self.values.get("head") == "logits":
            self.values["head"] = "logit"
        self._take("output_scale", self.facts.output_scale, "graph")
        self._class_names()
        if self.missing:
            raise ModelError(self._what_is_missing())
        return ModelSpec(**self.values, sources=self.origins)

    def _put(self, name: str, value: Any, source: str) -> None:
        self.values[name], self.origins[name] = value, source

    def _first(self, name: str) -> tuple[Any, str]:
        """The value of the first source that has one, and that source's name."""
        for source in self.sources:
            if name in source.values:
                return source.values[name], source.name
        return None, ""

    def _take(self, name: str, fallback: Any, fallback_source: str) -> None:
        value, source = self._first(name)
        if not source:
            value, source = fallback, fallback_source
        if value is None:
            self.missing.append(name)
        else:
            self._put(name, value, source)

    def _dtype(self) -> None:
        told, source = self._first("dtype")
        if told not in (None, self.facts.dtype):
            self._contradicts("dtype", told, source, self.facts.dtype)
        self._put("dtype", self.facts.dtype, "graph")

    def _layout(self) -> None:
        self._take("layout", self.facts.layout, "graph")
        layout = self.values.get("layout")
        if layout and self.facts.channels(layout) not in (None, 1, 3):
            dims = self.facts.dims
            self._contradicts("layout", layout, self.origins["layout"], f"the dimensions {dims}")

    def _colour(self) -> None:
        value, source = self._first("colour")
        flagged = any("colour" in one.values for one in self.told)
        preset = NORMALISATION_PRESETS[self.preset].colour if self.preset else None
        if preset is not None and not flagged:
            value, source = preset, f"preset {self.preset}"
        if value is None:
            value, source = self.facts.colour or "rgb", "graph" if self.facts.colour else "default"
        layout = self.values.get("layout")
        channels = self.facts.channels(layout) if layout else None
        if channels is not None and (channels == 1) != (value == "grey"):
            if flagged:
                self._contradicts("colour", value, source, f"{channels} channel(s)")
            value, source = "grey" if channels == 1 else "rgb", "graph"
        self._put("colour", value, source)

    def _size(self) -> None:
        fixed = self.facts.size(self.values["layout"])
        told, source = self._first("size")
        if told is None:
            if None in fixed:
                self.missing.append("size")
            else:
                self._put("size", fixed, "graph")
            return
        size = tuple(
            side if known is None else known for known, side in zip(fixed, told, strict=True)
        )
        if size != told and source in {one.name for one in self.told if "size" in one.values}:
            self._contradicts("size", told, source, fixed)
        self._put("size", size, source if size == told and None in fixed else "graph")

    def _normalisation(self) -> None:
        if self.facts.dtype == "uint8":
            for name, value in (("range", (0.0, 255.0)), ("mean", (0.0,)), ("std", (1.0,))):
                told, source = self._first(name)
                meant = source in self.own  # a folder's configuration may be of a float model
                if meant and set(told) != set(value):
                    self._contradicts(name, told, source, "uint8 pixels from 0 to 255")
                self._put(name, value, "graph")
        else:
            sources = list(self.sources)
            if self.preset:
                fields = NORMALISATION_PRESETS[self.preset].fields(self.values["colour"])
                sources.insert(len(self.told), SpecSource(f"preset {self.preset}", fields))
            found = find_normalisation(sources, flags=len(self.told))
            for name, (value, source) in found.items():
                self._put(name, value, source)
            self.missing += [name for name in NORMALISATION_FIELDS if name not in found]
            self._tell_mixture()
        channels = 1 if self.values["colour"] == "grey" else 3
        for name in ("mean", "std"):
            if name in self.values:
                values = self.values[name]
                if len(values) not in (1, channels):
                    self._contradicts(name, values, self.origins[name], f"{channels} channel(s)")
                self.values[name] = values * channels if len(values) == 1 else values

    def _tell_mixture(self) -> None:
        """Say so where a flag's mean goes with a std that was said elsewhere, or the reverse.

        Each alone is a legitimate correction, but more often half of a pair was forgotten.
        """
        flags = {source.name for source in self.told}
        places = {source.name for source in self.sources} - flags
        for name, other in (("mean", "std"), ("std", "mean")):
            if self.origins.get(name) in flags and self.origins.get(other) in places:
                value = ", ".join(f"{one:g}" for one in self.values[other])
                log.warning(
                    "%s: %s goes with the %s %s of %s; give %s too if they belong together",
                    *(self.name, self.origins[name], other, value, self.origins[other]),
                    spell_option(other),
                )

    def _class_names(self) -> None:
        classes = self.facts.classes
        for source, given, must_fit in self._named():
            names = tuple(map(make_printable, given))
            if classes is None:
                self._put("class_names", names, source)
                return
            try:
                fitted = fit_class_names(names, classes, f"{self.name}: {source}")
            except ModelError:
                if must_fit:
                    raise
                continue  # belongs to another model of the folder
            self._put("class_names", fitted, source)
            return
        if classes is None:
            self.missing.append("class_names")
            return
        numbered = tuple(f"class {index}" for index in range(max(classes, 2)))
        self._put("class_names", numbered, "numbered")

    def _named(self) -> Iterator[tuple[str, Sequence[str], bool]]:
        """The sources of class names; whether each is certainly meant for this model."""
        for source in self.sources:
            if "class_names" in source.values and source.name in self.own:
                yield source.name, source.values["class_names"], True
        near = self.model.path.with_suffix(".labels.txt")
        if near.is_file():
            yield near.name, read_class_names(near), True
        shared = self.model.path.parent / "labels.txt"
        if shared.is_file():
            yield shared.name, read_class_names(shared), False
        for source in self.sources:
            if "class_names" in source.values and source.name not in self.own:
                yield source.name, source.values["class_names"], False

    def _contradicts(self, name: str, told: Any, source: str, fact: Any) -> None:
        raise ModelError(f"{self.name}: {source} says {name} {told}, but the graph has {fact}")

    def _what_is_missing(self) -> str:
        ways = []
        if set(NORMALISATION_FIELDS) & set(self.missing):
            ways.append(
                f"pass --preprocessing ({', '.join(NORMALISATION_PRESETS)}) or --range, --mean and "
                f"--std, as the model was trained; onnxplain inspect {self.name} --image PHOTO "
                f"shows what it answers under each preset"
            )
        others = [name for name in self.missing if name not in NORMALISATION_FIELDS]
        flags = {
            "class_names": "--labels FILE",
            "head": "--head sigmoid if its one number is a probability, or --head logit",
        }
        if others:
            ways.append("pass " + ", ".join(flags.get(name, spell_option(name)) for name in others))
        return (
            f"{self.name}: cannot tell {', '.join(self.missing)}: not in flags, "
            f"{self.model.path.with_suffix('.toml').name}, preprocessor_config.json, config.json, "
            f"the ONNX metadata or the graph; {'; '.join(ways)}; or put them in "
            f"{self.model.path.with_suffix('.toml').name} beside the model"
        )


def _flag_sources(flags: Mapping[str, Any]) -> list[SpecSource]:
    """One source a flag, so that each value tells which flag it came from."""
    sources = []
    for name, value in flags.items():
        if name == "labels":
            names = read_class_names(Path(value))
            sources.append(SpecSource("flag --labels", {"class_names": names}))
        elif name != "preprocessing":
            if name not in FIELDS:
                raise ValueError(
                    f"flag {describe_unknown(name, [*FIELDS, 'labels', 'preprocessing'])}"
                )
            sources.append(
                SpecSource(f"flag {spell_option(name)}", {name: parse_field(name, value)})
            )
    return sources
