"""The saliency metric (Dabkowski & Gal, NeurIPS 2017): a small crop should suffice.

The box around what the heatmap marks is cut out and enlarged to the classifier's size. The
smaller it is and the surer the classifier is of the target, the lower the score.

References
----------
.. [1] Dabkowski & Gal, Real time image saliency for black box classifiers, NeurIPS 2017,
   sec. 5.1, :arXiv:`1705.07857`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.3 and table 4, :arXiv:`1910.04256`
.. [3] Choe, Oh, Lee, Chun, Akata & Shim, Evaluating weakly supervised object localization
   methods right, CVPR 2020, sec. 3.3, :arXiv:`2001.07437`
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Box, Case, Heatmap, Image, Size
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import resize
from onnxplain.metrics.base import Direction, MetricResult, check_heatmap
from onnxplain.metrics.heatmaps.boxes import (
    Around,
    Scale,
    area,
    find_box_above_threshold,
    list_alphas,
)

# A crop's probability of 0 would make the metric infinite; the details count these crops.
SMALLEST_SCORE = 1e-12


@dataclass(frozen=True)
class SaliencyMetric(Parametrised):
    """How small a crop suffices: ``log(max(a, 0.05)) - log(s)``.

    a is the crop's share of the image's area, s the crop's score for the target.

    Parameters
    ----------
    alpha : float
        The crop surrounds the pixels of at least this share of the map's range; choose it by
        `choose_alpha` on held-out images, as [2]_ does.
    around : {'all', 'largest'}
        Crop to all these pixels, or to their largest connected group.
    scale : {'min-max', 'max'}
        What alpha is a share of. ``min-max``: of the range from the map's minimum to its
        maximum, as in [3]_. ``max``: of its maximum, as in [2]_; negative values do not count.
    smallest_area : float
        Share of the image below which a smaller crop counts as no better.
    grid : bool
        Whether the crops of every alpha of the grid are scored, for `choose_alpha`, or only
        the crop at `alpha`.

    Notes
    -----
    The crop is cut from the image at the classifier's size and enlarged bicubically. It
    includes the last row and column, which a widely used program loses. A constant heatmap
    marks nothing, nor does one without positive values with ``scale=max``: its crop is the
    whole image. `LocalisationError` has a table of what both scales give for RISE, SP and LIME.
    """

    name: ClassVar[str] = "saliency"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "nats"
    usual_fill: ClassVar[str | None] = None
    looks_at_boxes: ClassVar[bool] = False

    alpha: Annotated[
        float, Param("crop to pixels of at least this share of the range", ge=0, le=1)
    ] = 0.2
    around: Annotated[
        Around, Param("crop to all these pixels, or their largest connected group")
    ] = "all"
    scale: Annotated[Scale, Param("alpha is a share of the map's range, or of its maximum")] = (
        "min-max"
    )
    smallest_area: Annotated[
        float, Param("share of the image below which a smaller crop is no better", gt=0, le=1)
    ] = 0.05
    grid: Annotated[bool, Param("also score the crops of alpha = 0, 0.05, ..., 0.95")] = True

    def evaluations(self, size: Size) -> int:
        """Return one per crop; equal crops are scored once."""
        return len(list_alphas(self.alpha)) if self.grid else 1

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap without random draws."""
        wide = check_heatmap(heatmap, case.size)
        alphas = list_alphas(self.alpha) if self.grid else (self.alpha,)
        whole = Box(0, 0, *case.size)
        marked = [
            find_box_above_threshold(wide, alpha, self.around, self.scale) for alpha in alphas
        ]
        boxes = [box or whole for box in marked]
        distinct = list(dict.fromkeys(boxes))
        crops = np.stack([crop_and_enlarge(case.image, box) for box in distinct])
        reply = yield ImageQuery(crops)
        scores = dict(zip(distinct, reply.scores.tolist(), strict=True))
        shares = {box: area(box) / area(whole) for box in distinct}
        values = [
            float(np.log(max(shares[box], self.smallest_area)) - np.log(max(score, SMALLEST_SCORE)))
            for box, score in ((box, scores[box]) for box in boxes)
        ]
        index = alphas.index(self.alpha)
        details = {
            "alpha": self.alpha,
            "alphas": list(alphas),
            "values": values,
            "scores": [scores[box] for box in boxes],
            "areas": [shares[box] for box in boxes],
            "box": list(astuple(boxes[index])),
            "marks_nothing": None in marked,
            "clipped": sum(scores[box] < SMALLEST_SCORE for box in boxes),
        }
        return MetricResult(values[index], details)


def crop_and_enlarge(image: Image, box: Box) -> Image:
    """Cut a box of whole pixels out of an image and enlarge it to the image's size."""
    top, left, bottom, right = (int(edge) for edge in astuple(box))
    inside = np.ascontiguousarray(image[top:bottom, left:right])
    rows, columns, _ = image.shape
    # Bicubic interpolation overshoots the range of the pixels; colours must not.
    return np.clip(resize(inside, (rows, columns), "bicubic"), 0, 1)
