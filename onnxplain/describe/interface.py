"""What a graph says by itself: its image input, its scores, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.core.spec import Colour, DType, Head, Layout
from onnxplain.describe.fields import spell_option
from onnxplain.graph.load import ModelFile
from onnxplain.graph.shapes import Dims, Shapes, list_fed_inputs, read_declared_dims

DTYPES: Mapping[int, DType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
}
SCORES = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
QUANTISED = (TensorProto.UINT8, TensorProto.INT8)

# What may stand between the scores and the graph's output without changing what they are.
PASSING = {
    "Cast",
    "Clip",
    "DequantizeLinear",
    "Dropout",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
# What may stand between the input and the operator that shows its layout.
PREPARING = {"Cast", "Identity", "Sub", "Add", "Mul", "Div", "QuantizeLinear", "DequantizeLinear"}


@dataclass(frozen=True, slots=True)
class Interface:
    """The facts of a classifier's graph; None is what it does not tell.

    `size` may hold None; `layouts` lists what is possible; `classes` is the number of scores.
    """

    input: str
    dtype: DType
    dims: Dims
    layout: Layout | None
    colour: Colour | None
    output: str
    classes: int | None
    head: Head | None
    output_scale: tuple[float, float]

    def size(self, layout: Layout) -> tuple[int | None, int | None]:
        """Rows and columns of the input."""
        rows, columns = self.dims[2:] if layout == "nchw" else self.dims[1:3]
        return rows, columns

    def channels(self, layout: Layout) -> int | None:
        """Colour channels of the input."""
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
        If this is no classifier of one image, saying what was seen.
    """
    proto, name = model.proto, model.path.name
    entry = _image_input(proto, name, input)
    dims = read_declared_dims(entry)
    assert dims is not None
    result = _score_output(model, output)
    classes = _classes(model.shapes.dims(result.name) or read_declared_dims(result))
    made_by = {made: node for node in proto.graph.node for made in node.output}
    layout = _layout(proto, entry.name, dims)
    return Interface(
        input=entry.name,
        dtype=DTYPES[entry.type.tensor_type.elem_type],
        dims=dims,
        layout=layout,
        colour=_colour(entry.name, dims, layout),
        output=result.name,
        classes=classes,
        head=_head(result.name, classes, made_by),
        output_scale=_output_scale(result, made_by, model.shapes),
    )


def _image_input(proto: ModelProto, name: str, wanted: str | None) -> ValueInfoProto:
    inputs = list_fed_inputs(proto.graph)
    seen = ", ".join(_describe(value) for value in inputs) or "none"
    if wanted is not None and wanted not in [value.name for value in inputs]:
        raise ModelError(f"{name}: has no input {wanted!r}; its inputs: {seen}")
    images = [value for value in inputs if _is_image(value)]
    if wanted is not None:
        images = [value for value in images if value.name == wanted]
    if not images:
        raise ModelError(
            f"{name}: no image classifier: no input takes images, which are (N, 3 or 1, H, W) or "
            f"(N, H, W, 3 or 1) of float32, float16 or uint8; its inputs: {seen}"
        )
    others = [value for value in inputs if value.name != images[0].name]
    if others:
        raise ModelError(
            f"{name}: needs more than one image: besides {images[0].name!r} it takes "
            f"{', '.join(_describe(value) for value in others)}; export it with one input, and "
            f"everything else as stored constants"
        )
    return images[0]


def _is_image(value: ValueInfoProto) -> bool:
    dims = read_declared_dims(value)
    if dims is None or len(dims) != 4 or value.type.tensor_type.elem_type not in DTYPES:
        return False
    return any(dims[axis] in (None, 1, 3) for axis in (1, 3))


def _score_output(model: ModelFile, wanted: str | None) -> ValueInfoProto:
    name, outputs = model.path.name, list(model.proto.graph.output)
    seen = ", ".join(_describe(value, model.shapes) for value in outputs)
    if wanted is not None:
        outputs = [value for value in outputs if value.name == wanted]
        if not outputs:
            raise ModelError(f"{name}: has no output {wanted!r}; its outputs: {seen}")
    fits: list[ValueInfoProto] = [one for one in outputs if _are_scores(one, model.shapes)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = " or ".join(f"{spell_option('output')} {value.name}" for value in fits)
        raise ModelError(f"{name}: several outputs could be the scores: {seen}; say {names}")
    raise ModelError(
        f"{name}: no classifier: scores are one row of numbers an image, (N, classes), but its "
        f"outputs are {seen}{_guess(outputs[0], model.shapes)}"
    )


def _are_scores(value: ValueInfoProto, shapes: Shapes) -> bool:
    dims = shapes.dims(value.name) or read_declared_dims(value)  # of one image
    kind = value.type.tensor_type.elem_type
    if dims is None or kind not in (*SCORES, *QUANTISED):
        return False
    if len(dims) < 2:  # one number an image
        return len(dims) == 1 and dims[0] in (None, 1)
    return sum(dim != 1 for dim in dims[1:]) <= 1


def _guess(value: ValueInfoProto, shapes: Shapes) -> str:
    """What a model with such an output may be."""
    dims = shapes.dims(value.name) or read_declared_dims(value) or ()
    if not value.type.HasField("tensor_type"):
        return " (leave out the ZipMap operator when it is exported)"
    if value.type.tensor_type.elem_type in (TensorProto.INT64, TensorProto.INT32):
        return " (class numbers instead of scores: export it without ArgMax)"
    if len(dims) == 4:
        return " (a segmentation or image-to-image model)"
    return " (a detector, or a model of sequences)" if len(dims) == 3 else ""


def _describe(value: ValueInfoProto, shapes: Shapes | None = None) -> str:
    """``'image' float (N, 3, 224, 224)``."""
    if not value.type.HasField("tensor_type"):
        return f"{value.name!r} (no tensor)"
    element = value.type.tensor_type.elem_type
    known = element in helper.get_all_tensor_dtypes()
    kind = TensorProto.DataType.Name(element).lower() if known else "of unknown type"
    if not value.type.tensor_type.HasField("shape"):
        dims = shapes.dims(value.name) if shapes else None
        return f"{value.name!r} {kind} {dims or '(of unknown shape)'}"
    parts = [
        str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?"
        for d in value.type.tensor_type.shape.dim
    ]
    found = shapes.dims(value.name) if shapes else None
    other = f", of one image {found}" if found is not None and len(found) != len(parts) else ""
    return f"{value.name!r} {kind} ({', '.join(parts)}){other}"


def _classes(dims: Dims | None) -> int | None:
    rest = [dim for dim in (dims or (None, None))[1:] if dim != 1]
    return rest[0] if rest else 1


def _layout(proto: ModelProto, input: str, dims: Dims) -> Layout | None:
    first, last = dims[1] in (1, 3), dims[3] in (1, 3)
    if first != last:
        return "nchw" if first else "nhwc"
    return _layout_by_use(proto, input)


def _layout_by_use(proto: ModelProto, input: str) -> Layout | None:
    """The layout that the first convolution or transposition shows."""
    names = {input}
    for node in proto.graph.node:
        if not names.intersection(node.input):
            continue
        if node.op_type == "Conv" and node.input[0] in names:
            return "nchw"
        if node.op_type == "Transpose":
            perm = next((list(a.ints) for a in node.attribute if a.name == "perm"), [])
            return {(0, 3, 1, 2): "nhwc", (0, 2, 3, 1): "nchw"}.get(tuple(perm))  # type: ignore[return-value]  # mypy widens the literals
        if node.op_type in PREPARING:
            names.update(node.output)
    return None


def _colour(input: str, dims: Dims, layout: Layout | None) -> Colour | None:
    if layout is not None and dims[1 if layout == "nchw" else 3] == 1:
        return "grey"
    named: dict[str, Colour] = {"rgb": "rgb", "bgr": "bgr"}
    return named.get(input.lower())


def _back(output: str, made_by: Mapping[str, NodeProto]) -> list[NodeProto]:
    """The nodes from an output back to the first that is more than a change of form."""
    chain: list[NodeProto] = []
    while (node := made_by.get(output)) is not None:
        chain.append(node)
        if node.op_type not in PASSING:
            break
        output = node.input[0]
    return chain


def _head(output: str, classes: int | None, made_by: Mapping[str, NodeProto]) -> Head | None:
    chain = _back(output, made_by)
    last = chain[-1] if chain else None
    op = last.op_type.lower() if last is not None else ""
    if "softmax" in op and "log" not in op:
        return "probabilities"
    if op == "div" and last is not None:  # an old exporter's softmax: exp / sum of exp
        above = made_by.get(last.input[0])
        if above is not None and above.op_type == "Exp":
            return "probabilities"
    if "sigmoid" in op and "log" not in op:
        return "sigmoid" if classes == 1 else "probabilities"
    return None if classes == 1 else "logits"


def _output_scale(
    output: ValueInfoProto, made_by: Mapping[str, NodeProto], shapes: Shapes
) -> tuple[float, float]:
    kind = output.type.tensor_type.elem_type
    if kind not in QUANTISED:
        return 1.0, 0.0
    for node in _back(output.name, made_by):
        places = {"QuantizeLinear": (1, 2), "QLinearSoftmax": (3, 4), "QLinearSigmoid": (3, 4)}
        if node.op_type in places:
            scale, zero = (
                shapes.values.get(node.input[at]) if at < len(node.input) else None
                for at in places[node.op_type]
            )
            if scale is not None and scale.size == 1:
                return float(scale.item()), 0.0 if zero is None else float(zero.item())
    # How TFLite stores probabilities: 256 steps from 0 to 1.
    return 1 / 256, 0.0 if kind == TensorProto.UINT8 else -128.0
