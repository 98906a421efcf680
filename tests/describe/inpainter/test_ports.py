"""The graph of an inpainter tells its inputs, its output, and their forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from onnxplain.core.errors import InpainterError
from onnxplain.describe.inpainter.ports import Port, has_picture_output, read_ports
from tests.helpers import models, painters
from tests.helpers.described import save_and_read


@pytest.mark.parametrize(
    ("dims", "may", "surely"),
    [
        (None, True, False),
        ((None, None, None, None), True, False),
        ((1, 3, 64, 64), True, True),
        ((None, 64, None, 3), True, True),
        ((1, 4, None, None), False, False),
        ((1, None, 64, 64), True, False),
        ((1, 3, 64), False, False),
    ],
)
def test_port_has_three_channels_by_its_dims(
    dims: tuple[int | None, ...] | None, may: bool, surely: bool
) -> None:
    port = Port("image", "float32", dims)
    assert (port.may_have(3), port.surely_has(3)) == (may, surely)


def test_picture_output_tells_an_inpainter_from_a_classifier(tmp_path: Path) -> None:
    assert has_picture_output(save_and_read(models.inpainter("mean"), tmp_path))
    assert not has_picture_output(save_and_read(models.convnet(), tmp_path))
    assert not has_picture_output(save_and_read(models.segmenter(), tmp_path))


def test_separate_inputs_are_told_apart_by_their_channels(tmp_path: Path) -> None:
    facts = read_ports(
        save_and_read(models.inpainter("mean", (64, "W")), tmp_path), {"size": (64, 80)}
    )
    expected = {
        "pack": "separate",
        "image_input": "image",
        "mask_input": "mask",
        "output": "output",
        "dtype": "float32",
        "mask_dtype": "float32",
        "layout": "nchw",
        "output_layout": "nchw",
        "axis": None,
        "size": (64, 80),
        "mask_channels": 1,
    }
    assert {name: facts[name] for name in expected} == expected


def test_fixed_batch_and_size_are_read_from_the_graph(tmp_path: Path) -> None:
    facts = read_ports(save_and_read(painters.lama(), tmp_path), {})
    assert (facts["axis"], facts["size"]) == (1, (512, 512))


def test_input_twice_as_large_as_the_output_holds_image_and_mask_side_by_side(
    tmp_path: Path,
) -> None:
    facts = read_ports(save_and_read(painters.deepfill_server(), tmp_path), {})
    assert (facts["pack"], facts["layout"]) == ("width", "nhwc")
    assert facts["image_input"] == facts["mask_input"]


def test_element_types_are_read_from_the_graph(tmp_path: Path) -> None:
    proto = painters.separate(
        dtype=TensorProto.UINT8, mask_dtype=TensorProto.BOOL, layout="nhwc", mask_axis=False
    )
    facts = read_ports(save_and_read(proto, tmp_path), {})
    assert (facts["dtype"], facts["mask_dtype"]) == ("uint8", "bool")
    assert (facts["layout"], facts["mask_channels"]) == ("nhwc", 0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"output": "x"}, "has no output 'x'; its outputs: 'output'"),
        ({"mask_input": "x"}, "has no input 'x'; its inputs: 'image'"),
        ({"image_input": "mask"}, "no inpainter: its image input would be"),
        ({"pack": "width"}, r"pack 'width' is said, which takes one input.*pack = 'separate'"),
    ],
)
def test_error_on_fields_that_do_not_fit_the_graph_lists_what_there_is(
    given: dict[str, Any], says: str, tmp_path: Path
) -> None:
    model = save_and_read(models.inpainter("mean", (16, 16)), tmp_path)
    with pytest.raises(InpainterError, match=says):
        read_ports(model, given)


def test_inputs_of_unknown_types_are_an_error_that_lists_them(tmp_path: Path) -> None:
    proto = models.inpainter("mean", (16, 16))
    model = save_and_read(proto, tmp_path)
    model.proto.graph.input[0].type.tensor_type.elem_type = 99
    with pytest.raises(InpainterError, match="of unknown type"):
        read_ports(model, {})
