"""Classifiers from ONNX files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import (
    Image,
    Images,
    Layer,
    Mask,
    Outputs,
    Preprocessing,
    ScoreKind,
    Scores,
    Size,
)
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Inside, Tensors
from onnxplain.core.protocols import Differentiable, JoinedFill, Part
from onnxplain.core.spec import OUTPUTS, ModelSpec
from onnxplain.image import MAX_PIXELS
from onnxplain.runtime import tuning
from onnxplain.runtime.batch_support import BatchSupport
from onnxplain.runtime.card import describe_classifier, format_card
from onnxplain.runtime.composing.composer import Composer, count_masks, cut_parts
from onnxplain.runtime.composing.host_composer import HostComposer
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.origin import Origin, refuse_to_travel, reopen
from onnxplain.runtime.runner import Runner
from onnxplain.runtime.session import Session
from onnxplain.subjects import ClassScore, ImageSource, predict_classes

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.runtime.gradient import ModelInside
    from onnxplain.runtime.incremental import IncrementalScores, PatchScorer


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """How results identify a model: its name and the sha256 of its file."""

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
        How to feed it and read its output.
    identity : ModelIdentity
        Name and sha256.
    batch : BatchSupport
        Which batch sizes the graph takes.
    batch_size : int
        Images per call.
    workers : int
        Calls side by side.
    open_inside : callable
        Returns the classifier's inside for a batch size.
    composer : Composer
        Composes masks with an image, on the host or on the session's device.
    origin : Origin, optional
        What opens it again in another process; None for a graph that was made in memory.
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
        open_inside: Callable[[int], ModelInside],
        composer: Composer,
        origin: Origin | None = None,
    ) -> None:
        self.spec = spec
        self.batch = batch
        self.workers = workers
        self._identity = identity
        self._session = session
        self._composer = composer
        self._origin = origin
        self._open_inside = open_inside
        self._opened: ModelInside | None = None
        self._gradients: Differentiable | ModelError | None = None
        self._differentiating = threading.RLock()
        self._runner = Runner(session, spec, batch_size, rows=batch.fixed)

    def __repr__(self) -> str:
        return describe_classifier(type(self).__name__, self._identity.name, self.spec)

    def __reduce__(self) -> tuple[Callable[[Origin], Any], tuple[Origin]]:
        """Let another process open it again, with the same batch size, so that scores are equal."""
        if self._origin is None:
            refuse_to_travel(self._identity.name)
        arguments = {**self._origin.arguments, "batch_size": self.batch_size}
        return reopen, (replace(self._origin, arguments=arguments),)

    def _repr_html_(self) -> str:
        """Return what the classifier is, as a table for notebooks."""
        return format_card(type(self).__name__, self.provenance, self.spec)

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
        """What the scores are: logits or probabilities, and whether of independent labels."""
        return OUTPUTS[self.spec.head]

    @property
    def batch_size(self) -> int:
        """Images that a call should hold; it falls when memory runs out."""
        return self._runner.batch_size

    def lower_batch_size(self, size: int) -> None:
        """Hold at most `size` images per call, unless the graph takes one number only."""
        self._runner.lower_batch_size(size)

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, the preferred one first."""
        return self._session.providers

    @property
    def placement(self) -> Mapping[str, int]:
        """Number of nodes of the optimised graph that each provider runs."""
        return self._session.placement

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result: model, sha256, provider, versions."""
        return {
            "model": self._identity.name,
            "sha256": self._identity.sha256,
            **self._session.provenance,
            "batch": self.batch.text,
            "batch_size": self.batch_size,
            "workers": self.workers,
            "composed_by": self._composer.composed_by,
            "preprocessing": self.spec.describe(),
        }

    def predict(
        self,
        image: ImageSource,
        top: int = 5,
        *,
        max_pixels: int = MAX_PIXELS,
        white: int | None = None,
    ) -> list[ClassScore]:
        """Return the most probable classes of a photo; see `onnxplain.subjects.predict_classes`.

        >>> classifier.predict("photo.jpg", top=3)  # doctest: +SKIP
        """
        return predict_classes(self, image, top, max_pixels=max_pixels, white=white)

    def scores(self, images: Images) -> Scores:
        """Compute the raw scores (N, K) of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ValueError
            If the images have another size or element type.
        ModelError, DeviceError
            If the model cannot be run, or not even one image fits into memory.
        """
        check_images(images, self.size)
        return self._runner.score(
            len(images),
            lambda start, stop, width: self._composer.enter(images[start:stop], width),
        )

    def planes(self, image: Image, fill: Image) -> Any:
        """Prepare composing `image` with `fill`, once for many masks."""
        return self._composer.planes(image, fill)

    def join(self, image: Image, prepared: Callable[[Mask], Images]) -> JoinedFill | None:
        """Let a prepared fill paint on the classifier's device; None if it paints elsewhere."""
        return self._composer.join(image, prepared)

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Compute the raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order.

        Raises
        ------
        ModelError, DeviceError
            As `scores`.
        """
        return self._runner.score(
            count_masks(parts),
            lambda start, stop, width: self._composer.compose(cut_parts(parts, start, stop), width),
        )

    def changed_scores(self, parts: Sequence[Part]) -> Inside:
        """Compute what `masked_scores` does, from what the masks change, where that is quicker.

        The masks are patches of one size (`onnxplain.masks.families.PatchMasks`). The facts of
        the answer say under ``incremental`` whether it was done, and why not if it was not.

        Raises
        ------
        ModelError, DeviceError
            As `scores`.
        """
        return self._incremental.score(parts)

    def gradients(self) -> Differentiable:
        """Return its gradients: an ONNX graph that is built on the first call.

        Raises
        ------
        GradientError
            If the model has none, naming the node that stands in the way.
        """
        with self._differentiating:
            if self._gradients is None:
                try:
                    self._gradients = _differentiate(self._inside)
                except ModelError as error:  # finding out takes long: once is enough
                    # The causes are dropped: their frames hold the graph several times.
                    self._gradients = type(error)(str(error))
        if isinstance(self._gradients, ModelError):
            raise self._gradients.with_traceback(None)
        return self._gradients

    @property
    def _inside(self) -> ModelInside:
        """The classifier's inside, which imports onnx."""
        with self._differentiating:
            if self._opened is None:
                self._opened = self._open_inside(self._runner.batch_size)
            return self._opened

    @cached_property
    def _incremental(self) -> IncrementalScores:
        """What recomputes the values that a patch changes."""
        from onnxplain.runtime.incremental import IncrementalScores  # it imports onnx, as above

        def load(patch: int) -> PatchScorer:
            if self._composer.composed_by != "host":
                raise ModelError("masks are composed on the device")
            return self._inside.load_patch_scorer(patch)

        def compose(part: Part) -> NDArray[np.float32]:
            return HostComposer(ModelSpace.of(self.spec)).compose([part], count_masks([part]))

        return IncrementalScores(
            self._identity.name,
            self.size,
            load=load,
            compose=compose,
            score=self.masked_scores,
        )

    def find_layers(self, name: str) -> tuple[Layer, ...]:
        """Return the layers that a name chooses, such as ``last`` or ``stage:2``.

        Raises
        ------
        ModelError
            If there is no such layer.
        """
        return self._inside.find_layers(name)

    def prepare_inside(self, wants: Tensors) -> None:
        """Build the graph that tells what is wanted about the inside.

        Raises
        ------
        GradientError
            If it needs gradients that the model does not have.
        """
        self._inside.open(wants)

    def look_inside(self, images: Images, targets: NDArray[np.int64], wants: Tensors) -> Inside:
        """Return what is wanted about the inside, for each image and its own target (N,).

        Raises
        ------
        ScoreError
            If a value or gradient is not finite.
        GradientError
            As `prepare_inside`.
        """
        return self._inside.look(images, targets, wants)

    def run_tail(self, layer: Layer, values: NDArray[np.float32], score: ScoreKind) -> Inside:
        """Return the scores, and the logits if `score` is one of them, of values of a layer.

        Only what is behind the layer runs.

        Raises
        ------
        ModelError
            If the scores depend on more than the values (N, C, h, w) of this layer.
        """
        return self._inside.run_tail(layer, values, score)

    def measure(
        self, batch_sizes: Sequence[int] = (), *, seconds: float = 0.5
    ) -> tuple[tuning.Rate, ...]:
        """Measure evaluations per second by batch size, all workers side by side.

        Parameters
        ----------
        batch_sizes : sequence of int
            In rising order. If none are given: the sizes that the batch size is chosen from.
        seconds : float
            Time for each size.
        """
        if not batch_sizes:
            fixed, device = self.batch.fixed, self._session.device
            batch_sizes = tuning.list_batch_sizes(device) if fixed is None else (fixed,)
        trial = tuning.Trial.of(self.spec)
        rates = tuning.measure_rates(
            self._session, trial, batch_sizes, workers=self.workers, seconds=seconds
        )
        if not self.batch.alone:
            return rates
        return tuple(tuning.Rate(1, rate.per_second / rate.batch_size) for rate in rates)


def _differentiate(inside: ModelInside) -> Differentiable:
    from onnxplain.runtime.gradient import OnnxGradients  # it imports onnx, as above

    return OnnxGradients(inside)
