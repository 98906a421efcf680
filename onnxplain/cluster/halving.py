"""Smaller batches for a worker whose memory ran out."""

from __future__ import annotations

from typing import Any

from onnxplain.core.protocols import Classifier


def halve_batches(classifier: Classifier, times: int) -> None:
    """Let a classifier take half as many images per call, as often as memory has run out."""
    lower: Any = getattr(classifier, "lower_batch_size", None)  # functions choose for themselves
    if times and lower is not None:
        lower(max(1, classifier.batch_size >> times))
