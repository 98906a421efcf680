"""External data is read only from plain files inside the model's folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.external_data import list_external_files
from onnxplain.graph.load import load_weights, read_model
from tests.helpers import models


def save_external(folder: Path) -> Path:
    """Save a net whose tensors lie in ``net.onnx.data``."""
    return models.save(models.convnet(), folder / "net.onnx", external=True)


def relocate(path: Path, location: str) -> Path:
    """Make all tensors of a saved model say that they lie in `location`."""
    proto = onnx.load(path, load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    return models.save(proto, path)


def test_missing_and_truncated_external_data_are_errors(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    data = tmp_path / "net.onnx.data"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ModelError, match="truncated"):
        read_model(path)
    data.unlink()
    with pytest.raises(ModelError, match="missing"):
        read_model(path)


@pytest.mark.parametrize("location", ["../secret", "a/../../secret", "/etc/hostname", "", "C:\\x"])
def test_external_data_outside_the_folder_is_an_error(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\x00" * 10_000)
    with pytest.raises(ModelError, match="external data"):
        read_model(relocate(save_external(folder), location))


def test_external_data_that_is_a_link_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = save_external(folder)
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
        read_model(relocate(path, "sub/outside"))


def save_in_cache(folder: Path) -> Path:
    """Save a net as the Hugging Face cache holds it: names that are links to blobs."""
    cache = folder / "models--someone--net"
    snapshot, blobs = cache / "snapshots" / "abc" / "onnx", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    path = save_external(snapshot)
    for number, name in enumerate(("net.onnx", "net.onnx.data")):
        (snapshot / name).rename(blobs / str(number))
        (snapshot / name).symlink_to(f"../../../blobs/{number}")
    return path


def test_links_to_the_blobs_of_a_hugging_face_cache_are_followed(tmp_path: Path) -> None:
    path = save_in_cache(tmp_path)
    (tmp_path / "plain").mkdir()
    plain = read_model(save_external(tmp_path / "plain"))
    linked = read_model(path)
    assert linked.sha256 == plain.sha256
    assert not linked.external
    assert linked.proto.graph.node == plain.proto.graph.node
    whole = load_weights(plain).graph.initializer
    for own, other in zip(linked.proto.graph.initializer, whole, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(own), numpy_helper.to_array(other))


def test_links_out_of_the_cache_are_errors(tmp_path: Path) -> None:
    path = save_in_cache(tmp_path)
    data = path.parent / "net.onnx.data"
    outside = data.resolve().rename(tmp_path / "outside")
    data.unlink()
    data.symlink_to(outside)
    with pytest.raises(ModelError, match="is a link"):
        read_model(path)
    blob = tmp_path / "models--someone--net" / "blobs" / "1"
    blob.symlink_to(outside)  # a blob that is a link leads out as well
    data.unlink()
    data.symlink_to(blob)
    with pytest.raises(ModelError, match="is a link"):
        read_model(path)
    other = tmp_path / "models--other" / "blobs"
    other.mkdir(parents=True)
    data.unlink()
    data.symlink_to(outside.rename(other / "1"))
    with pytest.raises(ModelError, match="is a link"):
        read_model(path)


def test_external_data_of_a_constant_node_is_found(tmp_path: Path) -> None:
    tensor = TensorProto(name="k", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    proto = models.model(
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
        read_model(models.save(proto, tmp_path / "net.onnx"))


def test_each_external_file_is_listed_once_in_order_of_name(tmp_path: Path) -> None:
    path = save_external(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for number, tensor in enumerate(proto.graph.initializer):
        location = f"part{number % 2}"
        (tmp_path / location).write_bytes(bytes(10_000))
        tensor.external_data[0].value = location
    assert list_external_files(proto, path) == [tmp_path / "part0", tmp_path / "part1"]
    assert list_external_files(models.convnet(), path) == []


@pytest.mark.parametrize("value", ["many", "1.5"])
def test_offset_that_is_not_a_number_is_an_error(value: str, tmp_path: Path) -> None:
    path = save_external(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.initializer[0].external_data.add(key="offset", value=value)
    with pytest.raises(ModelError, match="external data of 'w1' has an offset or length"):
        list_external_files(proto, path)


def test_zero_in_the_name_of_external_data_is_an_error(tmp_path: Path) -> None:
    proto = models.convnet()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="a\0b")
    with pytest.raises(ModelError, match=r"net\.onnx: its external data .* is missing"):
        read_model(models.save(proto, tmp_path / "net.onnx"))
