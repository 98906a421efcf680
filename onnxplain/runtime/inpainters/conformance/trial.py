"""What every check works with: a graph, the pictures it is tried on, and how two answers differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from onnxplain.core.data import Images
from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec, format_value
from onnxplain.runtime.inpainters.conformance.probe import Probe
from onnxplain.runtime.inpainters.encoding import Raw, answer
from onnxplain.runtime.inpainters.fitting import Holes
from onnxplain.runtime.session import Session


class Check(NamedTuple):
    """What one check found; `passed` is None where there was nothing to tell."""

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True, eq=False)
class Trial:
    """One graph and the pictures that it is tried on; `answers` are those that `first` keeps."""

    session: Session
    probe: Probe
    answers: dict[tuple[object, ...], Raw] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What errors call the graph."""
        return self.session.name

    def run(self, spec: InpainterSpec, images: Images, holes: Holes) -> Raw:
        """The answer to any images."""
        return answer(self.session, spec, images, holes)

    def first(self, spec: InpainterSpec, *, changed: bool = False) -> Raw:
        """The answer to the first picture of the probe, or to it changed; each asked for once."""
        key = spec.hole, spec.known, spec.premultiply, spec.range, changed  # what checks change
        if key not in self.answers:
            images = self.probe.changed() if changed else self.probe.images
            self.answers[key] = self.run(spec, images[:1], self.probe.holes[:1])
        return self.answers[key]

    def why(self, error: Exception) -> str:
        """What went wrong; the file may have another name when what was found is read again."""
        return str(error).removeprefix(f"{self.name}: ")

    def contradiction(
        self, spec: InpainterSpec, field: str, seen: str, **instead: object
    ) -> InpainterError:
        """The error that says what was said of a field, what was seen and what to write."""
        told = ", ".join(f"{name} = {_toml(getattr(spec, name))}" for name in instead)
        write = " and ".join(f"{name} = {_toml(value)}" for name, value in instead.items())
        return InpainterError(
            f"{self.name}: {spec.sources[field]} says {told}, but the graph behaves otherwise: "
            f"{seen}; write {write}"
        )


def apart(one: Raw, other: Raw) -> float:
    """Largest difference, relative to the span of the answers."""
    span = float(np.ptp(one)) or 1.0
    return float(np.abs(one - other).max()) / span


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{format_value(value)}]"
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"
