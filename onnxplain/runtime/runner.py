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
from onnxplain.runtime.session import Rows, Session

T = TypeVar("T")

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
    fixed : bool
        Whether the graph takes that number only.
    on_cpu : bool
        Whether the session runs on the CPU.
    on_fall : callable, optional
        Called with the new batch size when memory has run out.
    """

    def __init__(
        self,
        size: int,
        *,
        fixed: bool,
        on_cpu: bool,
        on_fall: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.size = size
        self.fixed = fixed
        self._on_cpu = on_cpu
        self._on_fall = on_fall
        self._lock = threading.Lock()

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
            if self.fixed or tried == 1:
                raise OutOfMemory(
                    f"{error}; a batch of {tried} is the smallest this model takes: free some "
                    f"memory{'' if self._on_cpu else ', or use --device cpu'}"
                ) from error
            self.size = tried // 2
        log.warning("%s; going on with batches of %d", error, tried // 2)
        self._on_fall(tried // 2)


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
        The only number of rows of a call that the graph takes, if there is one; it takes only
        calls of `batch_size` images then, the last of which fills the rows.
    on_fall : callable
        Called with the new batch size when memory has run out.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        batch_size: int,
        *,
        rows: int | None,
        on_fall: Callable[[int], None],
    ) -> None:
        self.session = session
        self.spec = spec
        on_cpu = session.device.where == "cpu"
        self._rows = rows
        fixed = rows is not None
        self._batches = BatchSize(batch_size, fixed=fixed, on_cpu=on_cpu, on_fall=on_fall)

    @property
    def batch_size(self) -> int:
        """Images that a call should hold."""
        return self._batches.size

    def lower_batch_size(self, size: int) -> None:
        """Hold at most `size` images per call from now on, where the graph allows it."""
        if not self._batches.fixed:
            self._batches.size = min(self._batches.size, size)

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
            width = self._get_width(stop - start)  # once: another thread may halve the size
            feeds = {self.spec.input: make_batch(start, stop, width)}
            (raw,) = self.session.run(feeds, [self.spec.output])
            return head.decode_scores(raw, width, self.spec)[: stop - start]

        return np.concatenate(self._batches.run_batches(n, run))

    def _get_width(self, n: int) -> int:
        """Return the number of rows of a call that scores n images.

        On a GPU it is the same for all calls: another shape would make cuDNN search for
        its algorithms again, and choose others.
        """
        if self._rows is not None:
            return self._rows
        always_full = self.session.device.where != "cpu"
        return max(n, self._batches.size) if always_full else n
