"""How to feed an inpainter and read its answer, as one value with the source of every entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.params import Hyperparameter, Param, Parametrised, list_parameters
from onnxplain.core.spec import DType, Layout
from onnxplain.describe.fields import Field, FieldTable, parse_field

Pack: TypeAlias = Literal["separate", "channels", "width", "image"]
ColourOrder: TypeAlias = Literal["rgb", "bgr"]
MaskType: TypeAlias = Literal["float32", "float16", "uint8", "bool", "int32", "int64"]

PLANES = {"image": 3, "mask": 1, "ones": 1}  # planes that may be joined, with their channels
SEEN = "behaviour"  # the source of values that the graph's behaviour showed
_PAIRS = ("range", "output_range")  # a single number cannot stand for both ends


@dataclass(frozen=True)
class InpainterSpec(Parametrised):
    """The convention of one inpainter; the defaults are the plain one.

    A pixel p in [0, 1] enters the graph as ``(low + p * (high - low) - mean) / std``, and a
    number q of its answer means the pixel ``(q - low) / (high - low)`` of `output_range`. The
    mask holds `hole` where something is to be painted and `known` elsewhere, which covers
    scale, polarity and offset in one: 1 and 0, 255 and 0, 0 and 255, -0.5 and 0.5.

    `sources` names for each field the place that its value came from.
    """

    pack: Annotated[
        Pack,
        Param(
            "how image and mask go in: as separate inputs, as channels of one, side by side along "
            "the width, or the image alone with its holes blank"
        ),
    ] = "separate"
    channels: Annotated[
        str,
        Param("with pack channels: the planes that are joined, in order, out of image, mask, ones"),
    ] = "image,mask"
    image_input: Annotated[str, Param("name of the input that takes the image")] = "image"
    mask_input: Annotated[str, Param("name of the input that takes the mask")] = "mask"
    output: Annotated[str, Param("name or index of the output that is the painted image")] = "0"
    layout: Annotated[Layout, Param("order of the axes")] = "nchw"
    colour: Annotated[ColourOrder, Param("order of the channels that go in")] = "rgb"
    dtype: Annotated[DType, Param("element type of the image")] = "float32"
    range: Annotated[tuple[float, float], Param("what black and white become")] = (0.0, 1.0)
    mean: Annotated[
        tuple[float, float, float], Param("subtracted after that, in units of range")
    ] = (0.0, 0.0, 0.0)
    std: Annotated[
        tuple[float, float, float], Param("divided by after that, in units of range", gt=0)
    ] = (1.0, 1.0, 1.0)
    premultiply: Annotated[
        bool, Param("whether the image goes in with zeros, in the graph's own units, in its holes")
    ] = False
    mask_dtype: Annotated[MaskType, Param("element type of the mask")] = "float32"
    mask_channels: Annotated[
        int, Param("channels of a mask input, all alike; 0: it has no channel axis", ge=0, le=4)
    ] = 1
    hole: Annotated[float, Param("what the mask holds in a hole")] = 1.0
    known: Annotated[float, Param("what the mask holds where the image is known")] = 0.0
    size: Annotated[
        tuple[int, int] | None, Param("the only rows and columns it takes", ge=2, le=4096)
    ] = None
    multiple: Annotated[int, Param("rows and columns must be multiples of this", ge=1, le=512)] = 1
    batch: Annotated[int, Param("largest number of different images per call; 0: any", ge=0)] = 0
    output_layout: Annotated[Layout, Param("order of the answer's axes")] = "nchw"
    output_colour: Annotated[ColourOrder, Param("order of the channels that come out")] = "rgb"
    output_range: Annotated[
        tuple[float, float], Param("what black and white are in the answer")
    ] = (0.0, 1.0)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hole == self.known:
            raise ValueError(f"hole and known must differ, got {self.hole:g} for both")
        for name in ("hole", "known"):
            if not can_hold(self.mask_dtype, getattr(self, name)):
                raise ValueError(
                    f"{name} is {getattr(self, name):g}, which a mask of {self.mask_dtype} cannot "
                    f"hold; write the numbers that the graph takes"
                )
        for name in _PAIRS:
            _check_order(name, getattr(self, name))
        if self.dtype == "uint8" and self.range[1] - self.range[0] < 2:
            low, high = self.range
            raise ValueError(
                f"range is {low:g}, {high:g}, but the image goes in as whole numbers (uint8), and "
                f"would be only black and white; write range = [0, 255]"
            )
        _check_planes(self.channels)
        if self.pack == "channels" and not {"image", "mask"} <= set(self.planes):
            raise ValueError(
                f"channels must have image and mask among them, got {self.channels!r}; a graph "
                f"that takes no mask has pack = 'image'"
            )

    @property
    def planes(self) -> tuple[str, ...]:
        """The planes that `channels` joins, in order.

        >>> InpainterSpec(channels="image, ones,mask").planes
        ('image', 'ones', 'mask')
        """
        return _split_planes(self.channels)

    def is_silent(self, name: str) -> bool:
        """Return whether no source gives a field, so that behaviour may decide it."""
        source = self.sources.get(name, "default")
        return source == "default" or source.startswith("follows from ")

    def is_seen(self, name: str) -> bool:
        """Return whether the behaviour of the graph decided a field."""
        return self.sources.get(name) == SEEN

    def seen(self, **values: Any) -> InpainterSpec:
        """Return the spec with values that the graph's behaviour showed."""
        sources = {**self.sources, **dict.fromkeys(values, SEEN)}
        return replace(self, **values, sources=sources)

    def values(self) -> dict[str, Any]:
        """Return every field except the sources, ready for JSON."""
        return {name: getattr(self, name) for name in INPAINTER_PARAMETERS}

    def told(self) -> dict[str, Any]:
        """Return the fields that a flag, a preset or a file gives: results depend on them."""
        own = ("graph", SEEN)
        return {
            name: value
            for name, value in self.values().items()
            if not self.is_silent(name) and self.sources[name] not in own
        }


INPAINTER_PARAMETERS = {parameter.name: parameter for parameter in list_parameters(InpainterSpec)}


def can_hold(dtype: str, value: float) -> bool:
    """Return whether an element type can represent a value.

    >>> can_hold("uint8", 255), can_hold("uint8", 0.5), can_hold("bool", 255)
    (True, False, False)
    >>> can_hold("float16", -0.5)
    True
    """
    if dtype.startswith("float"):
        return True
    low, high = {"bool": (0, 1), "uint8": (0, 255)}.get(dtype, (-(2**31), 2**31 - 1))
    return value == int(value) and low <= value <= high


def parse_inpainter_field(name: str, value: Any) -> Any:
    """Return the value of a field, as flags, TOML and JSON give it, in the form the spec holds.

    Raises
    ------
    ValueError, TypeError
        If there is no such field, or the value is not valid for it.

    Examples
    --------
    >>> parse_inpainter_field("size", 512), parse_inpainter_field("mean", 0.5)
    ((512, 512), (0.5, 0.5, 0.5))
    >>> parse_inpainter_field("range", [0, 255]), parse_inpainter_field("output", 1)
    ((0.0, 255.0), '1')
    >>> parse_inpainter_field("channels", ["mask", "image"])
    'mask,image'
    >>> parse_inpainter_field("channels", "mask,imge")
    Traceback (most recent call last):
        ...
    ValueError: channels: 'imge' is unknown; did you mean 'image'?
    >>> parse_inpainter_field("layuot", "nchw")
    Traceback (most recent call last):
        ...
    ValueError: field 'layuot' is unknown; did you mean 'layout'?
    """
    return parse_field(INPAINTER_FIELDS, name, value)


def _parse_parameter(parameter: Hyperparameter, value: Any) -> Any:
    """Bring a plain value to the form of a parameter, and check it as the spec would."""
    name = parameter.name
    if name == "channels" and isinstance(value, tuple):
        value = ",".join(map(str, value))
    if name == "output" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if parameter.length is not None:
        parts = value if isinstance(value, tuple) else (value,)
        value = parts * parameter.length if len(parts) == 1 and name not in _PAIRS else parts
    if parameter.type is float:
        value = _convert_to_floats(value)
    parameter.check("inpainter", value)
    if name in _PAIRS:
        _check_order(name, value)
    if name == "channels":
        _check_planes(value)
    return value


def _check_order(name: str, pair: tuple[float, float]) -> None:
    low, high = pair
    if low >= high:
        raise ValueError(f"{name} needs a low and a higher number, got {low:g}, {high:g}")


def _split_planes(channels: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in channels.split(","))


def _check_planes(channels: str) -> None:
    for plane in _split_planes(channels):
        if plane not in PLANES:
            raise ValueError(f"channels: {describe_unknown(plane, PLANES)}")


def _convert_to_floats(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_convert_to_floats, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


INPAINTER_FIELDS: FieldTable = {
    name: Field(name, f"--inpainter-{name.replace('_', '-')}", partial(_parse_parameter, parameter))
    for name, parameter in INPAINTER_PARAMETERS.items()
}


def format_value(value: object) -> str:
    """Return a field's value in words.

    >>> format_value((0.0, 255.0)), format_value((512, 512)), format_value("rgb")
    ('0, 255', '512, 512', 'rgb')
    """
    if isinstance(value, tuple):
        return ", ".join(map(format_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_inpainter_toml(spec: InpainterSpec) -> str:
    """Return the text of a TOML file that reads back to a spec, with the source of each value."""
    lines = ["[inpainter]\n"]
    for name, value in spec.values().items():
        if value is not None:
            lines.append(f"{name} = {json.dumps(value)}  # {spec.sources.get(name, 'default')}\n")
    return "".join(lines)


def describe_spec(spec: InpainterSpec) -> dict[str, dict[str, Any]]:
    """Return every field with its value and source, ready for JSON."""
    return {
        name: {"value": value, "source": spec.sources.get(name, "default")}
        for name, value in spec.values().items()
    }
