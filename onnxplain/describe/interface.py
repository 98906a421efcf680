"""What a classifier's graph alone shows: its image input, its scores, and their form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ChannelOrder, DType, Head, Layout
from onnxplain.describe.fields import CLASSIFIER_FIELDS
from onnxplain.describe.score_tail.head import find_factor, find_head
from onnxplain.describe.score_tail.tail import PASSING
from onnxplain.graph.load import ModelFile
from onnxplain.graph.nodes import read_ints
from onnxplain.graph.shapes import Dims, Shapes, list_fed_inputs, read_declared_dims

IMAGE_DTYPES: Mapping[int, DType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
}
SCORE_TYPES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
QUANTISED_TYPES = (TensorProto.UINT8, TensorProto.INT8)
MOST_CLASSES = 2**20  # each gets a name; the largest classifiers have some ten thousand

# Operators that may stand between the input and the operator that shows its layout.
PREPARING = {"Cast", "Identity", "Sub", "Add", "Mul", "Div", "QuantizeLinear", "DequantizeLinear"}
# Operators with a quantised output: the places of its scale and zero point in their inputs.
SCALE_INPUTS = {
    "QGemm": (7, 8),
    "QLinearAdd": (6, 7),
    "QLinearConv": (6, 7),
    "QLinearGlobalAveragePool": (3, 4),
    "QLinearMatMul": (6, 7),
    "QLinearSigmoid": (3, 4),
    "QLinearSoftmax": (3, 4),
    "QuantizeLinear": (1, 2),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """The facts of a classifier's graph; None where the graph does not show them.

    `dims` are those of the input, None where they are open; `classes` is the number of scores.
    Scores that are not quantised have a scale of 1, or of .01 if they are percentages, and a zero
    point of 0; `is_unsigned` tells quantised ones of uint8 from those of int8. `input_scale` are
    scale and zero point of a quantised input.
    """

    input: str
    dtype: DType
    dims: Dims
    layout: Layout | None
    colour: ChannelOrder | None
    output: str
    classes: int | None
    head: Head | None
    output_scale: tuple[float, float] | None
    is_unsigned: bool
    input_scale: tuple[float, float] | None = None

    def size(self, layout: Layout) -> tuple[int | None, int | None]:
        """Return rows and columns of the input, None where they are open."""
        rows, columns = self.dims[2:] if layout == "nchw" else self.dims[1:3]
        return rows, columns

    def channels(self, layout: Layout) -> int | None:
        """Return the number of colour channels of the input, None if it is open."""
        return self.dims[1 if layout == "nchw" else 3]


def read_interface(
    model: ModelFile, *, input: str | None = None, output: str | None = None
) -> Interface:
    """Read a classifier's input and output from its graph.

    Parameters
    ----------
    model : ModelFile
        The file.
    input, output : str, optional
        Their names, where there are several.

    Raises
    ------
    ModelError
        If the model does not classify single images; the message lists its inputs or outputs.
    """
    proto, name = model.proto, model.path.name
    image = _find_image_input(proto, name, input)
    dims = read_declared_dims(image)
    assert dims is not None
    scores = _find_score_output(model, output, rows=dims[0] or 1)
    classes = _count_classes(model.shapes.dims(scores.name) or read_declared_dims(scores))
    if classes is not None and classes > MOST_CLASSES:
        raise ModelError(
            f"{name}: its output {scores.name!r} has {classes} scores per image; at most "
            f"{MOST_CLASSES} classes are accepted"
        )
    producers = {tensor: node for node in proto.graph.node for tensor in node.output}
    layout = _find_layout(proto, image.name, dims)
    return Interface(
        input=image.name,
        dtype=IMAGE_DTYPES[image.type.tensor_type.elem_type],
        dims=dims,
        layout=layout,
        colour=_find_colour(image.name, dims, layout),
        output=scores.name,
        classes=classes,
        head=find_head(model, scores.name, classes),
        output_scale=_find_output_scale(
            scores, producers, model.shapes, find_factor(model, scores.name, classes)
        ),
        is_unsigned=scores.type.tensor_type.elem_type == TensorProto.UINT8,
        input_scale=_find_input_scale(proto, image.name, model.shapes),
    )


def _find_image_input(proto: ModelProto, name: str, wanted: str | None) -> ValueInfoProto:
    inputs = list_fed_inputs(proto.graph)
    listed = ", ".join(_describe_value(value) for value in inputs) or "none"
    if wanted is not None and wanted not in [value.name for value in inputs]:
        raise ModelError(f"{name}: has no input {wanted!r}; its inputs: {listed}")
    images = [value for value in inputs if _may_be_image(value)]
    if wanted is not None:
        images = [value for value in images if value.name == wanted]
    if not images:
        raise ModelError(
            f"{name}: no image classifier: no input takes images, which are (N, 3 or 1, H, W) "
            f"or (N, H, W, 3 or 1) of {', '.join(IMAGE_DTYPES.values())}; its inputs: {listed}"
        )
    others = [value for value in inputs if value.name != images[0].name]
    if others:
        raise ModelError(
            f"{name}: needs more than an image: besides {images[0].name!r} it takes "
            f"{', '.join(_describe_value(value) for value in others)}; export it with one input, "
            f"and everything else as stored constants, which need no input"
        )
    return images[0]


def _may_be_image(value: ValueInfoProto) -> bool:
    dims = read_declared_dims(value)
    if dims is None or len(dims) != 4 or value.type.tensor_type.elem_type not in IMAGE_DTYPES:
        return False
    return any(dims[axis] in (None, 1, 3) for axis in (1, 3))


def _find_score_output(model: ModelFile, wanted: str | None, rows: int) -> ValueInfoProto:
    name, outputs = model.path.name, list(model.proto.graph.output)
    listed = ", ".join(_describe_value(value, model.shapes) for value in outputs)
    if wanted is not None:
        outputs = [value for value in outputs if value.name == wanted]
        if not outputs:
            raise ModelError(f"{name}: has no output {wanted!r}; its outputs: {listed}")
    candidates: list[ValueInfoProto] = [
        value for value in outputs if _may_be_scores(value, model.shapes, rows)
    ]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        option = CLASSIFIER_FIELDS["output"].option
        ways = " or ".join(f"{option} {value.name}" for value in candidates)
        raise ModelError(f"{name}: several outputs could be the scores: {listed}; pass {ways}")
    raise ModelError(
        f"{name}: no classifier: scores are one row of numbers per image, (N, classes), but "
        f"its outputs are {listed}{_guess_model_type(outputs[0], model.shapes)}"
    )


def _may_be_scores(value: ValueInfoProto, shapes: Shapes, rows: int) -> bool:
    inferred = shapes.dims(value.name)  # at the batch that the graph fixes, or at 1
    if inferred and inferred[0] not in (None, 1, rows):
        return False
    dims = inferred or read_declared_dims(value)
    element_type = value.type.tensor_type.elem_type
    if dims is None or element_type not in (*SCORE_TYPES, *QUANTISED_TYPES):
        return False
    if len(dims) < 2:  # one number per image
        return len(dims) == 1 and dims[0] in (None, 1)
    return sum(dim != 1 for dim in dims[1:]) <= 1


def _guess_model_type(value: ValueInfoProto, shapes: Shapes) -> str:
    """Return what a model with such an output may be, in brackets, or an empty text."""
    dims = shapes.dims(value.name) or read_declared_dims(value) or ()
    if not value.type.HasField("tensor_type"):
        return " (export it with a tensor of scores instead of sequences or dictionaries)"
    if value.type.tensor_type.elem_type in (TensorProto.INT64, TensorProto.INT32):
        return " (class numbers instead of scores: export it without ArgMax)"
    if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
        return " (bfloat16, which ONNX Runtime does not hand out: export it with float32 scores)"
    if len(dims) == 4:
        return " (a segmentation or image-to-image model)"
    return " (a detector, or a model of sequences)" if len(dims) == 3 else ""


def _describe_value(value: ValueInfoProto, shapes: Shapes | None = None) -> str:
    """Return a text such as ``'image' float (N, 3, 224, 224)``."""
    if not value.type.HasField("tensor_type"):
        return f"{value.name!r} (no tensor)"
    element_type = value.type.tensor_type.elem_type
    known = element_type in helper.get_all_tensor_dtypes()
    type_name = TensorProto.DataType.Name(element_type).lower() if known else "of unknown type"
    inferred = shapes.dims(value.name) if shapes else None
    if not value.type.tensor_type.HasField("shape"):
        return f"{value.name!r} {type_name} {inferred or '(of unknown shape)'}"
    parts = [
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in value.type.tensor_type.shape.dim
    ]
    differs = inferred is not None and len(inferred) != len(parts)
    note = f", of one image {inferred}" if differs else ""
    return f"{value.name!r} {type_name} ({', '.join(parts)}){note}"


def _count_classes(dims: Dims | None) -> int | None:
    sides = [dim for dim in (dims or (None, None))[1:] if dim != 1]
    return sides[0] if sides else 1


def _find_layout(proto: ModelProto, input: str, dims: Dims) -> Layout | None:
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first != last:
        return "nchw" if first else "nhwc"
    return _find_layout_by_use(proto, input)


def _find_layout_by_use(proto: ModelProto, input: str) -> Layout | None:
    """Return the layout that the first convolution or transposition shows."""
    names = {input}
    for node in proto.graph.node:
        if not names.intersection(node.input):
            continue
        if node.op_type == "Conv" and node.input[0] in names:
            return "nchw"
        if node.op_type == "Transpose":
            orders: dict[tuple[int, ...], Layout] = {(0, 3, 1, 2): "nhwc", (0, 2, 3, 1): "nchw"}
            return orders.get(tuple(read_ints(node, "perm")))
        if node.op_type in PREPARING:
            names.update(node.output)
    return None


def _find_colour(input: str, dims: Dims, layout: Layout | None) -> ChannelOrder | None:
    """Return the colour order that one channel, or the name of the input, shows."""
    if layout is not None and dims[1 if layout == "nchw" else 3] == 1:
        return "grey"
    orders: dict[str, ChannelOrder] = {"rgb": "rgb", "bgr": "bgr"}
    return orders.get(input.lower())


def _find_input_scale(proto: ModelProto, input: str, shapes: Shapes) -> tuple[float, float] | None:
    """Return scale and zero point of a quantised input, from the first operator that takes it."""
    names = {input}
    for node in proto.graph.node:
        if not names.intersection(node.input[:1]):
            continue
        if node.op_type in ("DequantizeLinear", "QLinearConv"):
            scale, zero = (shapes.values.get(name) for name in [*node.input, "", ""][1:3])
            if scale is None or scale.size != 1:
                return None
            return float(scale.item()), 0.0 if zero is None else float(zero.item())
        if node.op_type in ("Transpose", "Reshape", "Squeeze", "Identity", "Pad"):
            names.update(node.output)
    return None


def _trace_back(output: str, producers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """Return the nodes from an output back to the first that does more than pass scores on."""
    chain: list[NodeProto] = []
    while (node := producers.get(output)) is not None:
        chain.append(node)
        if not node.input or (node.op_type not in PASSING and node.op_type != "Clip"):
            break
        output = node.input[0]
    return chain


def _find_output_scale(
    output: ValueInfoProto, producers: Mapping[str, NodeProto], shapes: Shapes, factor: float
) -> tuple[float, float] | None:
    """Return scale and zero point of the scores, None if they are quantised by unknown ones.

    `factor`: by what scores of real numbers are multiplied.
    """
    element_type = output.type.tensor_type.elem_type
    if element_type not in QUANTISED_TYPES:
        return factor, 0.0
    for node in _trace_back(output.name, producers):
        if node.op_type in SCALE_INPUTS:
            scale, zero_point = (
                shapes.values.get(node.input[place]) if place < len(node.input) else None
                for place in SCALE_INPUTS[node.op_type]
            )
            if scale is not None and scale.size == 1:
                zero = 0.0 if zero_point is None else float(zero_point.item())
                return float(scale.item()) * factor, zero
            return None
    return None
