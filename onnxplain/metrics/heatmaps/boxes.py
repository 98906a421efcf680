"""From a heatmap to a box: thresholds at a share of its range, and how to choose it.

Localisation and the saliency metric both judge the box around what a heatmap marks. The
threshold ``alpha`` is chosen on held-out images, never on the images reported.

References
----------
.. [1] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful perturbation,
   ICCV 2017, sec. 5.4, :arXiv:`1704.03296`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.3 and fig. S6, :arXiv:`1910.04256`
.. [3] Choe, Oh, Lee, Chun, Akata & Shim, Evaluating weakly supervised object localization
   methods right, CVPR 2020, sec. 3.3, :arXiv:`2001.07437`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Box, Size
from onnxplain.metrics.base import Direction, MetricResult

Around: TypeAlias = Literal["all", "largest"]
Scale: TypeAlias = Literal["min-max", "max"]

# The grid of [2]_, 0:.05:.95.
ALPHAS = tuple(i / 20 for i in range(20))


def find_box_above_threshold(
    heatmap: NDArray[np.float64],
    alpha: float,
    around: Around = "all",
    scale: Scale = "min-max",
) -> Box | None:
    """Return the smallest box around the pixels above a threshold.

    Parameters
    ----------
    heatmap : (H, W) ndarray
        Larger values mean more evidence for the target.
    alpha : float in [0, 1]
        Height of the threshold; at 0 the pixels above the bottom of the scale are left.
    around : {'all', 'largest'}
        Whether the box surrounds all these pixels, or the largest group of pixels that are
        connected side by side.
    scale : {'min-max', 'max'}
        What alpha is a share of. ``min-max``: of the map's range, so that a constant added to
        the map changes nothing, as in [3]_. ``max``: of its maximum, as in [2]_; negative
        values do not count.

    Returns
    -------
    box : Box or None
        None where no pixel lies above the bottom of the scale: with ``min-max`` if the map is
        constant, with ``max`` if no value is positive.
    """
    bottom = heatmap.min() if scale == "min-max" else 0.0
    span = heatmap.max() - bottom
    if span <= 0:
        return None
    height = heatmap - bottom
    marked = (height >= alpha * span) & (height > 0)
    if around == "largest":
        from scipy import ndimage  # 0.2 s to import

        labels, _ = ndimage.label(marked)
        counts = np.bincount(labels.ravel())
        counts[0] = 0
        marked = labels == counts.argmax()
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def clip_boxes(boxes: Sequence[Box], size: Size) -> tuple[Box, ...]:
    """Cut boxes at the border of the image, and drop boxes wholly outside."""
    rows, columns = size
    inside = [
        Box(max(box.top, 0), max(box.left, 0), min(box.bottom, rows), min(box.right, columns))
        for box in boxes
    ]
    return tuple(box for box in inside if box.bottom > box.top and box.right > box.left)


def clip_object_boxes(boxes: Sequence[Box], size: Size, metric: str) -> tuple[Box, ...]:
    """Cut a case's boxes at the border of its image.

    Raises
    ------
    ValueError
        If no box is left; the message names the metric.
    """
    if not boxes:
        raise ValueError(
            f"{metric} needs a box around the object, got none; give boxes=, or "
            f"--annotations with xmin, ymin, xmax, ymax"
        )
    inside = clip_boxes(boxes, size)
    if not inside:
        raise ValueError(
            f"{metric} needs a box around the object inside the image of {size} that the "
            f"classifier sees, got {tuple(boxes)!r}; give a box that overlaps it"
        )
    return inside


def iou(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, in [0, 1].

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
    """Return the area of a box in pixels."""
    return (box.bottom - box.top) * (box.right - box.left)


def make_box_mask(boxes: Sequence[Box], size: Size) -> NDArray[np.bool_]:
    """Return the mask (H, W) of pixels whose centres lie in any of the boxes.

    The boxes lie in the image. A box too thin to hold a pixel's centre gets the pixel at its
    middle, so that an object always has pixels.
    """
    rows, columns = size
    mask = np.zeros(size, np.bool_)
    for box in boxes:
        inside = (
            _find_pixels(box.top, box.bottom, rows),
            _find_pixels(box.left, box.right, columns),
        )
        mask[np.ix_(*inside)] = True
    return mask


def _find_pixels(start: float, stop: float, side: int) -> NDArray[np.intp]:
    """Return the pixels of one axis whose centres lie between two edges, else the middle one."""
    centres = np.arange(side) + 0.5
    inside = np.flatnonzero((centres >= start) & (centres < stop))
    return inside if inside.size else np.array([min(int((start + stop) / 2), side - 1)])


def list_alphas(alpha: float) -> tuple[float, ...]:
    """Return the grid of thresholds, with `alpha` added if it is not in the grid."""
    return tuple(sorted({*ALPHAS, alpha}))


def choose_alpha(scores: Sequence[MetricResult], direction: Direction) -> float:
    """Choose the threshold with the best mean over held-out images; among equals, the lowest.

    Parameters
    ----------
    scores : sequence of MetricResult
        One per image, of one metric with a grid of alphas.
    direction : {'lower', 'higher'}
        Which values of the metric are better.

    Raises
    ------
    ValueError
        If there are no scores, or they were taken over different grids.
    """
    grids = {tuple(score.details["alphas"]) for score in scores}
    if len(grids) != 1:
        raise ValueError(
            f"alpha is chosen from scores over one grid of alphas, got {len(grids)} grids "
            f"in {len(scores)} scores; judge every image with the same alpha"
        )
    (grid,) = grids
    means = np.mean([score.details["values"] for score in scores], axis=0)
    best = means.argmin() if direction == "lower" else means.argmax()
    return float(grid[best])


def get_value_at_alpha(score: MetricResult, alpha: float) -> float:
    """Return the value of a score at another threshold of its grid.

    Raises
    ------
    ValueError
        If `alpha` is not in the grid.
    """
    grid = list(score.details["alphas"])
    if alpha not in grid:
        raise ValueError(f"alpha must be one of {grid}, got {alpha}")
    return float(score.details["values"][grid.index(alpha)])
