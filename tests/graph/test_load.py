"""Model files are read whole and safely, or refused with one clear message."""

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
from onnxplain.graph import load
from onnxplain.graph.load import load_weights, read_model
from tests.conftest import shared
from tests.helpers import models


def external(tmp_path: Path) -> Path:
    return models.save(models.convnet(), tmp_path / "net.onnx", external=True)


def relocated(tmp_path: Path, location: str) -> Path:
    """An external-data model whose tensors all say that they lie in `location`."""
    path = external(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    return models.save(proto, path)


def test_a_model_is_read_with_its_hash(tmp_path: Path) -> None:
    path = models.save(models.convnet(), tmp_path / "net.onnx")
    model = read_model(path)
    assert model.proto == models.convnet()
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not model.external
    assert model.shapes.dims("g") == (1, 8, 1, 1)


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x00" * 100, b"PK\x03\x04zip"])
def test_what_is_not_onnx_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
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
def test_files_of_other_frameworks_are_named(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=hint):
        read_model(path)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_model(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="is a folder"):
        read_model(tmp_path)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(ModelError, match="not a regular file"):
        read_model(tmp_path / "pipe.onnx")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = models.convnet().SerializeToString()
    path = tmp_path / "net.onnx"
    for end in range(1, len(content), 37):
        path.write_bytes(content[:end])
        with pytest.raises(ModelError, match=r"net\.onnx"):
            read_model(path)


def test_damaged_files_are_read_or_refused_but_never_crash(tmp_path: Path) -> None:
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


def test_a_graph_that_fails_the_checker_is_refused(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.node[0].input[0] = "nowhere"
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        read_model(models.save(proto, tmp_path / "net.onnx"))


def test_the_size_limit_counts_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert read_model(path, max_bytes=total).external
    with pytest.raises(ModelError, match="more than the limit"):
        read_model(path, max_bytes=total - 1)
    with pytest.raises(ModelError, match="more than the limit"):
        read_model(path, max_bytes=10)


def test_external_data_counts_in_the_hash_and_is_not_loaded(tmp_path: Path) -> None:
    path = external(tmp_path)
    first = read_model(path)
    assert all(not tensor.raw_data for tensor in first.proto.graph.initializer)
    data = tmp_path / "net.onnx.data"
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert read_model(path).sha256 != first.sha256


def test_weights_in_other_files_are_loaded_into_a_copy(tmp_path: Path) -> None:
    model = read_model(external(tmp_path))
    before = model.proto.SerializeToString()
    found = {one.name: one for one in load_weights(model).graph.initializer}
    for one in models.convnet().graph.initializer:
        assert found[one.name].data_location == TensorProto.DEFAULT
        np.testing.assert_array_equal(
            numpy_helper.to_array(found[one.name]), numpy_helper.to_array(one)
        )
    assert model.proto.SerializeToString() == before


def test_weights_that_no_message_can_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_model(external(tmp_path))
    monkeypatch.setattr(load, "MAX_MESSAGE", 1000)
    with pytest.raises(ModelError, match=r"net.onnx: holds \d+ bytes .* may hold 1000"):
        load_weights(model)


def test_a_changed_file_is_another_and_holds_its_weights(tmp_path: Path) -> None:
    model = read_model(external(tmp_path))
    first, again, other = (model.changed(models.convnet(seed=seed)) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256 != model.sha256
    assert (first.path, first.external) == (model.path, False)


def test_missing_and_truncated_external_data_are_refused(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "net.onnx.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match="truncated"):
        read_model(path)
    data.unlink()
    with pytest.raises(ModelError, match="missing"):
        read_model(path)


@pytest.mark.parametrize("location", ["../secret", "a/../../secret", "/etc/hostname", "", "C:\\x"])
def test_external_data_outside_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\x00" * 10_000)
    with pytest.raises(ModelError, match="external data"):
        read_model(relocated(folder, location))


def test_external_data_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = external(folder)
    data = folder / "net.onnx.data"
    outside = data.rename(tmp_path / "outside")
    data.symlink_to(outside)
    with pytest.raises(ModelError, match="link"):
        read_model(path)
    data.unlink()
    data.hardlink_to(outside)
    with pytest.raises(ModelError, match="link"):
        read_model(path)
    data.unlink()
    inner = folder / "sub"
    inner.symlink_to(tmp_path)
    with pytest.raises(ModelError, match="link"):
        read_model(relocated_to(path, "sub/outside"))


def relocated_to(path: Path, location: str) -> Path:
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        tensor.external_data[0].value = location
    return models.save(proto, path)


def test_external_data_hidden_in_a_node_is_found(tmp_path: Path) -> None:
    tensor = TensorProto(name="k", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    made = models.model(
        [
            helper.make_node("Constant", [], ["k"], value=tensor),
            helper.make_node("ReduceMean", ["image"], ["m"], axes=[1, 2], keepdims=0),
            helper.make_node("Mul", ["m", "k"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 4, 4, 2])},
        {"scores": (TensorProto.FLOAT, ["N", 2])},
        check=False,
    )
    with pytest.raises(ModelError, match="external data"):
        read_model(models.save(made, tmp_path / "net.onnx"))


def test_initialisers_of_other_size_than_their_bytes_are_refused(tmp_path: Path) -> None:
    proto = models.convnet()
    proto.graph.initializer[0].dims[0] = 2**40
    with pytest.raises(ModelError, match="not a valid ONNX model"):
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
def test_real_models_are_read_and_all_their_shapes_known(name: str) -> None:
    model = read_model(shared(f"models/{name}"))
    made = [output for node in model.proto.graph.node for output in node.output]
    assert made
    assert all(model.shapes.count(output) is not None for output in made)


def test_shapes_are_those_that_onnx_infers_for_the_whole_graph() -> None:
    model = read_model(shared("models/mobilenet_v1_0.25_128_quant.onnx"))
    whole = onnx.shape_inference.infer_shapes(model.proto, data_prop=True)
    for value in whole.graph.value_info:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        assert np.array_equal(model.shapes.dims(value.name), dims)


def in_a_function(made: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all that it does in one local function, weights included."""
    weights = [
        helper.make_node("Constant", [], [one.name], value=one) for one in made.graph.initializer
    ]
    imports = [one for one in made.opset_import if not one.domain]
    body = [*weights, *made.graph.node]
    function = helper.make_function("mine", "Net", ["image"], ["scores"], body, imports)
    whole = onnx.ModelProto()
    whole.CopyFrom(made)
    del whole.graph.node[:]
    del whole.graph.initializer[:]
    whole.graph.node.append(helper.make_node("Net", ["image"], ["scores"], domain="mine"))
    whole.functions.append(function)
    whole.opset_import.append(helper.make_opsetid("mine", 1))
    return whole


def test_what_a_local_function_does_is_seen(tmp_path: Path) -> None:
    from onnxplain.describe.resolve import resolve_spec

    made = in_a_function(models.additive(models.weights((4, 4)), head="probabilities"))
    path = models.save(made, tmp_path / "net.onnx")
    model = read_model(path)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not model.proto.functions
    assert resolve_spec(model, {"range": (0, 1)}).head == "probabilities"


def test_an_output_that_says_no_shape_is_worked_out(tmp_path: Path) -> None:
    made = models.convnet()
    made.graph.output[0].type.tensor_type.ClearField("shape")
    path = models.save(made, tmp_path / "net.onnx")
    model = read_model(path)
    assert model.shapes.dims("scores") == (1, 5)
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (dim, _) = model.proto.graph.output[0].type.tensor_type.shape.dim
    assert not dim.dim_value
