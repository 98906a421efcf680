"""A classifier that calls a function, whatever its framework."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images, Outputs, ScoreKind, Scores, Size
from onnxplain.core.errors import ScoreError
from onnxplain.core.protocols import Differentiable, Part
from onnxplain.core.scores import differentiate_target_scores
from onnxplain.core.spec import OUTPUTS, ModelSpec
from onnxplain.image import MAX_PIXELS
from onnxplain.runtime import head
from onnxplain.runtime.card import describe_classifier, format_card
from onnxplain.runtime.composing.composer import count_masks, cut_parts
from onnxplain.runtime.composing.host_composer import HostComposer, Planes
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.network import Network, convert_to_array
from onnxplain.runtime.runner import BatchSize
from onnxplain.subjects import ClassScore, ImageSource, predict_classes


@final
class CallableClassifier:
    """A `Classifier` that calls a function; made by `from_callable`, `from_torch`, `from_keras`.

    Parameters
    ----------
    network : Network
        The function.
    spec : ModelSpec
        How to feed it and read its answers.
    batch_size : int
        Largest number of images per call; halved when memory runs out.
    workers : int
        Number of calls side by side.
    name : str
        Its name in results.
    """

    def __init__(
        self, network: Network, spec: ModelSpec, *, batch_size: int, workers: int, name: str
    ) -> None:
        self.spec = spec
        self.preprocessing = spec.preprocessing
        self.workers = workers
        self.name = name
        self._batches = BatchSize(batch_size)
        self._network = network
        self._space = ModelSpace.of(spec)
        self._composer = HostComposer(self._space)
        # However many threads call, at most `workers` calls of the function run side by side.
        self._turn = threading.BoundedSemaphore(workers)

    def __repr__(self) -> str:
        return describe_classifier(type(self).__name__, self.name, self.spec)

    def _repr_html_(self) -> str:
        """Return what the classifier is, as a table for notebooks."""
        return format_card(type(self).__name__, self.provenance, self.spec)

    @property
    def size(self) -> Size:
        """Rows and columns of the images it takes."""
        return self.spec.size

    @property
    def batch_size(self) -> int:
        """Largest number of images per call; it falls when memory runs out."""
        return self._batches.size

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for every class, in the order of the scores."""
        return self.spec.class_names

    @property
    def outputs(self) -> Outputs:
        """What the scores are: logits or probabilities."""
        return OUTPUTS[self.spec.head]

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran, for the record of a result."""
        return {
            "model": self.name,
            "provider": self._network.provider,
            "batch_size": self.batch_size,
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
        """Return the most probable classes of a photo; see `onnxplain.subjects.predict_classes`."""
        return predict_classes(self, image, top, max_pixels=max_pixels, white=white)

    def scores(self, images: Images) -> Scores:
        """Compute the raw scores (N, K) of images (N, H, W, 3) in [0, 1].

        Raises
        ------
        ScoreError
            If the function returns an array of another shape, or anything but numbers. NaN
            and infinite scores pass: the engine stops the one job that they belong to.
        """
        check_images(images, self.size)
        return self._score(
            len(images),
            lambda start, stop: self._composer.enter(images[start:stop], stop - start),
        )

    def planes(self, image: Image, fill: Image) -> Planes:
        """Prepare composing `image` with `fill`, once for many masks."""
        return self._composer.planes(image, fill)

    def masked_scores(self, parts: Sequence[Part]) -> Scores:
        """Compute the raw scores of ``x * (1 - m) + f * m`` for every mask of the parts, in order.

        Raises
        ------
        ScoreError
            As `scores`.
        """
        return self._score(
            count_masks(parts),
            lambda start, stop: self._composer.compose(cut_parts(parts, start, stop), stop - start),
        )

    def gradients(self) -> Differentiable:
        """Return its gradients: itself, after a trial with a black image.

        Raises
        ------
        ModelError
            If it has none.
        """
        black = np.zeros((1, *self.size, 3), np.float32)
        self.score_grads(black, np.zeros(1, np.int64), "log-odds")
        return self

    def score_grads(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Compute raw scores (N, K), and d score / d image (N, H, W, 3) of each image's target.

        Raises
        ------
        ModelError
            If it has no gradients.
        ScoreError
            As `scores`; and if the gradient has another shape than the images.
        """
        check_images(images, self.size)
        batches = self._batches.run_batches(
            len(images),
            lambda start, stop: self._differentiate(images[start:stop], targets[start:stop], kind),
        )
        scores, gradients = (np.concatenate(values) for values in zip(*batches, strict=True))
        return scores, gradients

    def _score(self, n: int, make_batch: Callable[[int, int], NDArray[np.float32]]) -> Scores:
        """Score n images, batch by batch."""
        batches = self._batches.run_batches(
            n, lambda start, stop: self._call(make_batch(start, stop))
        )
        return np.concatenate(batches)

    def _call(self, images: NDArray[np.float32]) -> Scores:
        with self._turn:
            answer = convert_to_array(self._network.answer(images))
        return self._decode(answer, len(images))

    def _differentiate(
        self, images: Images, targets: NDArray[np.int64], kind: ScoreKind
    ) -> tuple[Scores, Images]:
        """Differentiate one batch."""
        entered = self._composer.enter(images, len(images))
        scores: list[Scores] = []

        def weigh(answers: NDArray[Any]) -> NDArray[np.float32]:
            scores.append(self._decode(answers, len(images)))
            slopes = differentiate_target_scores(
                scores[0], targets, outputs=self.outputs, kind=kind
            )
            return head.encode_slopes(slopes, self.spec).reshape(answers.shape)

        with self._turn:
            _, gradient = self._network.differentiate(entered, weigh)
            gradient = convert_to_array(gradient).astype(np.float32)
        if gradient.shape != entered.shape:
            raise ScoreError(
                f"{self.name}: the gradient has the shape {gradient.shape}; it needs that of the "
                f"images, {entered.shape}"
            )
        return scores[0], self._space.leave(gradient)

    def _decode(self, answer: NDArray[Any], n: int) -> Scores:
        width = head.get_width(self.spec)
        if answer.dtype.kind not in "fiu" or answer.shape not in ((n, width), (n, width, 1, 1)):
            raise ScoreError(
                f"{self.name}: scores must be numbers of shape {(n, width)} (images, classes), "
                f"got {answer.dtype} of shape {answer.shape}"
            )
        return head.decode_scores(answer, n, self.spec)
