"""What an inpainter's graph tells by itself: its inputs, its output, and their forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import TensorProto, ValueInfoProto, helper

from onnxplain.core.errors import InpainterError
from onnxplain.core.spec import Layout
from onnxplain.describe.inpainter.inpainter_spec import PLANES, Pack
from onnxplain.graph.load import ModelFile
from onnxplain.graph.shapes import Dims, count_elements, list_fed_inputs, read_declared_dims

PICTURE_DTYPES = ("float32", "float16", "uint8")
MASK_DTYPES: Mapping[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.BOOL: "bool",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
}
CHANNEL_AXIS = {"nchw": 1, "nhwc": 3}
COLOURS = 3
FEW = (1, 3)  # channels of a mask
MANY = 8  # a dimension beyond this is a side of the picture, not its channels


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: its name, element type and dimensions, None where they are open."""

    name: str
    dtype: str
    dims: Dims | None

    def may_have(self, channels: int) -> bool:
        """Return whether it may hold pictures of this many channels.

        With open dimensions it may, unless a dimension shows another small number of channels.
        """
        if self.dims is None:
            return True
        ends = [dim for dim in self.dims[1::2] if dim is not None]
        return len(self.dims) == 4 and (channels in ends or all(dim > MANY for dim in ends))

    def surely_has(self, channels: int) -> bool:
        """Return whether it holds pictures of this many channels."""
        return self.dims is not None and self.may_have(channels) and channels in self.dims[1::2]

    def __str__(self) -> str:
        dims = "of any shape" if self.dims is None else _format_dims(self.dims)
        return f"{self.name!r} {self.dtype} {dims}"


def has_picture_output(model: ModelFile) -> bool:
    """Return whether a graph has a picture among its outputs, as no classifier has."""
    outputs = [_read_port(value) for value in model.proto.graph.output]
    return any(
        port.surely_has(COLOURS) and port.dims is not None and 1 not in port.dims[1:]
        for port in outputs
    )


def read_ports(model: ModelFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an `InpainterSpec` that the graph fixes, or that follow from it.

    Parameters
    ----------
    model : ModelFile
        The file.
    given : mapping
        Fields that flags, files or presets give: they decide where inputs are ambiguous.

    Returns
    -------
    facts : dict
        Fields of the spec; besides them ``output_dtype`` and ``axis``, the only batch that
        the graph takes, or None.

    Raises
    ------
    InpainterError
        If this is no inpainter, or the fields that tell its inputs apart are not given.
    """
    name = model.path.name
    answer = _find_output(name, [_read_port(value) for value in model.proto.graph.output], given)
    inputs = [_read_port(value) for value in list_fed_inputs(model.proto.graph)]
    image, mask, pack = _find_inputs(name, inputs, answer, given)
    channels = COLOURS
    if pack == "channels":
        channels = sum(PLANES.get(plane.strip(), 0) for plane in given["channels"].split(","))
    facts: dict[str, Any] = {
        "pack": pack,
        "image_input": image.name,
        "mask_input": mask.name if mask else image.name,
        "output": answer.name,
        "dtype": image.dtype,
        "mask_dtype": mask.dtype if mask else image.dtype,
        "output_dtype": answer.dtype,
        "layout": _find_layout(name, image, channels),
        "output_layout": _find_layout(name, answer, COLOURS),
        "axis": image.dims[0] if image.dims else None,
    }
    layout = facts["layout"] or given.get("layout") or "nchw"
    facts["size"] = _find_size(name, image, layout, pack, given.get("size"))
    if mask:
        facts["mask_channels"] = _find_mask_channels(name, mask, layout)
    return facts


def _find_output(name: str, outputs: Sequence[Port], given: Mapping[str, Any]) -> Port:
    """Return the output that is the painted image: as named or numbered, or the only one."""
    wanted = given.get("output")
    listed = ", ".join(map(str, outputs))
    if wanted is not None:
        by_index = {str(index): port for index, port in enumerate(outputs)}
        output = {**by_index, **{port.name: port for port in outputs}}.get(wanted)
        if output is None:
            raise InpainterError(f"{name}: has no output {wanted!r}; its outputs: {listed}")
        if not output.may_have(COLOURS):
            raise InpainterError(
                f"{name}: output {wanted!r} is said to be the painted image, which has 3 channels, "
                f"but it is {output}; its outputs: {listed}"
            )
        return output
    sure = [port for port in outputs if port.surely_has(COLOURS)]
    likely = sure or [port for port in outputs if port.may_have(COLOURS)]
    if not likely:
        raise InpainterError(
            f"{name}: no inpainter: its output would be an image of 3 channels, but there is "
            f"{listed}"
        )
    if len(likely) > 1:
        raise InpainterError(
            f"{name}: several outputs may be the painted image: {listed}; write output = "
            f"{likely[0].name!r}, or another"
        )
    return likely[0]


def _find_inputs(
    name: str, inputs: Sequence[Port], answer: Port, given: Mapping[str, Any]
) -> tuple[Port, Port | None, Pack]:
    """Return the image's input, the mask's if it has its own, and how they are packed."""
    listed = ", ".join(map(str, inputs)) or "none"
    separate = len(inputs) != 1
    pack: Pack = given.get("pack") or ("separate" if separate else _guess_pack(inputs[0], answer))
    if pack == "separate":
        if len(inputs) != 2:
            raise InpainterError(
                f"{name}: {'no inpainter: ' if not given else ''}an image and a mask would be its "
                f"two inputs, but its inputs are {listed}"
            )
        image, mask = _tell_apart(name, inputs, given)
        _check_inputs(name, image, mask)
        return image, mask, pack
    if len(inputs) != 1:
        raise InpainterError(
            f"{name}: pack {pack!r} is said, which takes one input, but its inputs are {listed}; "
            f"write pack = 'separate'"
        )
    only = inputs[0]
    if only.dtype not in PICTURE_DTYPES:
        raise InpainterError(f"{name}: takes no images: its input is {listed}")
    ways = []
    if pack == "channels" and "channels" not in given:
        ways.append(
            "pack = 'channels' with channels = 'image,mask', 'mask,image' or 'image,ones,mask'"
        )
    if ways or (pack == "image" and "pack" not in given):
        if only.may_have(COLOURS):
            ways += [
                "pack = 'width' (side by side)",
                "pack = 'image' for a graph that takes no mask",
            ]
        raise InpainterError(
            f"{name}: image and mask go in together, and how cannot be told from {listed}; write "
            f"{', or '.join(ways)}"
        )
    return only, None, pack


def _guess_pack(only: Port, answer: Port) -> Pack:
    """Return how image and mask may lie in one input, judged by its form and the answer's."""
    if not only.surely_has(COLOURS):
        return "channels"
    assert only.dims is not None
    n_in, n_out = count_elements(only.dims[1:]), count_elements(answer.dims and answer.dims[1:])
    return "width" if n_in is not None and n_out is not None and n_in == 2 * n_out else "image"


def _tell_apart(name: str, inputs: Sequence[Port], given: Mapping[str, Any]) -> tuple[Port, Port]:
    """Return the image's and the mask's input: as given, by their channels, or by their names."""
    input_names = [port.name for port in inputs]
    for field in ("image_input", "mask_input"):
        if given.get(field, inputs[0].name) not in input_names:
            raise InpainterError(
                f"{name}: has no input {given[field]!r}; its inputs: {', '.join(map(str, inputs))}"
            )
    first, second = inputs
    if "image_input" in given and given["image_input"] == given.get("mask_input"):
        raise InpainterError(
            f"{name}: image and mask cannot both be input {given['image_input']!r}; its inputs: "
            f"{first}, {second}"
        )
    if given.get("image_input") == second.name or given.get("mask_input") == first.name:
        return second, first
    if {"image_input", "mask_input"} & set(given):
        return first, second
    by_channels = [port for port in inputs if port.surely_has(1) and not port.surely_has(COLOURS)]
    by_name = [port for port in inputs if "mask" in port.name.lower()]
    masks = next((ports for ports in (by_channels, by_name) if len(ports) == 1), None)
    if masks is None:
        raise InpainterError(
            f"{name}: cannot tell image and mask apart among {first}, {second}; write "
            f"image_input and mask_input"
        )
    return (second, first) if masks[0] is first else (first, second)


def _check_inputs(name: str, image: Port, mask: Port) -> None:
    if not image.may_have(COLOURS) or image.dtype not in PICTURE_DTYPES:
        raise InpainterError(
            f"{name}: no inpainter: its image input would be (N, 3, rows, columns) or (N, rows, "
            f"columns, 3) of float32, float16 or uint8, but there are {image}, {mask}"
        )
    if mask.dtype not in MASK_DTYPES.values():
        raise InpainterError(
            f"{name}: its mask input is {mask}; a mask is of {', '.join(MASK_DTYPES.values())}"
        )


def _find_layout(name: str, port: Port, channels: int) -> Layout | None:
    if port.dims is None:
        return None
    if not port.may_have(channels):
        raise InpainterError(f"{name}: {channels} channels would go into or out of {port}")
    first, last = (port.dims[axis] == channels for axis in (1, 3))
    if first == last:
        return None
    return "nchw" if first else "nhwc"


def _find_size(
    name: str, image: Port, layout: str, pack: Pack, given: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the only size that the graph takes; an open side gets the one that is given."""
    if image.dims is None:
        return None
    rows, columns = image.dims[2:] if layout == "nchw" else image.dims[1:3]
    if pack == "width" and columns is not None:
        columns //= 2
    fixed = rows or columns
    if fixed is None:
        return None
    wanted = given or (fixed, fixed)
    size = rows or wanted[0], columns or wanted[1]
    if given is None and None in (rows, columns):
        raise InpainterError(
            f"{name}: one side of its image input is fixed and the other open, {image}; pictures "
            f"are brought to one size for it: write size = [{size[0]}, {size[1]}] (rows, columns)"
        )
    return size


def _find_mask_channels(name: str, mask: Port, layout: str) -> int | None:
    """Return the channels of the mask's own input, 0 if it has no channel axis."""
    if mask.dims is None:
        return None
    if len(mask.dims) == 3:
        return 0
    axis = CHANNEL_AXIS[layout]
    other = 4 - axis
    if len(mask.dims) != 4 or (mask.dims[axis] not in FEW and mask.dims[other] in FEW):
        shape = "(N, 1, rows, columns)" if layout == "nchw" else "(N, rows, columns, 1)"
        raise InpainterError(
            f"{name}: its mask input would be (N, rows, columns) or, as its image, {shape}, but it "
            f"is {mask}; put a Reshape or Transpose in front of it"
        )
    return mask.dims[axis]


def _read_port(value: ValueInfoProto) -> Port:
    element_type = value.type.tensor_type.elem_type
    known = element_type in helper.get_all_tensor_dtypes()  # else it is no tensor, or a damaged one
    name = TensorProto.DataType.Name(element_type) if known else "of unknown type"
    dtype = MASK_DTYPES.get(element_type) or name.lower()
    return Port(value.name, dtype, read_declared_dims(value))


def _format_dims(dims: Dims) -> str:
    return f"({', '.join('?' if dim is None else str(dim) for dim in dims)})"
