"""What a model stores fits its declaration, or is an error that names the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxplain.core.errors import ModelError
from onnxplain.graph.load import read_model
from onnxplain.graph.stored import check_stored
from tests.helpers import models


def shorten(tensor: TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-1]


def forget_numbers(tensor: TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0, 2.0])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda tensor: setattr(tensor, "data_type", TensorProto.DOUBLE), r"has \d+ bytes, not"),
        (lambda tensor: setattr(tensor, "data_type", TensorProto.STRING), r"has \d+ bytes, not"),
        (lambda tensor: setattr(tensor, "data_type", 99), "is of the unknown type 99"),
        (lambda tensor: setattr(tensor, "data_type", 0), "is of the unknown type 0"),
        (lambda tensor: tensor.dims.append(7), r"has \d+ bytes, not"),
        (lambda tensor: tensor.dims.append(-1), "has the dimensions"),
        (shorten, r"has \d+ bytes, not"),
        (forget_numbers, "has 2 numbers, not"),
    ],
)
def test_tensor_whose_bytes_do_not_fit_is_an_error_of_the_file(
    damage: Callable[[TensorProto], None], reason: str, tmp_path: Path
) -> None:
    proto = models.convnet()
    damage(proto.graph.initializer[0])
    path = models.save(proto, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match=rf"odd\.onnx: the stored tensor '.*' .*{reason}"):
        read_model(path)


@pytest.mark.parametrize(
    "kind", [one for one in helper.get_all_tensor_dtypes() if one != TensorProto.STRING]
)
@pytest.mark.parametrize("raw", [True, False])
def test_right_tensors_of_every_type_are_accepted(kind: int, raw: bool) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    values = np.array([0, 1, 1, 0, 1]).astype(dtype)
    if raw:
        tensor = numpy_helper.from_array(values, "t")
        assert tensor.HasField("raw_data")
    else:
        tensor = helper.make_tensor("t", kind, [5], values)
    proto = models.convnet()
    proto.graph.initializer.append(tensor)
    check_stored(proto, "fine.onnx")


def test_texts_are_accepted() -> None:
    proto = models.convnet()
    proto.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [2], ["a", "b"]))
    check_stored(proto, "fine.onnx")


def test_a_split_into_more_outputs_than_it_has_is_not_counted_out(tmp_path: Path) -> None:
    """ONNX's shape inference makes a list as long as it says: 8 GB for 2^30."""
    proto = models.model(
        [
            helper.make_node("Split", ["image"], ["part"], name="halves", num_outputs=2**30),
            helper.make_node("Flatten", ["part"], ["scores"]),
        ],
        {"image": (TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (TensorProto.FLOAT, None)},  # so that it is inferred on reading
        {},
        opset=18,
        check=False,
    )
    path = models.save(proto, tmp_path / "bomb.onnx")
    began = time.process_time()
    with pytest.raises(ModelError, match=r"bomb\.onnx: the operator Split 'halves' has 1 outputs"):
        read_model(path)
    assert time.process_time() - began < 2
