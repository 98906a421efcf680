"""Reads the inside of classifiers: one graph for what is wanted, run batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Images, ScoreKind, Scores
from onnxplain.core.errors import ScoreError
from onnxplain.core.inside import Array, Inside, Tensors
from onnxplain.core.scores import RAW
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient import TARGET, GradientError, find_nonfinite_node, gradient_name
from onnxplain.gradient.build import read_notes, slope_name
from onnxplain.gradient.heads import find_logits
from onnxplain.gradient.reading import add_tensors
from onnxplain.graph.load import ModelFile
from onnxplain.graph.rebatch import make_batch_dynamic
from onnxplain.runtime import head
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.composing.space import ModelSpace, check_images
from onnxplain.runtime.device import Device
from onnxplain.runtime.gradient_building import build_batched_gradient
from onnxplain.runtime.measure import RuntimeMeasure
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session

MOST_BYTES = 2**28  # of the layers of one batch: wide early layers get smaller batches

# Of the gain of pixels on their way into the model, as `ModelSpace.leave` takes them.
GAIN_POWERS = {"gradient": 1, "relevance": 0, "signal": -1}


class Names(NamedTuple):
    """The names of a graph's outputs: scores, logits, the image's gradient, and per layer."""

    scores: str
    logits: str | None
    grads: str | None
    layers: tuple[tuple[str, str | None], ...]

    def list_computed(self, input: str) -> list[str]:
        """List all of them, each once, but for the input, which may be looked at as a layer."""
        parts = (part for layer in self.layers for part in layer)
        given = (self.scores, self.logits, self.grads, *parts)
        return list(dict.fromkeys(name for name in given if name not in (None, input)))


@final
class Reader:
    """Reads what `wants` says of a classifier; made by `load_reader`; thread-safe.

    Parameters
    ----------
    session : Session
        The loaded graph.
    spec : ModelSpec
        How to feed the classifier and read its output.
    wants : Tensors
        What it reads.
    names : Names
        Where the graph has it.
    batch_size : int
        Most images per call, to begin with; halved when memory runs out.
    rows : int or None
        The only number of rows that a call takes; the last image fills those that are left.
    facts : mapping
        For the record of a result.
    rebuild : callable
        Builds the graph once more, to find out where a bad number comes from.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        wants: Tensors,
        names: Names,
        *,
        batch_size: int,
        rows: int | None,
        facts: Mapping[str, Any],
        rebuild: Callable[[], bytes],
    ) -> None:
        self.spec = spec
        self._session = session
        self._space = ModelSpace.of(spec)
        self._wants = wants
        self._names = names
        self._facts = facts
        self._power = GAIN_POWERS[wants.rules.yields] if wants.rules else 1
        self._batches = BatchSize(batch_size, rows=rows, session=session)
        self._rebuild = rebuild

    def read(self, images: Images, targets: NDArray[np.integer[Any]]) -> Inside:
        """Read the inside of the classifier for images and a target each.

        Parameters
        ----------
        images : (N, H, W, 3) ndarray of float32 in [0, 1]
        targets : (N,) ndarray of int
            A class for each image.

        Raises
        ------
        ValueError
            If the model does not take such images or targets.
        ScoreError
            If a value or gradient is not finite, naming the image, the number and where it
            arises.
        OutOfMemory
            If not even the smallest batch fits into memory.
        """
        check_images(images, self.spec.size)
        classes = len(self.spec.class_names)
        if len(targets) != len(images) or not ((targets >= 0) & (targets < classes)).all():
            raise ValueError(
                f"targets are one class, 0 to {classes - 1}, for each of {len(images)} images, "
                f"got {targets!r}"
            )

        def run(start: int, stop: int) -> dict[str, NDArray[Any]]:
            feeds = self._make_feeds(images[start:stop], targets[start:stop])
            wanted = self._names.list_computed(self.spec.input)
            values = dict(zip(wanted, self._session.run(feeds, wanted), strict=True))
            if any(self.spec.input in names for names in self._names.layers):
                values[self.spec.input] = feeds[self.spec.input]
            return self._take_rows(values, stop - start)

        batches = self._batches.run_batches(len(images), run)
        joined = {name: np.concatenate([part[name] for part in batches]) for name in batches[0]}
        for name, values in joined.items():
            self._check_finite(name, values, images, targets)
        return self._make_inside(joined, len(images))

    def _take_rows(self, values: dict[str, NDArray[Any]], n: int) -> dict[str, NDArray[Any]]:
        """Return the rows of n images, those of layers with channels second."""
        arranged = dict(values)
        for layer, names in zip(self._wants.looks, self._names.layers, strict=True):
            arranged |= {name: layer.arrange(values[name]) for name in names if name is not None}
        return {name: rows[:n] for name, rows in arranged.items()}

    def _make_inside(self, values: Mapping[str, NDArray[Any]], n: int) -> Inside:
        scores, logits, grads, layers = self._names

        def get(name: str | None) -> Array | None:
            return None if name is None else values[name].astype(np.float32, copy=False)

        image_grads = get(grads)
        return Inside(
            head.decode_scores(values[scores], n, self.spec),
            None if logits is None else decode_logits(values[logits], n, self.spec),
            None if image_grads is None else self._space.leave(image_grads, self._power),
            tuple((values[own].astype(np.float32, copy=False), get(by)) for own, by in layers),
            self._facts,
        )

    def _make_feeds(
        self, images: Images, targets: NDArray[np.integer[Any]]
    ) -> dict[str, NDArray[Any]]:
        """Make the inputs for at most one batch, padded with the last image to its width."""
        n = self._batches.get_width(len(images))
        if self._wants.differentiates:
            rows = pad_rows(self._space.enter_as_real(images), n)
            return {self.spec.input: rows, TARGET: pad_rows(targets.astype(np.int64), n)}
        rows = pad_rows(self._space.enter(images), n)
        stored = np.empty(rows.shape, self.spec.dtype)
        self._space.cast(rows, stored)
        return {self.spec.input: stored}

    def _check_finite(
        self,
        name: str,
        values: NDArray[Any],
        images: Images,
        targets: NDArray[np.integer[Any]],
    ) -> None:
        """Raise an error that names the first bad image and node, unless all values are finite."""
        bad = ~np.isfinite(values.reshape(len(values), -1))
        if not bad.any():
            return
        row = int(bad.any(axis=1).argmax())
        value = values[row].ravel()[bad[row].argmax()]
        feeds = self._make_feeds(images[row : row + 1], targets[row : row + 1])
        where = find_nonfinite_node(self._rebuild(), RuntimeMeasure(), feeds, float(value))
        raise ScoreError(
            f"{name} of image {row} holds {value}{f', first at node {where}' if where else ''}"
        )


def load_reader(
    file: ModelFile, spec: ModelSpec, device: Device, wants: Tensors, *, batch_size: int = 8
) -> Reader:
    """Build the graph that reads what is wanted, and load it on a device.

    Raises
    ------
    GradientError
        If it has to be differentiated and cannot be, naming the node and what to do.
    ModelError
        If the file has no tensor of a wanted name.
    """
    logits = find_logits_name(file, spec, wants.score)
    load = _build_gradient if wants.differentiates else _build_reading
    build = partial(load, file, spec, wants, logits)
    built = build()
    session = open_session(
        built.content,
        device,
        name=f"inside of {file.path.name}",
        folder=None if wants.differentiates else file.folder,
    )
    return Reader(
        session,
        spec,
        wants,
        built.names,
        batch_size=built.images or _limit_batch(batch_size, wants),
        rows=built.rows,
        facts=read_notes(built.content) if wants.rules else {},
        rebuild=lambda: build().content,
    )


class _Built(NamedTuple):
    """A graph, how many rows and images a call takes if not any, and the names of its outputs."""

    content: bytes
    rows: int | None
    images: int | None
    names: Names


def find_logits_name(file: ModelFile, spec: ModelSpec, score: ScoreKind) -> str | None:
    """Return the tensor of the logits, if the score is one of them.

    Raises
    ------
    GradientError
        If the score is one of the logits and the model has none.
    """
    if score not in RAW:
        return None
    try:
        return find_logits(file.proto, spec.output, spec.head) or spec.output
    except GradientError as error:
        raise GradientError(f"{file.path.name}: {error}") from error


def _build_gradient(file: ModelFile, spec: ModelSpec, wants: Tensors, logits: str | None) -> _Built:
    tensors = tuple(layer.tensor for layer in wants.layers)
    reads = [name for name in (logits,) if name not in (None, spec.output, *tensors)]
    content, rows = build_batched_gradient(
        file,
        spec,
        kind=wants.score,
        layers=tensors if wants.gradients else (),
        image=wants.image,
        reads=(*filter(None, reads), *(() if wants.gradients else tensors)),
        rules=wants.rules,
        slopes=wants.slopes,
        rate=wants.rate,
    )
    layers = tuple((name, gradient_name(name) if wants.gradients else None) for name in tensors)
    layers += tuple((name, slope_name(name)) for name in tensors if wants.slopes)
    grads = gradient_name(spec.input) if wants.image else None
    # A graph that keeps its batch of 1 may have been made dynamic for scores alone.
    images = rows if rows in (None, 1) else find_batch_support(file, spec).images
    return _Built(content, rows, images, Names(spec.output, logits, grads, layers))


def _build_reading(file: ModelFile, spec: ModelSpec, wants: Tensors, logits: str | None) -> _Built:
    batch = find_batch_support(file, spec)
    proto = make_batch_dynamic(file.proto, spec) if batch.rewritten else file.proto
    tensors = [layer.tensor for layer in wants.layers if layer.tensor != spec.input]
    reads = [name for name in (logits,) if name is not None]
    changed, names = add_tensors(proto, spec.output, [*tensors, *reads])
    outputs = {spec.input: spec.input, **dict(zip(tensors, names, strict=False))}
    layers = tuple((outputs[layer.tensor], None) for layer in wants.layers)
    named = Names(spec.output, names[-1] if reads else None, None, layers)
    return _Built(changed.SerializeToString(), batch.fixed, batch.images, named)


def _limit_batch(batch_size: int, wants: Tensors) -> int:
    """Return a batch size whose layers fit into `MOST_BYTES`."""
    kinds = 1 + wants.gradients + wants.slopes
    per_image = 4 * kinds * sum(math.prod(layer.shape) for layer in wants.layers)
    return max(1, min(batch_size, MOST_BYTES // max(per_image, 1)))


def decode_logits(raw: NDArray[Any], n: int, spec: ModelSpec) -> Scores:
    """Decode logits (N, K); a single one z becomes -z and z."""
    if spec.head in ("logits", "multilabel-logits"):
        return head.decode_scores(raw, n, spec)
    flat = raw.reshape(n, -1).astype(np.float32)
    return np.hstack([-flat, flat]) if spec.head in ("probability", "logit") else flat
