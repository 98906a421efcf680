"""Helpers of the tests of metrics: small nets and maps, one flow on the engine, the stub.

``python -m tests.helpers.metrics`` writes `onnxplain/metrics/functions.pyi` anew.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxplain.core.data import Box, Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.metrics import functions
from tests.helpers.nets import Net, Picture

# An image and heatmaps for the metrics that look at boxes.
BOX_SIZE = (12, 15)
BOX_IMAGE = np.random.default_rng(3).random((*BOX_SIZE, 3), np.float32)
BOX_HEATMAPS = arrays(
    np.float32, BOX_SIZE, elements=st.integers(-8, 8).map(lambda n: np.float32(n / 4))
)
OBJECT = Box(2, 3, 9, 12)

STUB = Path(functions.__file__).with_suffix(".pyi")
STUB_HEAD = '''\
"""The signatures of `functions.py`, written by ``python -m tests.helpers.metrics``."""

from collections.abc import Callable, Sequence
from typing import Literal

from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Images
from onnxplain.core.protocols import Classifier, Fill
from onnxplain.metrics.base import MetricResult
from onnxplain.metrics.fills.filling import Distance
from onnxplain.metrics.judging import AnyClassifier
from onnxplain.subjects import ImageSource

'''


def brightness(images):
    """Score class 1 by the mean of all pixels."""
    score = images.mean(axis=(1, 2, 3), dtype=np.float64)
    return np.stack([1 - score, score], axis=1)


def brightness_inside(images):
    """Score class 1 by the mean of an object at rows 4 to 12 and columns 5 to 13."""
    return brightness(images[:, 4:12, 5:13])


def make_two_maps():
    """Return two smooth maps of 224 x 224 pixels."""
    rng = np.random.default_rng(11)
    return rng.normal(size=(2, 224, 224)).cumsum(axis=2).cumsum(axis=1) / 500


def make_bump(row, column, width=3.0):
    """Return a heatmap of `BOX_SIZE` that falls off from its maximum at a pixel."""
    rows, columns = np.ogrid[: BOX_SIZE[0], : BOX_SIZE[1]]
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / width**2).astype(np.float32)


def judge_with_net(
    metric, function, image, heatmap, *, boxes=(), fill=None, batch_size=4, target=1
):
    """Return the score that a metric gives for a NumPy classifier."""
    case = Case("photo", image, target, boxes=tuple(boxes))
    flow = metric.flow(case, heatmap, make_rng(0, "photo", metric.name))
    net = Net(function, case.size, batch_size=batch_size)
    (outcome,) = run(net, [Job((case,), (flow,), fill or Picture(0.0))])
    if outcome.error:
        raise outcome.error
    (score,) = outcome.values
    assert outcome.evaluations <= metric.evaluations(case.size)
    return score


def list_functions():
    """Return the functions made from metrics, by name."""
    return {
        name: value
        for name, value in vars(functions).items()
        if getattr(value, "__module__", None) == functions.__name__
    }


def make_stub():
    """Return the text of the stub, from the signatures at run time."""
    return STUB_HEAD + "".join(
        _declare(name, inspect.signature(function)) for name, function in list_functions().items()
    )


def _declare(name, signature):
    lines, parameters = [f"def {name}("], list(signature.parameters.values())
    first_keyword = next(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    for parameter in parameters:
        star = ["    *,"] if parameter.name == first_keyword else []
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines += [*star, f"    {parameter.name}: {parameter.annotation}{default},"]
    return "\n".join([*lines, f") -> {signature.return_annotation}: ...\n"]).replace("'", '"')


if __name__ == "__main__":
    STUB.write_text(make_stub(), encoding="utf-8")
