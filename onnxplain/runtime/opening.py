"""From a path to a classifier: read, describe, find out about batches, open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from onnxplain.cache import recall, remember
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime import tuning
from onnxplain.runtime.batch_support import find_batch_support, open_batched
from onnxplain.runtime.classifier import ModelIdentity, OnnxClassifier
from onnxplain.runtime.device import Device
from onnxplain.runtime.session import Session, get_ort_version

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and which not every use needs
    from onnxplain.graph.load import ModelFile
    from onnxplain.runtime.gradient import OnnxGradients

Compose: TypeAlias = Literal["auto", "host", "graph"]


def load_classifier(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    batch_size: int | None = None,
    flags: Mapping[str, Any] | None = None,
    compose: Compose = "auto",
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
    compose : {'auto', 'host', 'graph'}
        Where masks are composed: in NumPy, or in graphs on the device. By itself, graphs on
        GPUs; on CPU they are no faster.

    Raises
    ------
    ModelError
        If the file cannot be read, is no classifier, or is not described well enough.
    DeviceError
        If the device cannot be had.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.load import read_model

    wanted = Device.parse(device)
    model = read_model(Path(path))
    spec = resolve_spec(model, flags or {})
    return open_classifier(model, spec, device=wanted, batch_size=batch_size, compose=compose)


def open_classifier(
    model: ModelFile,
    spec: ModelSpec,
    *,
    device: Device,
    batch_size: int | None = None,
    compose: Compose = "auto",
) -> OnnxClassifier:
    """Open a model that was read and described; otherwise as `load_classifier`."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    batch = find_batch_support(model, spec)
    if batch_size is not None and batch.fixed not in (None, batch_size):
        raise ModelError(
            f"{model.path.name}: batch size {batch_size} was asked for, but it runs with "
            f"{batch.fixed} only ({batch.text}); leave the batch size away"
        )
    session = open_batched(model, spec, batch, device)
    on_cpu = session.device.where == "cpu"
    workers = tuning.count_cores() if on_cpu else 1
    size = "x".join(map(str, spec.size))
    key = model.sha256, size, str(session.device), get_ort_version(), str(workers)
    composer = None
    if compose == "graph" or (compose == "auto" and not on_cpu):
        from onnxplain.runtime.composing.device import DeviceComposer

        composer = DeviceComposer(session, spec)
    return OnnxClassifier(
        session,
        spec,
        ModelIdentity(model.path.name, model.sha256),
        batch,
        batch_size=batch.fixed or batch_size or _batch_size(session, spec, key, workers),
        workers=workers,
        # A size that was asked for says nothing about which is the fastest.
        on_fall=lambda size: None if batch_size else _keep(key, size),
        composer=composer,
        differentiate=lambda batch_size: _gradients(model, spec, session.device, batch_size),
    )


def _gradients(model: ModelFile, spec: ModelSpec, device: Device, batch_size: int) -> OnnxGradients:
    from onnxplain.runtime.gradient import OnnxGradients  # it imports onnx, as above

    return OnnxGradients(model, spec, device, batch_size)


def _batch_size(session: Session, spec: ModelSpec, key: tuple[str, ...], workers: int) -> int:
    """The fastest batch size, as remembered or measured now."""
    known = recall("batch-size", key)
    if known is not None:
        return int(known["batch_size"])
    size = tuning.choose_batch_size(session, spec, workers=workers)
    _keep(key, size)
    return size


def _keep(key: tuple[str, ...], size: int) -> None:
    remember("batch-size", key, {"batch_size": size})
