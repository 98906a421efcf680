"""Classifiers from ONNX files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from onnxplain.core.data import Image, Images, Outputs, Preprocessing, Scores, Size
from onnxplain.core.errors import ModelError
from onnxplain.core.protocols import Differentiable, Part
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime import head, tuning
from onnxplain.runtime.batch_support import BatchSupport
from onnxplain.runtime.composing.host import HostComposer, Planes
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.runner import Runner
from onnxplain.runtime.session import Session, get_ort_version

if TYPE_CHECKING:  # it imports onnx, which takes a while and is needed on a GPU only
    from onnxplain.runtime.composing.device import DeviceComposer, DevicePlanes


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What results say of a model: its name and the sha256 of its file."""

    name: str
    sha256: str


@final
class OnnxClassifier:
    """A `Classifier` that runs an ONNX graph; made by `load_classifier`.

    Parameters
    ----------
    session : Session
        The loaded graph.
    spec : ModelSpec
        How to feed it and read its answer.
    identity : Identity
        Name and sha256.
    batch : Batch
        Which batch sizes the graph takes.
    batch_size : int
        Images a call.
    workers : int
        Calls side by side.
    on_fall : callable
        Told the new batch size when memory has run out.
    differentiate : callable
        Makes its gradients for a batch size.
    composer : DeviceComposer, optional
        Composes masks on the session's device; NumPy does if it is not given.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        identity: ModelIdentity,
        batch: BatchSupport,
        *,
        batch_size: int,
        workers: int,
        on_fall: Callable[[int], None],
        differentiate: Callable[[int], Differentiable],
        composer: DeviceComposer | None = None,
    ) -> None:
        self.spec = spec
        self.batch = batch
        self.workers = workers
        self._identity = identity
        self._session = session
        self._device = composer
        self._differentiate = differentiate
        self._gradients: Differentiable | ModelError | None = None
        self._differentiating = threading.Lock()
        self._host = HostComposer(ModelSpace.of(spec))
        self._runner = Runner(
            session, spec, batch_size, fixed=batch.fixed is not None, on_fall=on_fall
        )

    @property
    def size(self) -> Size:
        """Rows and columns of the images it takes."""
        return self.spec.size

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photo is brought to that size."""
        return self.spec.preprocessing

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every class, in the order of the scores."""
        return self.spec.class_names

    @property
    def outputs(self) -> Outputs:
        """What the scores are: logits or probabilities."""
        return head.get_outputs(self.spec)

    @property
    def batch_size(self) -> int:
        """Images a call should hold; it falls when memory runs out."""
        return self._runner.batch_size

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, the preferred one first."""
        return self._session.providers

    @property
    def placement(self) -> Mapping[str, int]:
        """How many nodes of the optimised graph each provider runs."""
        return self._session.placement

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran: model, sha256, provider, versions; for the record of a result."""
        return {
            "model": self._identity.name,
            "sha256": self._identity.sha256,
            "device": str(self._session.device),
            "provider": self.providers[0],
            "tf32": self._session.tf32,
            "onnxruntime": get_ort_version(),
            "batch": self.batch.text,
            "batch_size": self.batch_size,
            "workers": self.workers,
            "composed_by": "graph" if self._device else "host",
            "preprocessing": self.spec.describe(),
        }

    def scores(self, images: Images) -> Scores:
        """Raw scores (N, K) of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ValueError
            If the images have another size or element type.
        ModelError, DeviceError
            If the model cannot be run, or not even one image fits into memory.
        """
        check_images(images, self.size)
        return self._runner.in_batches(
            len(images),
            lambda start, stop: self._runner.run(self._host.enter(images[start:stop])),
        )

    def planes(self, image: Image, fill: Image) -> Planes | DevicePlanes:
        """What composing `image` with `fill` needs, made once for many masks."""
        planes = self._host.planes(image, fill)
        return self._device.upload(planes) if self._device else planes

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order.

        On the device if all masks can be told to it in a few numbers, else on the host.
        """
        device, runner = self._device, self._runner
        if device and all(device.takes(part.masks) for part in parts):

            def call(start: int, stop: int) -> Scores:
                width = runner.width(stop - start)
                raw = device.run(cut_parts(parts, start, stop), width)
                return runner.read(raw, width)[: stop - start]

            return runner.in_batches(sum(part.stop - part.start for part in parts), call)
        if device:
            parts = [part._replace(planes=part.planes.host) for part in parts]
        rows = self._host.compose(parts)
        return runner.in_batches(len(rows), lambda start, stop: runner.run(rows[start:stop]))

    def gradients(self) -> Differentiable:
        """Its gradients, as an ONNX graph made from its own when they are first asked for.

        Raises
        ------
        GradientError
            If it has none, naming the node that stands in the way.
        """
        with self._differentiating:
            if self._gradients is None:
                try:
                    self._gradients = self._differentiate(self._runner.batch_size)
                except ModelError as error:  # it takes long to find out: once is enough
                    # Without its causes, whose frames hold the graph several times.
                    self._gradients = type(error)(str(error))
        if isinstance(self._gradients, ModelError):
            raise self._gradients.with_traceback(None)
        return self._gradients

    def measure(
        self, batch_sizes: Sequence[int] = (), *, seconds: float = 0.5
    ) -> tuple[tuning.Rate, ...]:
        """Evaluations a second by batch size, all workers side by side.

        Parameters
        ----------
        batch_sizes : sequence of int
            In rising order; those that the batch size is chosen from if none are given.
        seconds : float
            For each of them.
        """
        if not batch_sizes:
            fixed, device = self.batch.fixed, self._session.device
            batch_sizes = tuning.list_batch_sizes(device) if fixed is None else (fixed,)
        return tuning.measure_rates(
            self._session, self.spec, batch_sizes, workers=self.workers, seconds=seconds
        )


def cut_parts(parts: Sequence[Part], start: int, stop: int) -> list[Part]:
    """The masks `start` to `stop` of all parts, counted through."""
    found, first = [], 0
    for part in parts:
        n = part.stop - part.start
        low, high = max(start - first, 0), min(stop - first, n)
        if low < high:
            found.append(part._replace(start=part.start + low, stop=part.start + high))
        first += n
    return found
