"""Gradients of random networks: they are those of finite differences in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxplain
from onnxplain.core.errors import OnnxplainError
from tests.fuzz.dags import SIDE, draw_network
from tests.fuzz.models import FLAGS
from tests.fuzz.mutations import check_refusal
from tests.helpers import models

Rng = np.random.Generator

STEPS = (1e-4, 3e-5, 1e-5)


def try_case(rng: Rng, folder: Path) -> str:
    """Draw a network; the slope of a logit in a random direction is that of its gradient."""
    proto = draw_network(rng)
    path = folder / "dag.onnx"
    models.save(proto, path)
    image = rng.random((1, SIDE, SIDE, 3)).astype(np.float32)
    direction = rng.normal(size=image.shape)
    try:
        classifier = onnxplain.load(path, head="logits", batch_size=1, **FLAGS)
        target = np.zeros(1, np.int64)
        _, gradient = classifier.gradients().score_grads(image, target, "logit")
    except OnnxplainError as error:
        return check_refusal(error, path.name)
    wide = ReferenceEvaluator(_widen(proto))

    def score(step: float) -> float:
        moved = (image + step * direction).transpose(0, 3, 1, 2)
        return float(wide.run(None, {"image": moved})[0][0, 0])

    with np.errstate(all="ignore"):
        sides = [(score(s) - score(0), score(0) - score(-s)) for s in STEPS]
    slopes = np.array(sides) / np.array(STEPS)[:, None]
    scale = max(float(np.abs(gradient * direction).sum()), float(np.abs(slopes).max()), 1e-3)
    if np.ptp(slopes) > 1e-2 * scale:  # a kink, where there is no gradient
        return "right"
    got = float((gradient * direction).sum())
    assert abs(got - slopes[-1].mean()) <= 2e-2 * scale, (got, slopes, scale)
    return "right"


def _widen(proto: ModelProto) -> ModelProto:
    wide = ModelProto()
    wide.CopyFrom(proto)
    for value in (*wide.graph.input, *wide.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in wide.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return wide
