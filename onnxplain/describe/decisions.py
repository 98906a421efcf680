"""What is decided of a classifier, field by field, with the source of each value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, final

from onnxplain.core.errors import ModelError
from onnxplain.core.mistakes import describe_unknown
from onnxplain.describe.fields import CLASSIFIER_FIELDS, SpecSource, parse_flag
from onnxplain.describe.geometry import find_geometry
from onnxplain.describe.interface import Interface
from onnxplain.describe.label_files import read_class_names
from onnxplain.describe.normalisation import NORMALISATION_PRESETS


@final
class Decisions:
    """The sources of one model, and what has been decided by them so far.

    Parameters
    ----------
    path : Path
        Of the model, which is named in errors.
    flags : mapping
        As `onnxplain.describe.resolve.resolve_spec` takes them, without those that are None.
    sources : sequence of SpecSource
        All others, the most specific first.
    read_facts : callable
        Returns the graph's interface for the names of an input and an output, or None.
    searched, ways : str, tuple of str
        Where missing fields were looked for, and how else they can be given: to find the
        normalisation, and for all fields. Without ways, the fields are arguments of Python.

    Attributes
    ----------
    values, origins : dict
        Values and the names of their sources, by the name of the field.
    missing : list of str
        Fields that nothing tells.

    Raises
    ------
    ModelError
        If the graph is not that of a classifier of images, or the steps of resizing contradict
        each other.
    ValueError
        If a flag has no valid value.
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
        self.facts = read_facts(self.find("input")[0], self.find("output")[0])
        try:
            self.geometry = find_geometry(self.sources, flags=len(self.flags))
        except ValueError as error:
            raise ModelError(f"{self.name}: {error}") from error
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.missing: list[str] = []

    def find(self, name: str) -> tuple[Any, str]:
        """Return the value of the first source that has a field, and that source's name."""
        for source in self.sources:
            if name in source.values:
                return source.values[name], source.name
        return None, ""

    def put(self, name: str, value: Any, source: str) -> None:
        """Decide a field."""
        self.values[name], self.origins[name] = value, source

    def take(self, name: str, fallback: Any, fallback_source: str) -> None:
        """Put the first source's value, or the fallback; a field without either is missing."""
        value, source = self.find(name)
        if not source:
            value, source = fallback, fallback_source
        if value is None:
            self.missing.append(name)
        else:
            self.put(name, value, source)

    def has_flag(self, name: str) -> bool:
        """Return whether a flag gives a field."""
        return any(name in source.values for source in self.flags)

    def list_foreign_sources(self) -> list[str]:
        """Return the names of the sources that frameworks wrote, and of the preset."""
        names = [source.name for source in self.sources if source.name not in self.own]
        return [*names, f"preset {self.preset}"]

    def contradict(self, name: str, wanted: Any, source: str, fact: Any) -> NoReturn:
        """Raise the error about a source that says other than the graph."""
        raise ModelError(f"{self.name}: {source} says {name} {wanted}, but the graph has {fact}")


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
