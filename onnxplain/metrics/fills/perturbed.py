"""What perturbed samples do that has nothing to do with the object.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 5.1, 5.2 and figs. 7, 8, S16, :arXiv:`1910.04256`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Case, Heatmap, Size
from onnxplain.core.flow import FillQuery, Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Fill
from onnxplain.masks.families import list_corners, place_patches, prepend_empty_mask
from onnxplain.metrics.base import Direction, MetricResult
from onnxplain.metrics.fills.neutrality import entropy
from onnxplain.metrics.heatmaps.boxes import clip_object_boxes

T = TypeVar("T")


@dataclass(frozen=True)
class OffObjectChange(Parametrised):
    """Mean change of the score while a sliding patch lies wholly outside the object.

    A fill that looks unnatural moves the score even there: 0.09 for grey patches of 53
    pixels and 0.04 for inpainted ones on ImageNet [1]_. It does not look at the heatmap.

    Parameters
    ----------
    patch : int
        Side of the patch in pixels.
    stride : int
        Pixels between neighbouring patches.
    fill : Fill, optional
        What stands in for removed pixels; the job's fill if not given.
    """

    name: ClassVar[str] = "off-object"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "probability"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    patch: Annotated[int, Param("side of the sliding patch in pixels", ge=1)] = 53
    stride: Annotated[int, Param("pixels between neighbouring patches", ge=1)] = 3
    fill: Fill | None = None

    def evaluations(self, size: Size) -> int:
        """One a position outside the object, and one for the image itself."""
        return len(self._corners(size)) + 1

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge the fill; NaN where the object leaves no room for the patch."""
        boxes = clip_object_boxes(case.boxes, case.size, self.name)
        corners = self._corners(case.size)
        outside = corners[find_patches_outside(corners, self.patch, boxes)]
        if not len(outside):
            return MetricResult(float("nan"), {"positions": 0})
        reply = yield MaskQuery(prepend_empty_mask(outside, self.patch, case.size), fill=self.fill)
        changes = np.abs(reply.scores[1:] - reply.scores[0])
        return MetricResult(float(changes.mean()), {"positions": len(outside)})

    def _corners(self, size: Size) -> NDArray[np.int64]:
        return list_corners(*place_patches(size, self.patch, self.stride, "OffObjectChange"))


def find_patches_outside(
    corners: NDArray[np.int64], patch: int, boxes: Sequence[Box]
) -> NDArray[np.bool_]:
    """Which patches share no pixel with any of the boxes, shape (N,).

    With the corners of SP's patches it picks, of the drops that SP has already measured (its
    `coarse` map), those that `OffObjectChange` is the mean absolute value of.
    """
    top, left = corners[:, 0], corners[:, 1]
    outside = np.ones(len(corners), np.bool_)
    for box in boxes:
        apart = (top + patch <= box.top) | (top >= box.bottom)
        apart |= (left + patch <= box.left) | (left >= box.right)
        outside &= apart
    return outside


def record_labels(flow: Flow[T]) -> Flow[tuple[T, NDArray[np.int64]]]:
    """Run a method's flow and also give the top class of every sample that it asked about.

    The method's own evaluations are used: nothing is asked twice.
    """
    labels: list[NDArray[np.int64]] = []
    try:
        query = next(flow)
        while True:
            if isinstance(query, FillQuery):  # nothing is classified
                reply = yield query
            else:
                reply = yield replace(query, classes=True)
                assert reply.classes is not None
                labels.append(reply.classes.argmax(axis=1))
            query = flow.send(reply)
    except StopIteration as stop:
        return stop.value, np.concatenate(labels) if labels else np.empty(0, np.int64)
    finally:
        flow.close()


@dataclass(frozen=True)
class LabelBias(Parametrised):
    """Share of a method's samples that fall into the few most common top classes.

    20.5 % of LIME's grey samples fall into three of ImageNet's classes, whatever the image;
    inpainted samples hardly favour any [1]_.

    Parameters
    ----------
    top : int
        How many of the most common classes are counted.
    """

    name: ClassVar[str] = "label-bias"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of samples"

    top: Annotated[int, Param("most common classes that are counted", ge=1)] = 3

    def judge(self, labels: NDArray[np.integer] | Sequence[int]) -> MetricResult:
        """Judge the top classes of samples, pooled over as many images as wanted.

        Its details hold the entropy of the classes in nats and how often each occurred,
        the most common first.

        Raises
        ------
        ValueError
            If there are no samples.
        """
        counts = Counter(int(label) for label in labels)
        total = counts.total()
        if not total:
            raise ValueError("label bias is taken over one sample or more, got none")
        # Of equally common classes the lower index comes first.
        common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        shares = np.array([count for _, count in common]) / total
        details = {
            "samples": total,
            "entropy": entropy(shares),
            "classes": [label for label, _ in common],
            "counts": [count for _, count in common],
        }
        return MetricResult(float(shares[: self.top].sum()), details)
