"""Common ways to normalise pixels, by the names of the frameworks that use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnxplain.graph.spec import Colour


@dataclass(frozen=True, slots=True)
class Preset:
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


_IMAGENET = Preset((0.0, 1.0), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

PRESETS: Mapping[str, Preset] = {
    "torchvision": _IMAGENET,
    "timm": _IMAGENET,
    "keras-torch": _IMAGENET,
    "keras-tf": Preset((-1.0, 1.0)),
    "keras-caffe": Preset((0.0, 255.0), (123.68, 116.779, 103.939), colour="bgr"),
    "lite": Preset((0.0, 255.0), (127.0,) * 3, (128.0,) * 3),
    "unit": Preset((0.0, 1.0)),
    "bytes": Preset((0.0, 255.0)),
}
