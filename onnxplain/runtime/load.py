"""From a path to a classifier: read, describe, open, find out about batches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxplain.graph.spec import ModelSpec
from onnxplain.runtime import tuning
from onnxplain.runtime.classifier import Batch, Identity, OnnxClassifier
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session, open_session, version

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and which not every use needs
    from onnxplain.graph.load import ModelFile


def load_classifier(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    batch_size: int | None = None,
    flags: Mapping[str, Any] | None = None,
) -> OnnxClassifier:
    """Load an ONNX classifier.

    Parameters
    ----------
    path : path
        The ONNX file.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``tensorrt``. What is asked for runs, or
        it is an error; ``auto`` takes CUDA where there is a device for it.
    batch_size : int, optional
        Images a call; measured, and remembered in the cache folder, if not given.
    flags : mapping, optional
        What the file does not tell: fields of `ModelSpec`, ``labels``, ``preprocessing``.

    Raises
    ------
    ModelError
        If the file cannot be read, is no classifier, or is not described well enough.
    DeviceError
        If the device cannot be had.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.graph.load import read_model
    from onnxplain.graph.resolve import resolve_spec

    wanted = Device.parse(device)
    model = read_model(Path(path))
    return open_classifier(
        model, resolve_spec(model, flags or {}), device=wanted, batch_size=batch_size
    )


def open_classifier(
    model: ModelFile, spec: ModelSpec, *, device: Device, batch_size: int | None = None
) -> OnnxClassifier:
    """Open a model that was read and described; otherwise as `load_classifier`."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    source = model.path if model.external else model.proto.SerializeToString()
    session = open_session(source, device, name=model.path.name)
    fixed = next(one for one in session.inputs if one.name == spec.input).shape[0]
    batch = Batch(fixed, "as declared")
    workers = tuning.cores() if session.device.where == "cpu" else 1
    memory = tuning.Memory((model.sha256, str(session.device), version(), str(workers)))
    return OnnxClassifier(
        session,
        spec,
        Identity(model.path.name, model.sha256),
        batch,
        batch_size=batch.fixed or batch_size or _batch_size(session, spec, memory, workers),
        workers=workers,
        on_fall=memory.keep,
    )


def _batch_size(session: Session, spec: ModelSpec, memory: tuning.Memory, workers: int) -> int:
    """The fastest batch size, as remembered or measured now."""
    size = memory.recall()
    if size is None:
        size = tuning.choose(session, spec, workers=workers)
        memory.keep(size)
    return size
