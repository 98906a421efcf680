"""Runs a classifier's session batch by batch; where memory ends, with smaller batches."""

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

T = TypeVar("T")

log = logging.getLogger(__name__)


def pad_rows(rows: NDArray[Any], n: int) -> NDArray[Any]:
    """Rows, and the last one again until there are at least n."""
    missing = n - len(rows)
    if missing <= 0:
        return rows
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])


@final
class BatchSize:
    """How many images a call of a session holds: half as many where memory ends.

    Several threads may use it.

    Parameters
    ----------
    size : int
        Images a call, to begin with.
    fixed : bool
        Whether the graph takes that number only.
    on_cpu : bool
        Whether the session runs there.
    on_fall : callable, optional
        Told the new batch size when memory has run out.
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

    def each(self, n: int, call: Callable[[int, int], T]) -> list[T]:
        """What `call` gives for the images `start` to `stop` of n, batch by batch.

        Raises
        ------
        OutOfMemory
            If not even the smallest batch fits.
        """
        found, start = [], 0
        while start < n:
            limit = self.size
            stop = min(start + limit, n)
            try:
                found.append(call(start, stop))
            except OutOfMemory as error:
                self._halve(limit, error)
            else:
                start = stop
        return found

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
        Images a call, to begin with.
    fixed : bool
        Whether the graph takes that number only.
    on_fall : callable
        Told the new batch size when memory has run out.
    """

    def __init__(
        self,
        session: Session,
        spec: ModelSpec,
        batch_size: int,
        *,
        fixed: bool,
        on_fall: Callable[[int], None],
    ) -> None:
        self.session = session
        self.spec = spec
        on_cpu = session.device.where == "cpu"
        self._batches = BatchSize(batch_size, fixed=fixed, on_cpu=on_cpu, on_fall=on_fall)

    @property
    def batch_size(self) -> int:
        """Images a call should hold."""
        return self._batches.size

    def width(self, n: int) -> int:
        """Images that a call holds when n are wanted.

        On a GPU that is one number for all calls: another shape would make cuDNN look for
        its algorithms again, and choose others.
        """
        always_full = self._batches.fixed or self.session.device.where != "cpu"
        return max(n, self._batches.size) if always_full else n

    def run(self, rows: NDArray[Any]) -> Scores:
        """Scores of some images, as the model takes them, in one call."""
        n = len(rows)
        width = self.width(n)  # once: another thread may halve it meanwhile
        (raw,) = self.session.run({self.spec.input: pad_rows(rows, width)}, [self.spec.output])
        return self.read(raw, width)[:n]

    def read(self, raw: NDArray[Any], width: int) -> Scores:
        """The scores of a call of so many images."""
        return head.decode_scores(raw, width, self.spec)

    def in_batches(self, n: int, call: Callable[[int, int], Scores]) -> Scores:
        """Scores of n images; `call` gives those of images `start` to `stop`.

        Raises
        ------
        OutOfMemory
            If not even the smallest batch fits.
        """
        return np.concatenate(self._batches.each(n, call))
