"""ONNX Runtime's own sessions of one model.

On CUDA, a convolution keeps the plan of the last shape only, and making one takes long. So a model
with convolutions gets a session for each of the two shapes that it is called with: a batch, and a
few images. On the CPU, and without convolutions, one session takes all shapes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, final

from onnxplain.runtime.failures import OutOfMemory


@final
class RawSessions:
    """ONNX Runtime's sessions of one model, by the shapes of its inputs; thread-safe.

    Parameters
    ----------
    first : InferenceSession
        The model, loaded.
    open_another : callable
        Loads it once more.
    most : int
        Sessions at most.
    """

    def __init__(self, first: Any, open_another: Callable[[], Any], *, most: int) -> None:
        self.first = first
        self._open_another = open_another
        self._most = most
        self._by_shapes: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, shapes: Hashable) -> Any:
        """Return the session for some shapes; the one that was not used longest takes new ones."""
        if self._most == 1:
            return self.first
        with self._lock:
            if shapes not in self._by_shapes:
                self._by_shapes[shapes] = self._take_session()
            self._by_shapes.move_to_end(shapes)
            return self._by_shapes[shapes]

    def _take_session(self) -> Any:
        if not self._by_shapes:
            return self.first
        if len(self._by_shapes) < self._most:
            try:
                return self._open_another()
            except OutOfMemory:  # then they share what fits
                self._most = len(self._by_shapes)
        return self._by_shapes.popitem(last=False)[1]
