"""How pixels are normalised: the presets of the frameworks, and what several sources say.

Range, mean and std belong together: mean and std are in units of the range, whichever source
each of them comes from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.core.data import IMAGENET_MEAN
from onnxplain.core.spec import ChannelOrder
from onnxplain.describe.fields import SpecSource

NORMALISATION_FIELDS = ("range", "mean", "std")
DESCRIBED = "as described"  # what flags and files say, beside the names of presets


@dataclass(frozen=True, slots=True)
class NormalisationPreset:
    """A normalisation; `mean` and `std` are those of red, green and blue.

    `colour` is set where the framework's models want another order than RGB.
    """

    range: tuple[float, float]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    colour: ChannelOrder | None = None

    def fields(self, colour: ChannelOrder) -> dict[str, Any]:
        """Return the fields of a spec, in the channel order of `colour`."""
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
    """Return range, mean and std with the source of each; unknown ones are left out.

    Parameters
    ----------
    sources : sequence of SpecSource
        In the order in which they count.
    flags : int
        Number of flags, which are the first of the sources and of equal rank.

    Returns
    -------
    fields : dict of (value, source)
        Empty if no source gives any. A range alone is a whole normalisation. Where a mean or
        std counts before every range, the range is inferred from their size, if possible.
    """
    nowhere = len(sources)
    range_rank, mean_rank, std_rank = (_rank(sources, name) for name in NORMALISATION_FIELDS)
    units_rank = min(mean_rank, std_rank)  # of the source that decides the units of mean and std
    if range_rank < units_rank and units_rank >= flags:
        mean_rank = std_rank = units_rank = nowhere
    elif units_rank == nowhere:
        return {}
    fields: dict[str, tuple[Any, str]] = {}
    for name, rank, neutral in (("mean", mean_rank, 0.0), ("std", std_rank, 1.0)):
        if rank < nowhere:
            fields[name] = sources[rank].values[name], sources[rank].name
        else:
            origin = "follows from range" if units_rank == nowhere else "default"
            fields[name] = (neutral,), origin
    implied = _infer_range(fields["mean"][0], fields["std"][0])
    if units_rank < range_rank and range_rank >= flags and implied is not None:
        fields["range"] = implied, "follows from mean and std"
    elif range_rank < nowhere:
        fields["range"] = sources[range_rank].values["range"], sources[range_rank].name
    return fields


def _rank(sources: Sequence[SpecSource], name: str) -> int:
    """Return the index of the first source that has a field; the number of sources if none."""
    ranks = (rank for rank, source in enumerate(sources) if name in source.values)
    return next(ranks, len(sources))


def _infer_range(mean: Sequence[float], std: Sequence[float]) -> tuple[float, float] | None:
    """Return the range whose units a mean and std are in; None if their size does not show it.

    A std of 1 alone shows nothing, and neither does a mean of 0.
    """
    largest = max(*mean, *(deviation for deviation in std if deviation != 1), 0.0)
    if largest > 2:
        return 0.0, 255.0
    return (0.0, 1.0) if largest > 0 else None
