"""A fixed batch is carried through a graph, and no batch is believed without a proof."""

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
from onnxplain.graph.load import read_model
from onnxplain.graph.rebatch import (
    BatchProof,
    make_batch_dynamic,
    make_probe_images,
    prove_batch,
    read_fixed_batch,
)
from tests.conftest import shared
from tests.helpers import models

ort.set_default_logger_severity(4)
node = helper.make_node


def runner(proto: ModelProto) -> Callable[[NDArray[Any]], NDArray[Any]]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


def encoded(proto: ModelProto) -> NDArray[Any]:
    """Probe images as the graph takes them: -1..1, or 0..255 for uint8."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    kind = next(v for v in proto.graph.input if v.name not in stored).type.tensor_type
    dims = [d.dim_value for d in kind.shape.dim]
    last = dims[3] in (1, 3)
    size = (dims[1], dims[2]) if last else (dims[2], dims[3])
    images = make_probe_images(size)[..., : dims[3] if last else dims[1]]
    if not last:
        images = images.transpose(0, 3, 1, 2)
    if kind.elem_type == TensorProto.UINT8:
        return np.rint(images * 255).astype(np.uint8)
    return np.ascontiguousarray(images * 2 - 1)


def proof(proto: ModelProto) -> BatchProof:
    return prove_batch(runner(proto), runner(make_batch_dynamic(proto)), encoded(proto))


def fixed_nets() -> dict[str, ModelProto]:
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
        "class token": class_token(),
        "resize to sizes": resized(),
        "heads merged with the batch": attention(),
    }


def class_token() -> ModelProto:
    """A constant of batch 1 is joined to the tokens of the image, and read out again."""
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


def resized() -> ModelProto:
    return models.model(
        [
            node("Resize", ["image", "", "", "sizes"], ["large"], mode="linear"),
            node("ReduceMax", ["large"], ["scores"], axes=[2, 3], keepdims=0),
        ],
        {"image": (TensorProto.FLOAT, [1, 3, 4, 4])},
        {"scores": (TensorProto.FLOAT, [1, 3])},
        {"sizes": np.array([1, 3, 10, 12])},
    )


def attention() -> ModelProto:
    """Tokens first, batch second, heads merged with the batch: PyTorch's old attention."""
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


@pytest.mark.parametrize("name", fixed_nets())
def test_fixed_batches_become_dynamic_and_are_proved(name: str) -> None:
    proto = fixed_nets()[name]
    assert read_fixed_batch(proto) == 1
    before = proto.SerializeToString()
    assert proof(proto).proved, proof(proto).reason
    assert proto.SerializeToString() == before
    assert read_fixed_batch(make_batch_dynamic(proto)) is None


def test_rewritten_graphs_keep_their_answers_at_every_batch_size() -> None:
    proto = attention()
    x = np.random.default_rng(1).normal(size=(7, 3, 4, 4)).astype(np.float32)
    single, batched = runner(proto), runner(make_batch_dynamic(proto))
    want = np.concatenate([single(x[i : i + 1]) for i in range(7)])
    for size in (1, 2, 7):
        np.testing.assert_allclose(batched(x[:size]), want[:size], rtol=1e-5)


def test_a_batch_that_is_squeezed_away_cannot_be_carried() -> None:
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


def test_a_declared_batch_that_lies_is_not_proved() -> None:
    proto = models.lying_batch()
    assert read_fixed_batch(proto) is None
    images = make_probe_images((16, 16)).transpose(0, 3, 1, 2)
    found = prove_batch(runner(proto), runner(proto), images)
    assert not found.proved
    assert "differ" in found.reason
    assert found.error > 0.01


def test_a_declared_batch_that_does_not_run_is_not_proved() -> None:
    proto = models.convnet(one_row=True)
    images = make_probe_images((16, 16)).transpose(0, 3, 1, 2)
    found = prove_batch(runner(proto), runner(proto), images)
    assert not found.proved
    assert "does not run at batch 3" in found.reason


def test_a_declared_batch_that_holds_is_proved() -> None:
    proto = models.convnet()
    run = runner(proto)
    assert prove_batch(run, run, make_probe_images((16, 16)).transpose(0, 3, 1, 2)).proved


def test_an_answer_for_one_of_three_images_is_not_proved() -> None:
    run = runner(models.convnet())
    images = make_probe_images((16, 16)).transpose(0, 3, 1, 2)
    found = prove_batch(run, lambda x: run(x[:1]), images)
    assert not found.proved
    assert "shape (1, 5)" in found.reason


@pytest.mark.parametrize("proto", [models.saturated(), models.constant((16, 16), [1.0, 2.0])])
def test_agreement_of_answers_that_never_change_is_no_proof(proto: ModelProto) -> None:
    run = runner(proto)
    found = prove_batch(run, run, make_probe_images((16, 16)).transpose(0, 3, 1, 2))
    assert not found.proved
    assert "hardly differ" in found.reason


def test_rows_that_are_exchanged_are_not_proved() -> None:
    run = runner(models.convnet())
    images = make_probe_images((16, 16)).transpose(0, 3, 1, 2)
    assert not prove_batch(run, lambda x: run(x[[1, 0, 2]]), images).proved


def test_infinite_answers_are_no_proof() -> None:
    images = make_probe_images((4, 4))

    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.full((len(x), 2), np.nan)

    assert not prove_batch(run, run, images).proved


def test_probe_images_are_images() -> None:
    images = make_probe_images((5, 7))
    assert images.shape == (7, 5, 7, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


@pytest.mark.parametrize(
    "name",
    ["fer_quant.onnx", "mobilenet_v1_0.25_128_quant.onnx", "mobilenet_v2_1.0_224_quant.onnx"],
)
def test_real_graphs_of_batch_1_become_dynamic(name: str) -> None:
    assert proof(read_model(shared(f"models/{name}")).proto).proved


def test_light_graphs_of_onnx_take_a_batch_but_constant_weights_prove_nothing() -> None:
    light = Path(onnx.__file__).parent / "backend/test/data/light"
    for name in ("light_shufflenet", "light_squeezenet"):
        found = proof(onnx.load(light / f"{name}.onnx"))
        assert not found.proved
        assert found.error < 1e-4, name
        assert "hardly differ" in found.reason


def test_external_tensors_need_not_be_loaded_to_be_rebatched(tmp_path: Path) -> None:
    stored, proto = (models.convnet(batch=1, one_row=True) for _ in range(2))
    path = tmp_path / "net.onnx"
    # shapes of a reshape are small and stay inside, as exporters leave them
    onnx.save_model(stored, path, save_as_external_data=True, location="w", size_threshold=100)
    made = make_batch_dynamic(read_model(path).proto)
    assert any(t.data_location == TensorProto.EXTERNAL for t in made.graph.initializer)
    rebatched = models.save(made, tmp_path / "rebatched.onnx")
    session = ort.InferenceSession(rebatched, providers=["CPUExecutionProvider"])
    found = prove_batch(runner(proto), lambda x: session.run(None, {"image": x})[0], encoded(proto))
    assert found.proved


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_transformer_that_pytorch_exported_becomes_dynamic(batch_first: bool) -> None:
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
    assert proof(onnx.load_from_string(file.getvalue())).proved
