"""Runs a classifier's session batch by batch, in smaller batches when memory runs out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Scores
from onnxplain.core.spec import ModelSpec
from onnxplain.runtime import head
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.session import Session
from onnxplain.runtime.tensors import Rows

T = TypeVar("T")

NARROW = 8  # rows of a narrow call on a GPU

log = logging.getLogger(__name__)


def pad_rows(rows: NDArray[Any], n: int) -> NDArray[Any]:
    """Repeat the last row until there are at least n rows."""
    missing = n - len(rows)
    if missing <= 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


@final
class BatchSize:
    """The number of images per call of a session, halved when memory runs out.

    Several threads may use it.

    Parameters
    ----------
    size : int
        Images per call, to begin with.
    rows : int or None
        The only number of rows of a call that the graph takes, if there is one; it takes only
        calls of `size` images then, the last of which fills the rows.
    session : Session, optional
        What runs, if it is one: on a GPU, calls are padded to few widths.
    """

    def __init__(
        self,
        size: int,
        *,
        rows: int | None = None,
        session: Session | None = None,
    ) -> None:
        self.size = size
        self._rows = rows
        self._on_cpu = session is None or session.device.where == "cpu"
        self._one_width = session is not None and session.tf32
        self._lock = threading.Lock()

    def get_width(self, n: int) -> int:
        """Return the number of rows of a call that holds n images.

        On a GPU there are two widths, a few images and the whole batch, as every new shape makes
        cuDNN plan its convolutions again (`onnxplain.runtime.raw_sessions`). Another plan may
        round differently: with TF32, enough to matter to a baseline and its candidates, so that
        there is one width.
        """
        if self._rows is not None:
            return self._rows
        if self._on_cpu:
            return n
        if n <= NARROW and not self._one_width:
            return min(NARROW, max(n, self.size))
        return max(n, self.size)  # another thread may have halved the size

    def lower(self, size: int) -> None:
        """Take at most `size` images per call from now on, where the graph allows it."""
        with self._lock:
            if self._rows is None:
                self.size = min(self.size, size)

    def run_batches(self, n: int, run: Callable[[int, int], T]) -> list[T]:
        """Return the results of ``run(start, stop)`` for n images, batch by batch.

        Raises
        ------
        OutOfMemory
            If not even the smallest batch fits.
        """
        results, start = [], 0
        while start < n:
            limit = self.size
            stop = min(start + limit, n)
            try:
                results.append(run(start, stop))
            except OutOfMemory as error:
                self._halve(limit, error)
            else:
                start = stop
        return results

    def _halve(self, tried: int, error: OutOfMemory) -> None:
        """Take half of the batch size that was tried, unless another thread has done so."""
        with self._lock:
            if self.size < tried:
                return
            if self._rows is not None or tried == 1:
                raise OutOfMemory(
                    f"{error}; a batch of {tried} is the smallest this model takes: free some "
                    f"memory{'' if self._on_cpu else ', or use --device cpu'}"
                ) from error
            self.size = tried // 2
        log.warning("%s; going on with batches of %d", error, tried // 2)


@final
class Runner:
    """A session with a batch size, which may fall; several threads may use it.

    Parameters
    ----------
    session : Session
        The loaded classifier.
    spec : ModelSpec
        Its input and output.
    batch_size : int
        Images per call, to begin with.
    rows : int or None
        As for `BatchSize`.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        batch_size: int,
        *,
        rows: int | None,
    ) -> None:
        self.session = session
        self.spec = spec
        self._batches = BatchSize(batch_size, rows=rows, session=session)

    @property
    def batch_size(self) -> int:
        """Images that a call should hold."""
        return self._batches.size

    def lower_batch_size(self, size: int) -> None:
        """Hold at most `size` images per call from now on, where the graph allows it."""
        self._batches.lower(size)

    def score(self, n: int, make_batch: Callable[[int, int, int], Rows]) -> Scores:
        """Score n images, batch by batch.

        Parameters
        ----------
        n : int
            Number of images.
        make_batch : callable
            ``make_batch(start, stop, width)`` makes the images from `start` to `stop` as the
            model takes them, in a batch of `width` rows.

        Returns
        -------
        scores : (n, K) ndarray of float32

        Raises
        ------
        OutOfMemory
            If not even the smallest batch fits.
        """

        def run(start: int, stop: int) -> Scores:
            width = self._batches.get_width(stop - start)  # once: another thread may halve it
            feeds = {self.spec.input: make_batch(start, stop, width)}
            (raw,) = self.session.run(feeds, [self.spec.output])
            return head.decode_scores(raw, width, self.spec)[: stop - start]

        return np.concatenate(self._batches.run_batches(n, run))
