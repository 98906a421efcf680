"""The graph that makes an inpainter's inputs makes those of the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxplain.describe.inpainter.inpainter_spec import InpainterSpec
from onnxplain.runtime.inpainters.encoding import encode_inputs
from onnxplain.runtime.inpainters.fitting import blank_holes
from onnxplain.runtime.inpainters.input_graph import IMAGE, MASK, build_input_graph

SIZE = (10, 7)
NORM = {"mean": (0.4, 0.45, 0.5), "std": (0.2, 0.25, 0.3)}
SPECS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nhwc": {"layout": "nhwc"},
    "bgr, mean and deviation": {"colour": "bgr", **NORM},
    "bytes": {"dtype": "uint8", "range": (0, 255), "mask_dtype": "uint8", "hole": 0, "known": 255},
    "float16": {"dtype": "float16", "range": (-1, 1), "mask_dtype": "float16"},
    "mask of bool, no channels": {"mask_dtype": "bool", "mask_channels": 0},
    "mask of integers, 3 channels": {"mask_dtype": "int64", "mask_channels": 3, "layout": "nhwc"},
    "blank in its own units": {"premultiply": True, **NORM},
    "channels": {"pack": "channels", "channels": "mask,image", "hole": -0.5, "known": 0.5},
    "channels with ones": {"pack": "channels", "channels": "image,ones,mask", "layout": "nhwc"},
    "side by side": {"pack": "width", "range": (0, 255), "hole": 255, "layout": "nhwc"},
    "image alone": {"pack": "image", "range": (-1, 1)},
}


@pytest.mark.parametrize("name", SPECS)
def test_inputs_are_those_of_the_host(name: str) -> None:
    spec = InpainterSpec(**SPECS[name])
    rng = np.random.default_rng(0)
    image, holes = rng.random((1, *SIZE, 3), np.float32), rng.random((4, *SIZE)) < 0.4
    holes[1], holes[2] = False, True  # nothing is a hole, and nothing is known
    images = np.repeat(image, 4, axis=0)
    expected = list(encode_inputs(spec, blank_holes(images, holes), holes).values())
    content = build_input_graph(spec)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    outputs = [IMAGE, MASK] if spec.pack == "separate" else [IMAGE]
    assert {output.name for output in session.get_outputs()} == set(outputs)
    inputs = session.run(outputs, {"picture": image, "holes": holes})
    for got, wanted in zip(inputs, expected, strict=True):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        # The mean of the known pixels is added up in another order.
        tolerance = {"float16": 1e-3, "uint8": 1}.get(got.dtype.name, 1e-6)
        np.testing.assert_allclose(
            got.astype(np.float64), wanted.astype(np.float64), rtol=1e-6, atol=tolerance
        )
