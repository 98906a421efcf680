"""Graphs of batch 1 take any batch after rewriting, and give every image its own answer."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.batch_proof import (
    BatchProof,
    answer_alone,
    make_probe_images,
    prove_batch,
    read_fixed_batch,
)
from onnxplain.graph.load import read_model
from onnxplain.graph.rebatch import make_batch_dynamic
from tests.conftest import shared
from tests.helpers import models

ort.set_default_logger_severity(4)
node = helper.make_node


def open_runner(proto: ModelProto) -> Callable[[NDArray[Any]], NDArray[Any]]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def encode_probes(proto: ModelProto) -> NDArray[Any]:
    """Return probe images as the graph takes them: -1..1, or 0..255 for uint8."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    image = next(value for value in proto.graph.input if value.name not in stored)
    dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
    channels_last = dims[3] in (1, 3)
    size = (dims[1], dims[2]) if channels_last else (dims[2], dims[3])
    images = make_probe_images(size)[..., : dims[3] if channels_last else dims[1]]
    if not channels_last:
        images = images.transpose(0, 3, 1, 2)
    if image.type.tensor_type.elem_type == TensorProto.UINT8:
        return np.rint(images * 255).astype(np.uint8)
    return np.ascontiguousarray(images * 2 - 1)


def prove_rewritten(proto: ModelProto) -> BatchProof:
    probes = encode_probes(proto)
    alone = answer_alone(open_runner(proto), probes)
    return prove_batch(alone, open_runner(make_batch_dynamic(proto)), probes)


def make_fixed_nets() -> dict[str, ModelProto]:
    w = models.weights((8, 6))
    return {
        "conv": models.convnet(batch=1),
        "reshape to one row": models.convnet(batch=1, one_row=True),
        "reshape (1, -1)": models.additive(w, batch=1, flatten="one-row"),
        "reshape (0, -1)": models.additive(w, batch=1, flatten="copy"),
        "reshape (-1, D)": models.additive(w, batch=1, flatten="minus-one"),
        "bgr nhwc": models.additive(w, batch=1, flatten="one-row", layout="nhwc", colour="bgr"),
        "opset 9": models.additive(w, batch=1, flatten="one-row", opset=9),
        "opset 21": models.additive(w, batch=1, flatten="one-row", opset=21),
        "quantised": models.quantised(w),
        "class token": make_class_token_net(),
        "resize to sizes": make_resizing_net(),
        "heads merged with the batch": make_attention_net(),
    }


def make_class_token_net() -> ModelProto:
    """Make a net that joins a constant of batch 1 to the image's tokens and reads it out."""
    rng = np.random.default_rng(0)
    return models.model(
        [
            node("Reshape", ["image", "tokens"], ["t"]),
            node("Concat", ["token", "t"], ["all"], axis=1),
            node("MatMul", ["mix", "all"], ["mixed"]),
            node("Gather", ["mixed", "first"], ["scores"], axis=1),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, [1, 16])},
        {
            "tokens": np.array([1, 3, 16]),
            "token": rng.normal(size=(1, 1, 16)).astype(np.float32),
            "mix": rng.normal(size=(4, 4)).astype(np.float32),
            "first": np.array(0),
        },
    )


def make_resizing_net() -> ModelProto:
    return models.model(
        [
            node("Resize", ["image", "", "", "sizes"], ["large"], mode="linear"),
            node("ReduceMax", ["large"], ["scores"], axes=[2, 3], keepdims=0),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, [1, 3])},
        {"sizes": np.array([1, 3, 10, 12])},
    )


def make_attention_net() -> ModelProto:
    """Make PyTorch's old attention: tokens first, batch second, heads merged with the batch."""
    rng = np.random.default_rng(0)
    shapes = {
        "to_tokens": [1, 8, 16],
        "to_heads": [16, 2, 4],
        "to_rows": [16, 8],
        "back": [16, 1, 8],
    }
    return models.model(
        [
            node("Conv", ["image", "w"], ["c"]),
            node("Reshape", ["c", "to_tokens"], ["flat"]),
            node("Transpose", ["flat"], ["lnc"], perm=[2, 0, 1]),
            node("Reshape", ["lnc", "to_heads"], ["heads"]),
            node("Transpose", ["heads"], ["q"], perm=[1, 0, 2]),
            node("Transpose", ["heads"], ["k"], perm=[1, 2, 0]),
            node("MatMul", ["q", "k"], ["qk"]),
            node("Softmax", ["qk"], ["a"], axis=-1),
            node("MatMul", ["a", "q"], ["av"]),
            node("Transpose", ["av"], ["turned"], perm=[1, 0, 2]),
            node("Reshape", ["turned", "to_rows"], ["rows"]),
            node("Gemm", ["rows", "v"], ["projected"]),
            node("Reshape", ["projected", "back"], ["again"]),
            node("ReduceMean", ["again"], ["scores"], axes=[0], keepdims=0),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, [1, 8])},
        {
            "w": rng.normal(size=(8, 3, 1, 1)).astype(np.float32),
            "v": rng.normal(size=(8, 8)).astype(np.float32),
            **{name: np.array(shape) for name, shape in shapes.items()},
        },
    )


@pytest.mark.parametrize("name", make_fixed_nets())
def test_graphs_of_batch_1_become_dynamic_and_are_proved(name: str) -> None:
    proto = make_fixed_nets()[name]
    assert read_fixed_batch(proto) == 1
    before = proto.SerializeToString()
    proof = prove_rewritten(proto)
    assert proof.proved, proof.reason
    assert proto.SerializeToString() == before
    assert read_fixed_batch(make_batch_dynamic(proto)) is None


def test_rewritten_graphs_keep_their_answers_at_every_batch_size() -> None:
    proto = make_attention_net()
    x = np.random.default_rng(1).normal(size=(7, 3, 4, 4)).astype(np.float32)
    run_single, run_batched = open_runner(proto), open_runner(make_batch_dynamic(proto))
    expected = np.concatenate([run_single(x[i : i + 1]) for i in range(7)])
    for size in (1, 2, 7):  # float32 sums in another order
        np.testing.assert_allclose(run_batched(x[:size]), expected[:size], rtol=1e-5)


def test_batch_that_is_squeezed_away_is_an_error_that_names_the_node() -> None:
    proto = models.model(
        [
            node("GlobalAveragePool", ["image"], ["pooled"]),
            node("Reshape", ["pooled", "flat"], ["one"]),
            node("Gather", ["one", "first"], ["few"], axis=0),
            node("Unsqueeze", ["few", "zero"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, [1, 2])},
        {"flat": np.array([-1]), "first": np.array([0, 1]), "zero": np.array([0])},
    )
    with pytest.raises(ModelError, match="does not reach the output 'scores', lost at Gather"):
        make_batch_dynamic(proto)


@pytest.mark.parametrize(
    "name",
    ["fer_quant.onnx", "mobilenet_v1_0.25_128_quant.onnx", "mobilenet_v2_1.0_224_quant.onnx"],
)
def test_real_graphs_of_batch_1_become_dynamic(name: str) -> None:
    assert prove_rewritten(read_model(shared(f"models/{name}")).proto).proved


def test_onnx_light_graphs_take_a_batch_but_their_constant_weights_prove_nothing() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for name in ("light_shufflenet", "light_squeezenet"):
        proof = prove_rewritten(onnx.load(light / f"{name}.onnx"))
        assert not proof.proved
        assert proof.error < 1e-4, name
        assert "hardly differ" in proof.reason


def test_rewriting_does_not_need_external_tensors(tmp_path: Path) -> None:
    stored, proto = (models.convnet(batch=1, one_row=True) for _ in range(2))
    path = tmp_path / "net.onnx"
    # The targets of reshapes are small and stay inside, as exporters leave them.
    onnx.save_model(stored, path, save_as_external_data=True, location="w", size_threshold=100)
    rewritten = make_batch_dynamic(read_model(path).proto)
    assert any(
        tensor.data_location == TensorProto.EXTERNAL for tensor in rewritten.graph.initializer
    )
    rewritten_path = models.save(rewritten, tmp_path / "rewritten.onnx")
    session = ort.InferenceSession(rewritten_path, providers=["CPUExecutionProvider"])
    probes = encode_probes(proto)
    alone = answer_alone(open_runner(proto), probes)
    proof = prove_batch(alone, lambda x: session.run(None, {"image": x})[0], probes)
    assert proof.proved


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer_exported_by_pytorch_becomes_dynamic(batch_first: bool) -> None:
    torch = pytest.importorskip("torch")

    class Transformer(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patches = torch.nn.Conv2d(3, 16, 8, 8)
            self.token = torch.nn.Parameter(torch.randn(1, 1, 16))
            layer = torch.nn.TransformerEncoderLayer(16, 2, 32, dropout=0, batch_first=batch_first)
            self.layers = torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
            self.head = torch.nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
            x = self.layers(x if batch_first else x.transpose(0, 1))
            return self.head(x[:, 0] if batch_first else x[0])

    torch.manual_seed(0)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = Transformer().eval()
        torch.onnx.export(net, (torch.zeros(1, 3, 32, 32),), file, dynamo=False, opset_version=17)
    assert prove_rewritten(onnx.load_from_string(file.getvalue())).proved
