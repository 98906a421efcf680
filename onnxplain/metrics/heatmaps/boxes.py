"""From a heatmap to a box: thresholds at a share of the maximum, and the best such share.

Localisation and the saliency metric both judge the box around what a heatmap marks. Where
to cut is a parameter ``alpha`` that is chosen on held-out images, never on those reported.

References
----------
.. [1] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful perturbation,
   ICCV 2017, sec. 5.4, :arXiv:`1704.03296`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.3 and fig. S6, :arXiv:`1910.04256`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from onnxplain.core.data import Box, Size
from onnxplain.metrics.base import Direction, MetricResult

Around: TypeAlias = Literal["all", "largest"]

# The grid of [2]_, 0:.05:.95.
ALPHAS = tuple(i / 20 for i in range(20))


def find_box_above_threshold(
    heatmap: NDArray[np.float64], alpha: float, around: Around = "all"
) -> Box | None:
    """The smallest box around the pixels of at least ``alpha * max``.

    Parameters
    ----------
    heatmap : (H, W) ndarray
        Only positive values count: they are evidence for the target.
    alpha : float in [0, 1]
        Share of the maximum; 0 keeps every positive pixel.
    around : {'all', 'largest'}
        All those pixels, or their largest component of side by side pixels.

    Returns
    -------
    box : Box or None
        None where no pixel is positive.
    """
    top = heatmap.max()
    if top <= 0:
        return None
    marked = (heatmap >= alpha * top) & (heatmap > 0)
    if around == "largest":
        labels, _ = ndimage.label(marked)
        counts = np.bincount(labels.ravel())
        counts[0] = 0
        marked = labels == counts.argmax()
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def clip_boxes(boxes: Sequence[Box], size: Size) -> tuple[Box, ...]:
    """The parts of boxes that lie in the image; boxes wholly outside are dropped."""
    rows, columns = size
    inside = [
        Box(max(b.top, 0), max(b.left, 0), min(b.bottom, rows), min(b.right, columns))
        for b in boxes
    ]
    return tuple(b for b in inside if b.bottom > b.top and b.right > b.left)


def clip_object_boxes(boxes: Sequence[Box], size: Size, metric: str) -> tuple[Box, ...]:
    """The boxes of a case inside its image, or an error where there are none."""
    if not boxes:
        raise ValueError(
            f"{metric} needs a box around the object, and none is given; give boxes=, or "
            f"--annotations with xmin, ymin, xmax, ymax"
        )
    inside = clip_boxes(boxes, size)
    if not inside:
        raise ValueError(
            f"{metric} needs a box around the object inside the image of {size}, as the "
            f"classifier sees it; got {tuple(boxes)!r}"
        )
    return inside


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, in [0, 1].

    Examples
    --------
    >>> iou(Box(0, 0, 2, 2), Box(0, 1, 2, 3))
    0.3333333333333333
    """
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    width = min(first.right, second.right) - max(first.left, second.left)
    shared = max(height, 0) * max(width, 0)
    return shared / (area(first) + area(second) - shared)


def area(box: Box) -> float:
    """Area in pixels."""
    return (box.bottom - box.top) * (box.right - box.left)


def make_box_mask(boxes: Sequence[Box], size: Size) -> NDArray[np.bool_]:
    """The pixels (H, W) whose centres lie in any of the boxes, which lie in the image.

    A box so thin that it holds no centre has the pixels of its middle: an object is never
    nothing.
    """
    rows, columns = size
    mask = np.zeros(size, np.bool_)
    for box in boxes:
        mask[np.ix_(_pixels(box.top, box.bottom, rows), _pixels(box.left, box.right, columns))] = 1
    return mask


def _pixels(start: float, stop: float, side: int) -> NDArray[np.intp]:
    centres = np.arange(side) + 0.5
    inside = np.flatnonzero((centres >= start) & (centres < stop))
    return inside if inside.size else np.array([min(int((start + stop) / 2), side - 1)])


def list_alphas(alpha: float) -> tuple[float, ...]:
    """The grid of thresholds, and the one asked for."""
    return tuple(sorted({*ALPHAS, alpha}))


def choose_alpha(scores: Sequence[MetricResult], direction: Direction) -> float:
    """The threshold with the best mean over held-out images; the lowest of equal ones.

    Parameters
    ----------
    scores : sequence of Score
        Of one metric with an alpha grid, one an image.
    direction : {'lower', 'higher'}
        The metric's.

    Raises
    ------
    ValueError
        If there are no scores, or they were taken over different grids.
    """
    grids = {tuple(score.details["alphas"]) for score in scores}
    if len(grids) != 1:
        raise ValueError(
            f"best_alpha takes scores over one grid of alphas, got {len(grids)} grids "
            f"in {len(scores)} scores"
        )
    (grid,) = grids
    means = np.mean([score.details["values"] for score in scores], axis=0)
    best = means.argmin() if direction == "lower" else means.argmax()
    return float(grid[best])


def get_value_at_alpha(score: MetricResult, alpha: float) -> float:
    """The value of a score at another threshold of its grid.

    Raises
    ------
    ValueError
        If `alpha` is not one of the grid.
    """
    grid = list(score.details["alphas"])
    if alpha not in grid:
        raise ValueError(f"alpha must be one of {grid}, got {alpha}")
    return float(score.details["values"][grid.index(alpha)])
