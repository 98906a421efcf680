"""From a path to a classifier: read and describe the file, test batches, open a session."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from onnxplain.core.cores import count_cores
from onnxplain.core.data import Size
from onnxplain.core.errors import ModelError
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime import tuning
from onnxplain.runtime.batch_support import BatchSupport, find_batch_support, open_batched
from onnxplain.runtime.classifier import ModelIdentity, OnnxClassifier
from onnxplain.runtime.composing.composer import Composer
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.origin import Origin, make_origin
from onnxplain.runtime.seen_head import settle_head
from onnxplain.runtime.session import Session

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile
    from onnxplain.runtime.gradient import ModelInside

log = logging.getLogger(__name__)

ComposingPlace: TypeAlias = Literal["auto", "host", "graph"]


def load_classifier(
    path: str | os.PathLike[str] | bytes,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    tf32: bool = False,
    flags: Mapping[str, Any] | None = None,
    compose: ComposingPlace = "auto",
) -> OnnxClassifier:
    """Load an ONNX classifier.

    Parameters
    ----------
    path : path or bytes
        The ONNX file, or its content.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. The device asked for runs, or an error is
        raised; ``auto`` takes CUDA where there is a device for it.
    batch_size : int, optional
        Images per call; if not given, it is measured and remembered in the cache folder.
    tf32 : bool
        Whether a GPU may multiply with 10 bits of mantissa for scores. Faster, but differences of
        scores below 1e-3 are then of no account. Gradients never do.
    flags : mapping, optional
        What the file does not say: fields of `ModelSpec`, ``labels``, ``preprocessing``.
    compose : {'auto', 'host', 'graph'}
        Where masks are composed: in NumPy, or in graphs on the device. ``auto`` takes graphs
        on GPUs; on CPU they are no faster.

    Raises
    ------
    ModelError
        If the file cannot be read, is no classifier, or is not described well enough.
    DeviceError
        If the device is not available.
    ValueError
        If an argument is out of range.
    """
    return describe_file(
        path, device=device, batch_size=batch_size, tf32=tf32, flags=flags, compose=compose
    ).open()


@dataclass(frozen=True, eq=False)
class DescribedClassifier:
    """A classifier that was read and described, and has not run yet.

    Parameters
    ----------
    class_names : tuple of str
        A name for every class.
    size : (rows, columns)
        The size of its images.
    open : callable
        Returns the classifier; this sees what its scores are, tests batches and measures their
        size, which may take a minute.
    """

    class_names: tuple[str, ...]
    size: Size
    open: Callable[[], OnnxClassifier]


def describe_file(
    path: str | os.PathLike[str] | bytes,
    *,
    device: str = "auto",
    batch_size: int | None = None,
    tf32: bool = False,
    flags: Mapping[str, Any] | None = None,
    compose: ComposingPlace = "auto",
) -> DescribedClassifier:
    """Read and describe an ONNX classifier, without running it; see `load_classifier`."""
    from onnxplain.describe.resolve import resolve_spec
    from onnxplain.graph.adapting import read_classifier

    parsed = Device.parse(device)
    _check_batch_size(batch_size)
    model = read_classifier(path)
    described = resolve_spec(model, flags or {})
    origin = make_origin(
        load_classifier,
        path,
        {"device": device, "flags": dict(flags or {}), "tf32": tf32, "compose": compose},
        model.sha256,
    )

    def open_described() -> OnnxClassifier:
        return open_classifier(
            model,
            settle_head(model, described),
            device=parsed,
            batch_size=batch_size,
            tf32=tf32,
            compose=compose,
            origin=origin,
        )

    return DescribedClassifier(described.class_names, described.size, open_described)


def open_classifier(
    model: ModelFile,
    spec: ModelSpec,
    *,
    device: Device,
    batch_size: int | None = None,
    tf32: bool = False,
    compose: ComposingPlace = "auto",
    origin: Origin | None = None,
) -> OnnxClassifier:
    """Open a model that was read and described before; see `load_classifier`."""
    opened = open_model(model, spec, device=device, batch_size=batch_size, tf32=tf32)
    return opened.make_classifier(spec, compose=compose, origin=origin)


@dataclass(frozen=True, eq=False)
class OpenedModel:
    """A model that runs, in batches of a size; made by `open_model`."""

    model: ModelFile
    session: Session
    batch: BatchSupport
    batch_size: int
    workers: int

    def make_classifier(
        self,
        spec: ModelSpec,
        *,
        compose: ComposingPlace = "auto",
        origin: Origin | None = None,
    ) -> OnnxClassifier:
        """Make a classifier of it that feeds pixels and reads scores as described.

        Several may share the model if they differ in nothing else.
        """
        model, session = self.model, self.session
        return OnnxClassifier(
            session,
            spec,
            ModelIdentity(model.path.name, model.sha256),
            self.batch,
            batch_size=self.batch_size,
            workers=self.workers,
            open_inside=lambda batch_size: _open_inside(model, spec, session.device, batch_size),
            # Of an image that must be alone, only the host fills all rows of a call.
            composer=_make_composer(session, spec, "host" if self.batch.alone else compose),
            origin=origin,
        )


def open_model(
    model: ModelFile,
    spec: ModelSpec,
    *,
    device: Device,
    batch_size: int | None = None,
    tf32: bool = False,
) -> OpenedModel:
    """Open a session, and test and measure its batches, unless a size is given."""
    _check_batch_size(batch_size)
    batch = find_batch_support(model, spec)
    if batch_size is not None and batch.images not in (None, batch_size):
        raise ModelError(
            f"{model.path.name}: batch size {batch_size} was asked for, but the model runs with "
            f"{batch.images} only ({batch.text}); leave out the batch size"
        )
    if batch.random:
        log.warning("%s: %s", model.path.name, batch.text)

    def open_again() -> Session:
        return open_batched(model, spec, batch, device, tf32=tf32)

    session = open_again()
    if tf32 and not session.tf32:
        log.warning("%s: tf32 changes nothing, as it runs on the CPU", model.path.name)
    workers = count_cores() if session.device.where == "cpu" else 1
    identity = model.sha256, "x".join(map(str, spec.size))
    size = (
        batch.images
        or batch_size
        or tuning.find_batch_size(
            session, tuning.Trial.of(spec), identity, open_again, workers=workers
        )
    )
    return OpenedModel(model, session, batch, size, workers)


def _check_batch_size(batch_size: int | None) -> None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")


def _make_composer(session: Session, spec: ModelSpec, compose: ComposingPlace) -> Composer:
    if compose == "graph" or (compose == "auto" and session.device.where != "cpu"):
        from onnxplain.runtime.composing.device_composer import (
            DeviceComposer,  # it imports onnx, as above
        )

        return DeviceComposer(session, spec)
    return HostComposer(ModelSpace.of(spec))


def _open_inside(model: ModelFile, spec: ModelSpec, device: Device, batch_size: int) -> ModelInside:
    from onnxplain.runtime.gradient import ModelInside  # it imports onnx, as above

    return ModelInside(model, spec, device, batch_size)
