"""Localisation error: does the box around what a heatmap marks hit the object?

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.3 and table 2, :arXiv:`1910.04256`
.. [2] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful perturbation,
   ICCV 2017, sec. 5.4, :arXiv:`1704.03296`
.. [3] Zhou, Khosla, Lapedriza, Oliva & Torralba, Learning deep features for discriminative
   localization, CVPR 2016, :arXiv:`1512.04150`
.. [4] Choe, Oh, Lee, Chun, Akata & Shim, Evaluating weakly supervised object localization
   methods right, CVPR 2020, sec. 3.3, :arXiv:`2001.07437`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.data import Box, Case, Heatmap, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import Param, Parametrised
from onnxplain.metrics.base import Direction, MetricResult, check_heatmap, check_map_size
from onnxplain.metrics.heatmaps.boxes import (
    Around,
    Scale,
    clip_object_boxes,
    find_box_above_threshold,
    iou,
    list_alphas,
    make_box_mask,
)

Truth: TypeAlias = Literal["any", "union"]


@dataclass(frozen=True)
class LocalisationError(Parametrised):
    """Whether the heatmap's box misses the object: 1 for a miss, 0 for a hit.

    Parameters
    ----------
    alpha : float
        The box is drawn around the pixels of at least this share of the map's range. 0.2 as
        in [3]_; choose it by `choose_alpha` on held-out images, as [1]_ does.
    truth : {'any', 'union'}
        Compare with the ground-truth box that fits best, as ImageNet does, or with the
        union of all ground-truth boxes.
    around : {'all', 'largest'}
        Draw the box around all these pixels, or around their largest connected group.
    scale : {'min-max', 'max'}
        What alpha is a share of. ``min-max``: of the range from the map's minimum to its
        maximum, as in [4]_. ``max``: of its maximum, as in [1]_; negative values do not count.
    overlap : float
        A box hits if its intersection over union with the object is above this.

    Notes
    -----
    A constant heatmap has no box and counts as a miss, and so does one without positive values
    with ``scale=max``. The details of the result hold the overlap and the error at every alpha
    of the grid, and the overlap of the whole image with the object: the baseline that a method
    must beat.

    By the rule of [1]_, ``scale=max``, the box of a map with an offset, as RISE's, is the whole
    image at most alphas. By ``min-max`` the zero of a map with negative values, as SP's and
    LIME's, lies at another alpha on each photo, so that one alpha fits them less well. On 24
    ImageNet photos with EfficientNet-Lite0 (`benchmarks/paper_programs.py`):

    ======  =======  ======================  =================  ===================
    map     scale    alphas of 20 whose box  least error        least saliency
                     is the whole image      (at alpha)         metric (at alpha)
    ======  =======  ======================  =================  ===================
    RISE    min-max  6.7                     0.67 (0.25)        -0.76 (0.65)
    RISE    max      16.8                    0.62 (0.75)        -0.29 (0.90)
    SP      min-max  8.0                     0.62 (0.50)        -0.17 (0.65)
    SP      max      2.9                     0.54 (0.40)        -0.27 (0.55)
    LIME    min-max  8.0                     0.67 (0.65)        -0.78 (0.65)
    LIME    max      4.9                     0.62 (0.35)        -0.82 (0.65)
    ======  =======  ======================  =================  ===================
    """

    name: ClassVar[str] = "localisation"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "share of images"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = True

    alpha: Annotated[
        float, Param("box around pixels of at least this share of the range", ge=0, le=1)
    ] = 0.2
    truth: Annotated[
        Truth, Param("compare with the best of the object's boxes, or their union")
    ] = "any"
    around: Annotated[
        Around, Param("box around all these pixels, or their largest connected group")
    ] = "all"
    scale: Annotated[Scale, Param("alpha is a share of the map's range, or of its maximum")] = (
        "min-max"
    )
    overlap: Annotated[
        float, Param("a hit has an intersection over union above this", ge=0, lt=1)
    ] = 0.5

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
        size = check_map_size(heatmap)
        wide, boxes = check_heatmap(heatmap, size), clip_object_boxes(boxes, size, self.name)
        alphas = list_alphas(self.alpha)
        marked = [
            find_box_above_threshold(wide, alpha, self.around, self.scale) for alpha in alphas
        ]
        overlaps = [measure_overlap(box, boxes, size, self.truth) for box in marked]
        values = [float(overlap <= self.overlap) for overlap in overlaps]
        index = alphas.index(self.alpha)
        box = marked[index]
        details = {
            "alpha": self.alpha,
            "alphas": list(alphas),
            "values": values,
            "overlaps": overlaps,
            "box": None if box is None else list(astuple(box)),
            "whole_image_overlap": measure_overlap(Box(0, 0, *size), boxes, size, self.truth),
        }
        return MetricResult(values[index], details)


def measure_overlap(
    box: Box | None, boxes: Sequence[Box], size: Size, truth: Truth = "any"
) -> float:
    """Return the intersection over union of a box and the object, in [0, 1]; 0 for no box.

    Parameters
    ----------
    box : Box or None
        The box around what a heatmap marks.
    boxes : sequence of Box
        The object's boxes, inside the image.
    size : (rows, columns)
        Size of the image.
    truth : {'any', 'union'}
        The best of the boxes, or the union of their pixels.
    """
    if box is None:
        return 0.0
    if truth == "any":
        return max(iou(box, true_box) for true_box in boxes)
    marked, true = make_box_mask([box], size), make_box_mask(boxes, size)
    return float((marked & true).sum() / (marked | true).sum())
