"""The pointing game (Zhang et al., ECCV 2016): does the heatmap's maximum hit the object?

References
----------
.. [1] Zhang, Lin, Brandt, Shen & Sclaroff, Top-down neural attention by excitation
   backprop, ECCV 2016, sec. 4.1, :arXiv:`1608.00507`
.. [2] Fong, Patrick & Vedaldi, Understanding deep networks via extremal perturbations and smooth
   masks, ICCV 2019, sec. 4, :arXiv:`1910.08485`
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Case, Heatmap, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.metrics.base import Direction, MetricResult, check_heatmap, check_map_size
from onnxplain.metrics.heatmaps.boxes import clip_object_boxes, make_box_mask


@dataclass(frozen=True)
class PointingGame(Parametrised):
    """Whether the maximum lies on the object, or no further from it than the tolerance.

    Parameters
    ----------
    tolerance : float
        Largest distance of a hit from the object, in pixels between pixel centres.

    Notes
    -----
    Where several pixels share the maximum, as in a binary map, the value is the share of
    these pixels that hit: the mean for a maximum drawn at random. [1]_ takes any of them.

    A distance of exactly the tolerance is a hit, so that a tolerance of 0 means the object
    itself. Programs differ: TorchRay, the program of [2]_, counts only smaller distances as hits,
    and an earlier one by its first author widens boxes by the tolerance on each side, corners
    and edge included. Of 72 maps of RISE, SP and LIME, 2 hit by exactly 15 pixels
    (`benchmarks/paper_programs.py`); ``tolerance=14.999`` leaves them out.
    """

    name: ClassVar[str] = "pointing"
    direction: ClassVar[Direction] = "higher"
    unit: ClassVar[str] = "share of images"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    tolerance: Annotated[float, Param("pixels by which the maximum may miss the object", ge=0)] = (
        15.0
    )

    def evaluations(self, size: Size) -> int:
        """Return 0: the classifier is not asked."""
        return 0

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap without a query."""
        yield from ()
        check_heatmap(heatmap, case.size)
        return self.judge(heatmap, case.boxes)

    def judge(self, heatmap: ArrayLike, boxes: Sequence[Box]) -> MetricResult:
        """Judge one heatmap (H, W) against the object's boxes, in its pixels.

        Raises
        ------
        ValueError
            If no box lies in the heatmap, or the heatmap is not finite.
        """
        from scipy.ndimage import distance_transform_edt  # 0.2 s to import

        size = check_map_size(heatmap)
        wide = check_heatmap(heatmap, size)
        target = make_box_mask(clip_object_boxes(boxes, size, self.name), size)
        near = distance_transform_edt(~target) <= self.tolerance
        top = wide == wide.max()
        row, column = np.unravel_index(wide.argmax(), wide.shape)
        # On average, a random map scores the share of the pixels that would hit.
        details = {
            "maximum": [int(row), int(column)],
            "n_maxima": int(top.sum()),
            "chance": float(near.mean()),
        }
        return MetricResult(float(near[top].mean()), details)


def pointing_accuracy(hits: Sequence[float], classes: Sequence[int]) -> float:
    """Return the mean over classes of the mean over each class's images, as [1]_ reports it.

    Raises
    ------
    ValueError
        If there are no hits, or not as many classes as hits.

    Examples
    --------
    >>> pointing_accuracy([1, 1, 0, 1], [7, 7, 7, 9])
    0.8333333333333333
    """
    if not hits or len(hits) != len(classes):
        raise ValueError(f"give one class per hit, got {len(hits)} hits and {len(classes)} classes")
    by_class: dict[int, list[float]] = defaultdict(list)
    for hit, index in zip(hits, classes, strict=True):
        by_class[index].append(hit)
    return float(np.mean([np.mean(class_hits) for class_hits in by_class.values()]))
