"""The graph and probe pictures that all checks share, and how outputs are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from onnxplain.core.data import Images
from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec, format_value
from onnxplain.runtime.inpainters.conformance.probe_pictures import ProbePictures
from onnxplain.runtime.inpainters.encoding import Raw, get_fixed_batch, run_graph
from onnxplain.runtime.inpainters.fitting import Holes
from onnxplain.runtime.session import Session


class Check(NamedTuple):
    """The result of one check; `passed` is None where there was nothing to decide."""

    name: str
    passed: bool | None
    text: str


@dataclass(frozen=True, eq=False)
class Trial:
    """One graph and its probe pictures; `answers` holds the outputs that `run_first` keeps."""

    session: Session
    probe: ProbePictures
    answers: dict[tuple[object, ...], Raw] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the graph in error texts."""
        return self.session.name

    def run(self, spec: InpainterSpec, images: Images, holes: Holes) -> Raw:
        """Run the graph on any images."""
        width = get_fixed_batch(self.session, spec) or len(images)
        return run_graph(self.session, spec, images, holes, width=width)

    def run_first(self, spec: InpainterSpec, *, changed: bool = False) -> Raw:
        """Run the graph on the first probe picture, or with its hole changed; each once only."""
        key = spec.hole, spec.known, spec.premultiply, spec.range, changed  # what checks vary
        if key not in self.answers:
            images = self.probe.change_holes() if changed else self.probe.images
            self.answers[key] = self.run(spec, images[:1], self.probe.holes[:1])
        return self.answers[key]

    def describe_error(self, error: Exception) -> str:
        """Return an error's text without the file's name, which may change until it is read."""
        return str(error).removeprefix(f"{self.name}: ")

    def make_contradiction(
        self, spec: InpainterSpec, field: str, seen: str, **instead: object
    ) -> InpainterError:
        """Make the error that says how a field was described, what was seen and what to write."""
        described = ", ".join(f"{name} = {_format_toml(getattr(spec, name))}" for name in instead)
        write = " and ".join(f"{name} = {_format_toml(value)}" for name, value in instead.items())
        return InpainterError(
            f"{self.name}: {spec.sources[field]} says {described}, but the graph behaves "
            f"otherwise: {seen}; write {write}"
        )


def measure_difference(raw: Raw, other: Raw) -> float:
    """Measure the largest difference of two outputs, relative to the span of the first."""
    span = float(np.ptp(raw)) or 1.0
    return float(np.abs(raw - other).max()) / span


def _format_toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{format_value(value)}]"
    return str(value).lower() if isinstance(value, bool) else f"{value!r}"
