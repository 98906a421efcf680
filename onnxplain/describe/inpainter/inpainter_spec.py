"""How to feed an inpainter and read its answer, as one value with the source of every entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias

from onnxplain.core.params import Param, Parametrised, describe_unknown, list_parameters
from onnxplain.core.spec import DType, Layout

Pack: TypeAlias = Literal["separate", "channels", "width", "image"]
ChannelOrder: TypeAlias = Literal["rgb", "bgr"]
MaskType: TypeAlias = Literal["float32", "float16", "uint8", "bool", "int32", "int64"]

PLANES = {"image": 3, "mask": 1, "ones": 1}  # what may be joined along the channels
SEEN = "behaviour"
_PAIRS = ("range", "output_range")  # one number for both ends would mean nothing


@dataclass(frozen=True)
class InpainterSpec(Parametrised):
    """The convention of one inpainter; the defaults are the plain one.

    A pixel p in [0, 1] enters the graph as ``(low + p * (high - low) - mean) / std``, and a
    number q of its answer means the pixel ``(q - low) / (high - low)`` of `output_range`. The
    mask holds `hole` where something is to be painted and `known` elsewhere, which covers
    scale, polarity and offset in one: 1 and 0, 255 and 0, 0 and 255, -0.5 and 0.5.

    `sources` tells for each field where its value came from.
    """

    pack: Annotated[
        Pack,
        Param(
            "how image and mask go in: as separate inputs, as channels of one, side by side along "
            "the width, or the image alone with its holes blank"
        ),
    ] = "separate"
    channels: Annotated[
        str, Param("with pack channels: what is joined, in this order, of image, mask, ones")
    ] = "image,mask"
    image_input: Annotated[str, Param("name of the input that takes the image")] = "image"
    mask_input: Annotated[str, Param("name of the input that takes the mask")] = "mask"
    output: Annotated[str, Param("name or index of the output that is the painted image")] = "0"
    layout: Annotated[Layout, Param("order of the axes")] = "nchw"
    colour: Annotated[ChannelOrder, Param("order of the channels that go in")] = "rgb"
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
        int, Param("channels of a mask input, all alike; 0: it has no such axis", ge=0, le=4)
    ] = 1
    hole: Annotated[float, Param("what the mask holds in a hole")] = 1.0
    known: Annotated[float, Param("what the mask holds where the image is known")] = 0.0
    size: Annotated[
        tuple[int, int] | None, Param("the only rows and columns it takes", ge=2, le=4096)
    ] = None
    multiple: Annotated[int, Param("rows and columns must be multiples of this", ge=1, le=512)] = 1
    batch: Annotated[int, Param("different images a call may hold; 0: any number", ge=0)] = 0
    output_layout: Annotated[Layout, Param("order of the answer's axes")] = "nchw"
    output_colour: Annotated[ChannelOrder, Param("order of the channels that come out")] = "rgb"
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
                f"would be black and white alone; write range = [0, 255]"
            )
        _check_planes(self.channels)
        if self.pack == "channels" and not {"image", "mask"} <= set(self.planes):
            raise ValueError(
                f"channels must have image and mask among them, got {self.channels!r}; a graph "
                f"that takes no mask has pack = 'image'"
            )

    @property
    def planes(self) -> tuple[str, ...]:
        """What `channels` joins.

        >>> InpainterSpec(channels="image, ones,mask").planes
        ('image', 'ones', 'mask')
        """
        return _planes(self.channels)

    def is_silent(self, name: str) -> bool:
        """Whether nobody said the value of a field, so that behaviour may decide it."""
        source = self.sources.get(name, "default")
        return source == "default" or source.startswith("follows from ")

    def is_seen(self, name: str) -> bool:
        """Whether the behaviour of the graph decided a field."""
        return self.sources.get(name) == SEEN

    def seen(self, **values: Any) -> InpainterSpec:
        """The same, with what the graph's behaviour showed."""
        sources = {**self.sources, **dict.fromkeys(values, SEEN)}
        return replace(self, **values, sources=sources)

    def values(self) -> dict[str, Any]:
        """Every field but the sources, ready for JSON."""
        return {one.name: getattr(self, one.name) for one in INPAINTER_FIELDS.values()}

    def told(self) -> dict[str, Any]:
        """What somebody said, be it by a flag, a preset or a file: results depend on it."""
        silent = ("graph", SEEN)
        return {
            name: value
            for name, value in self.values().items()
            if not self.is_silent(name) and self.sources[name] not in silent
        }


def can_hold(dtype: str, value: float) -> bool:
    """Whether an element type has a value.

    >>> holds("uint8", 255), holds("uint8", 0.5), holds("bool", 255), holds("float16", -0.5)
    (True, False, False, True)
    """
    if dtype.startswith("float"):
        return True
    low, high = {"bool": (0, 1), "uint8": (0, 255)}.get(dtype, (-(2**31), 2**31 - 1))
    return value == int(value) and low <= value <= high


INPAINTER_FIELDS = {one.name: one for one in list_parameters(InpainterSpec)}


def parse_inpainter_field(name: str, value: Any) -> Any:
    """One field's value as flags, TOML and JSON give it, in the form the spec holds.

    Raises
    ------
    ValueError, TypeError
        If there is no such field, or the value is not one for it.

    Examples
    --------
    >>> parse("size", 512), parse("mean", 0.5), parse("range", [0, 255]), parse("output", 1)
    ((512, 512), (0.5, 0.5, 0.5), (0.0, 255.0), '1')
    >>> parse("channels", ["mask", "image"])
    'mask,image'
    >>> parse("channels", "mask,imge")
    Traceback (most recent call last):
        ...
    ValueError: channels: 'imge' is unknown; did you mean 'image'?
    >>> parse("layuot", "nchw")
    Traceback (most recent call last):
        ...
    ValueError: field 'layuot' is unknown; did you mean 'layout'?
    """
    if name not in INPAINTER_FIELDS:
        raise ValueError(f"field {describe_unknown(name, INPAINTER_FIELDS)}")
    one = INPAINTER_FIELDS[name]
    if name == "channels" and isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    if name == "output" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if one.length is not None:
        parts = tuple(value) if isinstance(value, list | tuple) else (value,)
        value = parts * one.length if len(parts) == 1 and name not in _PAIRS else parts
    if one.type is float:
        value = _floats(value)
    one.check("inpainter", value)
    if name in _PAIRS:
        _check_order(name, value)
    if name == "channels":
        _check_planes(value)
    return value


def _check_order(name: str, pair: tuple[float, float]) -> None:
    low, high = pair
    if low >= high:
        raise ValueError(f"{name} needs a low and a higher number, got {low:g}, {high:g}")


def _planes(channels: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in channels.split(","))


def _check_planes(channels: str) -> None:
    for plane in _planes(channels):
        if plane not in PLANES:
            raise ValueError(f"channels: {describe_unknown(plane, PLANES)}")


def _floats(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_floats, value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def format_value(value: object) -> str:
    """A field's value in words.

    >>> shown((0.0, 255.0)), shown((512, 512)), shown("rgb")
    ('0, 255', '512, 512', 'rgb')
    """
    if isinstance(value, tuple):
        return ", ".join(map(format_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_inpainter_toml(spec: InpainterSpec) -> str:
    """A spec as a TOML file that reads back to it, with the source of each value."""
    lines = ["[inpainter]\n"]
    for name, value in spec.values().items():
        if value is not None:
            lines.append(f"{name} = {json.dumps(value)}  # {spec.sources.get(name, 'default')}\n")
    return "".join(lines)


def describe_spec(spec: InpainterSpec) -> dict[str, dict[str, Any]]:
    """Every field with its value and source, ready for JSON."""
    return {
        name: {"value": value, "source": spec.sources.get(name, "default")}
        for name, value in spec.values().items()
    }
