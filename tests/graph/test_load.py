"""Model files are read whole and safely, or one clear error says what is wrong with them."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from onnxplain.graph import load
from onnxplain.graph.load import load_weights, read_model
from tests.conftest import shared
from tests.helpers import models


def save_external(folder: Path) -> Path:
    """Save a net whose tensors lie in ``net.onnx.data``."""
    return models.save(models.convnet(), folder / "net.onnx", external=True)


def test_model_is_read_with_its_hash_and_shapes(tmp_path: Path) -> None:
    path = models.save(models.convnet(), tmp_path / "net.onnx")
    model = read_model(path)
    assert model.proto == models.convnet()
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not model.external
    assert model.shapes.dims("g") == (1, 8, 1, 1)


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x00" * 100, b"PK\x03\x04zip"])
def test_error_on_a_file_that_is_not_onnx_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        read_model(path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"\x1c\x00\x00\x00TFL3" + b"\x00" * 50, "tf2onnx"),
        (b"\x89HDF\r\n\x1a\n" + b"\x00" * 50, "Keras"),
        (b"PK\x03\x04" + b"\x00" * 50, "PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_error_on_files_of_other_frameworks_says_how_to_convert_them(
    tmp_path: Path, content: bytes, hint: str
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=hint):
        read_model(path)


def test_missing_files_and_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        read_model(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="a device or a pipe"):
        read_model(tmp_path / "pipe.onnx")


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    content = models.convnet().SerializeToString()
    path = tmp_path / "net.onnx"
    for end in range(1, len(content), 37):
        path.write_bytes(content[:end])
        with pytest.raises(ModelError, match=r"net\.onnx"):
            read_model(path)


def test_damaged_files_are_read_or_are_errors_but_never_crash(tmp_path: Path) -> None:
    content = models.quantised(models.weights((4, 4))).SerializeToString()
    path, draw = tmp_path / "net.onnx", random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(draw.choice([1, 2, 8])):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            read_model(path)
        except ModelError:
            refused += 1
    assert 100 < refused < 300


def test_graph_that_fails_the_checker_is_an_error(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        read_model(models.save(proto, tmp_path / "net.onnx"))


def test_size_limit_counts_external_data(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert read_model(path, max_bytes=total).external
    with pytest.raises(ModelError, match="more than the limit"):
        read_model(path, max_bytes=total - 1)
    with pytest.raises(ModelError, match="more than the limit"):
        read_model(path, max_bytes=10)


def test_external_data_changes_the_hash_and_is_not_loaded(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    first = read_model(path)
    assert all(not tensor.raw_data for tensor in first.proto.graph.initializer)
    data = tmp_path / "net.onnx.data"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert read_model(path).sha256 != first.sha256


def test_weights_in_other_files_are_loaded_into_a_copy(tmp_path: Path) -> None:
    model = read_model(save_external(tmp_path))
    before = model.proto.SerializeToString()
    loaded = {tensor.name: tensor for tensor in load_weights(model).graph.initializer}
    for tensor in models.convnet().graph.initializer:
        assert loaded[tensor.name].data_location == TensorProto.DEFAULT
        np.testing.assert_array_equal(
            numpy_helper.to_array(loaded[tensor.name]), numpy_helper.to_array(tensor)
        )
    assert model.proto.SerializeToString() == before


def test_weights_that_no_message_can_hold_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_model(save_external(tmp_path))
    monkeypatch.setattr(load, "MAX_MESSAGE", 1000)
    with pytest.raises(ModelError, match=r"net.onnx: holds \d+ bytes .* may hold 1000"):
        load_weights(model)


def test_changed_file_has_another_hash_and_holds_its_weights(tmp_path: Path) -> None:
    model = read_model(save_external(tmp_path))
    first, again, other = (model.changed(models.convnet(seed=seed)) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256 != model.sha256
    assert (first.path, first.external) == (model.path, False)


def test_initialisers_whose_bytes_do_not_fit_their_dims_are_an_error(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.initializer[0].dims[0] = 2**40
    with pytest.raises(ModelError, match=r"net\.onnx: the stored tensor .* bytes, not"):
        read_model(models.save(proto, tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    "name",
    [
        "fer-keras-minixception.onnx",
        "ffc-unet-128-dft.onnx",
        "ffc-unet-128.onnx",
        "mobilenet_v2_1.0_224_quant.onnx",
        "squeezenet-places365.onnx",
        "stlpips-alex.onnx",
    ],
)
def test_real_models_are_read_and_all_their_shapes_are_known(name: str) -> None:
    model = read_model(shared(f"models/{name}"))
    outputs = [output for node in model.proto.graph.node for output in node.output]
    assert outputs
    assert all(model.shapes.count(output) is not None for output in outputs)


def move_into_function(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with all its nodes and weights in one local function."""
    weights = [
        helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in proto.graph.initializer
    ]
    imports = [entry for entry in proto.opset_import if not entry.domain]
    body = [*weights, *proto.graph.node]
    function = helper.make_function("mine", "Net", ["image"], ["scores"], body, imports)
    whole = onnx.ModelProto()
    whole.CopyFrom(proto)
    del whole.graph.node[:]
    del whole.graph.initializer[:]
    whole.graph.node.append(helper.make_node("Net", ["image"], ["scores"], domain="mine"))
    whole.functions.append(function)
    whole.opset_import.append(helper.make_opsetid("mine", 1))
    return whole


def test_head_inside_a_local_function_is_found(tmp_path: Path) -> None:
    proto = move_into_function(models.additive(models.weights((4, 4)), head="probabilities"))
    path = models.save(proto, tmp_path / "net.onnx")
    model = read_model(path)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not model.proto.functions
    assert resolve_spec(model, {"range": (0, 1)}).head == "probabilities"


def test_shape_of_an_output_without_one_is_inferred(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    path = models.save(proto, tmp_path / "net.onnx")
    model = read_model(path)
    assert model.shapes.dims("scores") == (1, 5)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (dim, _) = model.proto.graph.output[0].type.tensor_type.shape.dim
    assert not dim.dim_value


def test_operator_of_a_domain_that_is_not_imported_is_an_error(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.output[0].type.tensor_type.ClearField("shape")  # so that it is inferred
    proto.graph.node[-1].domain = "com.microsoft"
    with pytest.raises(ModelError, match=r"net\.onnx: not a valid ONNX model: .*com\.microsoft"):
        read_model(models.save(proto, tmp_path / "net.onnx"))
