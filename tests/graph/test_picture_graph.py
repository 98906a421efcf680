"""The graph that makes pictures computes what the host does, to the bit on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from onnxplain.graph.picture_graph import build_copy_graph, build_picture_graph
from onnxplain.runtime.inpainters.encoding import decode_pixels

SIZE = (9, 7)
RNG = np.random.default_rng(0)


def run(
    model: onnx.ModelProto, feeds: dict[str, NDArray[Any]], outputs: list[str]
) -> list[NDArray[Any]]:
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(outputs, feeds)


def make_feeds(raw: NDArray[Any]) -> dict[str, NDArray[Any]]:
    image = RNG.random((1, *SIZE, 3), np.float32)
    return {"raw": raw, "holes": RNG.random((len(raw), *SIZE)) < 0.5, "image": image}


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("inner", [SIZE, (12, 8)])
@pytest.mark.parametrize("span", [(0, 1), (-1, 1), (0, 255)])
@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_holes_hold_what_is_painted_and_other_pixels_the_image(
    layout: Any, colour: Any, span: Any, inner: tuple[int, int], dtype: str
) -> None:
    low, high = span
    numbers = RNG.uniform(low - 0.2, high + 0.2, (4, *inner, 3))  # some are beyond black and white
    raw = np.clip(numbers, 0, 255).astype(dtype) if dtype == "uint8" else numbers.astype(dtype)
    decoded = decode_pixels(raw.astype(np.float32), span, colour)[:, : SIZE[0], : SIZE[1]]
    feeds = make_feeds(raw if layout == "nhwc" else raw.transpose(0, 3, 1, 2))
    graph = build_picture_graph(layout, raw.dtype, SIZE, span=span, reverse=colour == "bgr")
    pictures, fault = run(graph, feeds, ["pictures", "fault"])
    expected = np.where(feeds["holes"][..., None], np.clip(decoded, 0, 1), feeds["image"])
    np.testing.assert_array_equal(pictures, expected)
    assert fault == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_is_a_fault(value: float) -> None:
    raw = RNG.random((3, 3, *SIZE), np.float32)
    raw[1, 2, 4, 5] = value
    graph = build_picture_graph("nchw", np.float32, SIZE)
    (fault,) = run(graph, make_feeds(raw), ["fault"])
    assert fault == 1


def test_copies_are_equal() -> None:
    pictures = RNG.random((2, *SIZE, 3), np.float32)
    (copy,) = run(build_copy_graph(), {"pictures": pictures}, ["copy"])
    np.testing.assert_array_equal(copy, pictures)
