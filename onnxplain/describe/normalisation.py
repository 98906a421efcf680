"""How pixels are normalised: the presets of the frameworks, and what several sources say.

Range, mean and std belong together: mean and std are in units of the range, whichever source
each of them comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.core.data import IMAGENET_MEAN
from onnxplain.core.spec import Colour
from onnxplain.describe.sources import SpecSource

NORMALISATION_FIELDS = ("range", "mean", "std")


@dataclass(frozen=True, slots=True)
class NormalisationPreset:
    """A normalisation; `mean` and `std` are for red, green and blue.

    `colour` is set where the framework's models want another order than RGB.
    """

    range: tuple[float, float]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    colour: Colour | None = None

    def fields(self, colour: Colour) -> dict[str, Any]:
        """The fields of a spec, in the channel order of `colour`."""
        mean, std = self.mean, self.std
        if colour == "bgr":
            mean, std = mean[::-1], std[::-1]
        if colour == "grey":
            return {"range": self.range, "mean": (sum(mean) / 3,), "std": (sum(std) / 3,)}
        return {"range": self.range, "mean": mean, "std": std}


_IMAGENET = NormalisationPreset((0.0, 1.0), IMAGENET_MEAN, (0.229, 0.224, 0.225))

NORMALISATION_PRESETS: Mapping[str, NormalisationPreset] = {
    "torchvision": _IMAGENET,
    "timm": _IMAGENET,
    "keras-torch": _IMAGENET,
    "keras-tf": NormalisationPreset((-1.0, 1.0)),
    "keras-caffe": NormalisationPreset((0.0, 255.0), (123.68, 116.779, 103.939), colour="bgr"),
    "lite": NormalisationPreset((0.0, 255.0), (127.0,) * 3, (128.0,) * 3),
    "unit": NormalisationPreset((0.0, 1.0)),
    "bytes": NormalisationPreset((0.0, 255.0)),
}


def find_normalisation(sources: Sequence[SpecSource], flags: int) -> dict[str, tuple[Any, str]]:
    """Range, mean and std with the source of each; what cannot be known is left out.

    Parameters
    ----------
    sources : sequence of Source
        In the order in which they count.
    flags : int
        How many of them, at the start, are flags: these are of equal rank.

    Returns
    -------
    found : dict
        Empty if no source tells anything. A range alone is the whole normalisation. A mean
        or std that counts before any range tells the range by its size, if it can.
    """
    nowhere = len(sources)
    range_, mean, std = (_level(sources, name) for name in NORMALISATION_FIELDS)
    units = min(mean, std)  # the source that decides the units of mean and std
    if range_ < units and units >= flags:
        mean = std = units = nowhere
    elif units == nowhere:
        return {}
    found: dict[str, tuple[Any, str]] = {}
    for name, level, neutral in (("mean", mean, 0.0), ("std", std, 1.0)):
        if level < nowhere:
            found[name] = sources[level].values[name], sources[level].name
        else:
            found[name] = (neutral,), "follows from range" if units == nowhere else "default"
    implied = _implied_range(found["mean"][0], found["std"][0])
    if units < range_ and range_ >= flags and implied is not None:
        found["range"] = implied, "follows from mean and std"
    elif range_ < nowhere:
        found["range"] = sources[range_].values["range"], sources[range_].name
    return found


def _level(sources: Sequence[SpecSource], name: str) -> int:
    """Where in the order a field is first found; the number of sources if nowhere."""
    found = (index for index, source in enumerate(sources) if name in source.values)
    return next(found, len(sources))


def _implied_range(mean: Sequence[float], std: Sequence[float]) -> tuple[float, float] | None:
    """The range that a mean and std are in units of, where their size tells.

    A std of 1 tells nothing by itself, and neither does a mean of 0.
    """
    largest = max(*mean, *(one for one in std if one != 1), 0.0)
    if largest > 2:
        return 0.0, 255.0
    return (0.0, 1.0) if largest > 0 else None
