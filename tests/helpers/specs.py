"""Classifiers for tests: specifications of the tiny graphs, and sessions on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from onnxplain.core.spec import ModelSpec
from onnxplain.runtime.batch_support import BatchSupport
from onnxplain.runtime.classifier import ModelIdentity, OnnxClassifier
from onnxplain.runtime.composing.device_composer import DeviceComposer
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient import ModelInside
from onnxplain.runtime.session import Session, open_session

SIZE = (12, 10)

# Arguments of `tests.helpers.models.additive` and `encode` for every kind of input.
CONVENTIONS: dict[str, dict[str, Any]] = {
    "nchw": {},
    "nhwc": {"layout": "nhwc"},
    "bgr": {"colour": "bgr", "mean": (0.41, 0.44, 0.46), "std": (1.0, 0.9, 0.8)},
    "normalised": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "range 255": {"range": (0, 255), "mean": (127.0,) * 3, "std": (128.0,) * 3},
    "grey nhwc": {"layout": "nhwc", "colour": "grey", "range": (-1, 1)},
    "grey nchw": {"colour": "grey"},
    "float16": {"dtype": "float16"},
    "uint8 nhwc": {"layout": "nhwc", "dtype": "uint8", "range": (0, 255)},
    "uint8 nchw": {"dtype": "uint8", "range": (0, 255)},
}


def spec_of(
    *,
    size: tuple[int, int] = SIZE,
    classes: int = 3,
    head: str = "logits",
    output_scale: tuple[float, float] = (1.0, 0.0),
    **convention: Any,
) -> ModelSpec:
    """The specification of a tiny graph; conventions as in `CONVENTIONS`."""
    channels = 1 if convention.get("colour") == "grey" else 3
    return ModelSpec(
        input="image",
        output="scores",
        layout=convention.get("layout", "nchw"),
        colour=convention.get("colour", "rgb"),
        dtype=convention.get("dtype", "float32"),
        range=convention.get("range", (0, 1)),
        mean=tuple(convention.get("mean", (0.0,) * channels)),
        std=tuple(convention.get("std", (1.0,) * channels)),
        size=size,
        fit="crop",
        resize=size,
        interpolation="bilinear",
        border=(0, 0, 0),
        centre="round",
        head=head,  # type: ignore[arg-type]  # the tests pass literals
        output_scale=output_scale,
        class_names=tuple(f"class {k}" for k in range(classes)),
    )


def session_of(model: ModelProto) -> Session:
    """A session of a model on CPU."""
    return open_session(model.SerializeToString(), Device("cpu"), name="tiny.onnx")


def _refuse_gradients(batch_size: int) -> ModelInside:
    raise AssertionError("this test asks for no gradients")


def classifier_of(
    model: ModelProto,
    spec: ModelSpec,
    *,
    batch_size: int = 4,
    fixed: int | None = None,
    workers: int = 1,
    on_device: bool = False,
) -> OnnxClassifier:
    """A classifier that runs a model on CPU; `on_device`: mask graphs compose its input."""
    session = session_of(model)
    return OnnxClassifier(
        session,
        spec,
        ModelIdentity("tiny.onnx", "0" * 64),
        BatchSupport(fixed, "as the test says"),
        batch_size=batch_size,
        workers=workers,
        open_inside=_refuse_gradients,
        composer=(
            DeviceComposer(session, spec) if on_device else HostComposer(ModelSpace.of(spec))
        ),
    )


def photos(n: int, size: tuple[int, int] = SIZE, seed: int = 1) -> np.ndarray[Any, Any]:
    """Random images (N, H, W, 3) of 8-bit values, as photos are."""
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (n, *size, 3)) / 255).astype(np.float32)
