"""The part of a classifier behind a layer, run on other values of that layer."""

from __future__ import annotations

import math
from typing import final

import numpy as np

from onnxplain.core.data import Layer, ScoreKind
from onnxplain.core.errors import ModelError
from onnxplain.core.inside import Array, Inside
from onnxplain.core.spec import ModelSpec
from onnxplain.gradient.reading import cut_tail
from onnxplain.graph.load import ModelFile
from onnxplain.graph.rebatch import make_batch_dynamic
from onnxplain.runtime import head
from onnxplain.runtime.batch_support import BatchSupport, find_batch_support
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.runtime.device import Device
from onnxplain.runtime.reader import MOST_BYTES, decode_logits, find_logits_name
from onnxplain.runtime.runner import BatchSize, pad_rows
from onnxplain.runtime.session import Session, open_session

MOST_ROWS = 64  # of a batch; what is behind a late layer takes little


@final
class Tail:
    """The part of a classifier behind a layer; made by `load_tail`; thread-safe.

    Parameters
    ----------
    session : Session
        The loaded graph.
    spec : ModelSpec
        How to read its output.
    layer : Layer
        Its input.
    logits : str or None
        The tensor of the logits, if they are wanted.
    batch : BatchSupport
        Which batches the classifier takes.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        layer: Layer,
        logits: str | None,
        batch: BatchSupport,
    ) -> None:
        self._session = session
        self._spec = spec
        self._layer = layer
        self._logits = logits
        fits = MOST_BYTES // (4 * math.prod(layer.shape))
        self._batches = BatchSize(
            batch.images or max(1, min(MOST_ROWS, fits)), rows=batch.fixed, session=session
        )

    def run(self, values: Array) -> Inside:
        """Return the scores, and the logits if they are wanted, of values (N, C, h, w)."""
        wanted = list(dict.fromkeys(filter(None, (self._spec.output, self._logits))))
        others = [entry.name for entry in self._session.inputs if entry.name != self._layer.tensor]

        def run(start: int, stop: int) -> Inside:
            width = self._batches.get_width(stop - start)
            rows = pad_rows(self._layer.restore(values[start:stop]), width)
            # Of the image, only the shape is used.
            shape = (len(rows), *ModelSpace.of(self._spec).shape)
            blank = np.zeros(shape, self._spec.dtype)
            feeds = {self._layer.tensor: rows, **dict.fromkeys(others, blank)}
            answers = dict(zip(wanted, self._session.run(feeds, wanted), strict=True))
            n = stop - start
            scores = head.decode_scores(answers[self._spec.output], len(rows), self._spec)[:n]
            if self._logits is None:
                return Inside(scores)
            logits = decode_logits(answers[self._logits], len(rows), self._spec)[:n]
            return Inside(scores, logits)

        parts = self._batches.run_batches(len(values), run)
        logits = [part.logits for part in parts if part.logits is not None]
        return Inside(
            np.concatenate([part.scores for part in parts]),
            np.concatenate(logits) if logits else None,
        )


def load_tail(
    file: ModelFile, spec: ModelSpec, device: Device, layer: Layer, score: ScoreKind
) -> Tail:
    """Cut a classifier behind a layer and load what follows.

    Raises
    ------
    ModelError
        If the scores depend on more than this layer.
    """
    if not layer.is_cut or layer.prefix or layer.axes.startswith("T"):
        raise ModelError(
            f"{file.path.name}: what is behind layer {layer.tensor!r} cannot be run alone, as the "
            f"scores depend on more than its grid; choose a layer that onnxplain layers lists"
        )
    logits = find_logits_name(file, spec, score)
    batch = find_batch_support(file, spec)
    proto = make_batch_dynamic(file.proto, spec) if batch.rewritten else file.proto
    outputs = list(dict.fromkeys(filter(None, (spec.output, logits))))
    content = cut_tail(proto, layer.tensor, outputs).SerializeToString()
    name = f"{file.path.name} behind {layer.tensor}"
    session = open_session(content, device, name=name, folder=file.folder)
    return Tail(session, spec, layer, logits, batch)
