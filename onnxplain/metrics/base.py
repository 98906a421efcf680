"""The result of a metric, and the members that every metric has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxplain.core.data import Box, Case, Heatmap, Size
from onnxplain.core.flow import Flow
from onnxplain.core.params import get_values
from onnxplain.image import Frame, encode_png, is_same_part, scale_box
from onnxplain.plot.chart import draw_chart
from onnxplain.plot.layout import stack
from onnxplain.plot.text import draw_text
from onnxplain.results.explanation import Explanation, find_part_seen
from onnxplain.runtime.network import convert_to_array

CHART_SIZE = (220, 440)  # of a curve in a notebook

Direction: TypeAlias = Literal["lower", "higher"]


@final
class MetricResult(float):
    """A metric's value, which is a number, and the facts behind it.

    Parameters
    ----------
    value : float
        In the metric's unit; NaN where undefined, such as the correlation of a constant map.
    details : mapping
        The curve and other facts behind the value, which JSON can hold.

    Examples
    --------
    >>> score = MetricResult(0.25, {"curve": [0.5, 0.0]})
    >>> score < 0.5, float(np.mean([score, 0.75])), f"{score:.1f}", score.details["curve"]
    (True, 0.5, '0.2', [0.5, 0.0])
    """

    details: Mapping[str, Any]

    def __new__(cls, value: float, details: Mapping[str, Any] | None = None) -> Self:
        """Make the number, and attach the details."""
        result = super().__new__(cls, value)
        result.details = {} if details is None else details
        return result

    def __getnewargs__(self) -> tuple[float, Mapping[str, Any]]:  # type: ignore[override]  # pickle
        return self.value, self.details

    def __repr__(self) -> str:
        return f"MetricResult({self.value!r})"

    def _repr_png_(self) -> tuple[bytes, dict[str, str]] | None:
        """Return the curve behind the value for notebooks, if there is one."""
        curve, shares = self.details.get("curve"), self.details.get("share")
        if not curve or not shares or len(curve) != len(shares):
            return None
        chart = draw_chart(
            shares, curve, CHART_SIZE, font_size=14, across="share of the pixels", up="score"
        )
        title = draw_text(f"{self.value:.4g}", chart.shape[1], 17)
        alt = f"{self.value:.4g}: a curve from {curve[0]:.3g} to {curve[-1]:.3g}"
        return encode_png(stack([title, chart], 4, 10)), {"alt": alt}

    @property
    def value(self) -> float:
        """The value as a plain number."""
        return float(self)


class MetricIdentity(Protocol):
    """The attributes that identify a metric in a row of results."""

    name: ClassVar[str]
    direction: ClassVar[Direction]  # which values are better
    unit: ClassVar[str]


class Metric(MetricIdentity, Protocol):
    """A metric of one heatmap: frozen hyperparameters and one flow.

    Its flow yields queries, as that of a method does, and shares batches with other flows.
    """

    usual_fill: ClassVar[str | None]  # name of its paper's fill; None to judge the method's fill
    looks_at_boxes: ClassVar[bool]

    def evaluations(self, size: Size) -> int:
        """Return an upper bound on the images scored for one heatmap of this size."""
        ...

    def flow(self, case: Case, heatmap: Heatmap, rng: np.random.Generator) -> Flow[MetricResult]:
        """Judge one heatmap of the size of the case's image."""
        ...


class PairMetric(MetricIdentity, Protocol):
    """A metric that compares two heatmaps."""

    def compare(self, first: ArrayLike, second: ArrayLike) -> float:
        """Compare two maps of one shape; NaN where the metric is not defined."""
        ...


def nan_to_none(value: float) -> float | None:
    """Return the value, or None for NaN and infinity, which JSON does not have."""
    return value if math.isfinite(value) else None


def check_result(metric: MetricIdentity, result: Any) -> MetricResult:
    """Return what a metric's flow returned after checking that a row can hold it.

    Raises
    ------
    TypeError
        If it is no `MetricResult`, or JSON cannot hold its details.
    """
    if not isinstance(result, MetricResult):
        raise TypeError(
            f"the flow of metric {metric.name} must return a MetricResult, got "
            f"{type(result).__name__}"
        )
    try:
        json.dumps(dict(result.details), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"JSON cannot hold the details of metric {metric.name} ({error}); give Python's own "
            f"numbers, texts and lists, and None for NaN"
        ) from error
    return result


def to_row(metric: MetricIdentity, score: MetricResult) -> dict[str, Any]:
    """Return a result as a row of a table, which JSON can hold.

    Examples
    --------
    >>> from onnxplain.metrics.heatmaps.pointing import PointingGame
    >>> to_row(PointingGame(), MetricResult(1.0))["direction"]
    'higher'
    """
    return {
        "metric": metric.name,
        "value": nan_to_none(score.value),
        "direction": metric.direction,
        "unit": metric.unit,
        "parameters": get_values(metric),
        "details": dict(score.details),
    }


def to_map(heatmap: Any) -> NDArray[np.float64]:
    """Return a map or a tensor of any framework in float64, without leading axes of length 1.

    Examples
    --------
    >>> to_map([[[1, 2], [3, 4]]]).shape
    (2, 2)
    """
    if isinstance(heatmap, np.ma.MaskedArray):
        heatmap = np.ma.filled(heatmap.astype(np.float64), np.nan)  # what is masked is not known
    given = convert_to_array(heatmap)
    if given.dtype.kind not in "biufO":
        raise TypeError(f"a heatmap holds real numbers, got {given.dtype}")
    array = given.astype(np.float64)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    return array


def fit_heatmap(heatmap: Any, frame: Frame) -> NDArray[np.float64]:
    """Return a heatmap of any origin at the classifier's size.

    Parameters
    ----------
    heatmap : array_like, tensor of any framework, or Explanation
        At the classifier's size, or at the photo's: then it is cropped and resized as the
        photo was. If both sizes are equal, it is taken to be at the classifier's. Axes of
        length 1 beside rows and columns are dropped. An Explanation is of the same part of the
        photo, and of any size.
    frame : Frame
        How the photo is brought to the classifier's size.

    Raises
    ------
    ValueError
        If it has neither size, holds NaN or infinity, or shows another part of the photo.
    """
    if isinstance(heatmap, Explanation):
        _check_part(heatmap, frame)
        heatmap = heatmap.heatmap if heatmap.heatmap.shape == frame.size else heatmap.full_heatmap
    array = to_map(getattr(heatmap, "heatmap", heatmap))
    while array.ndim > 2 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.shape != frame.size and array.shape == frame.original:
        return frame.bring_map(check_heatmap(array, frame.original))
    if array.size and array.shape != frame.size:
        why = "; add up or average its channels" if array.ndim > 2 else ""
        raise ValueError(
            f"the heatmap has shape {array.shape}; it is a map of the photo {frame.original}, or "
            f"of the {frame.size} that the classifier sees of it{why}"
        )
    return check_heatmap(array, frame.size)


def _check_part(explanation: Explanation, frame: Frame) -> None:
    """Check that an explanation is of the part of the photo that a classifier sees of it."""
    seen, (rows, columns) = find_part_seen(explanation), frame.original
    expected = scale_box(frame.window, 1 / rows, 1 / columns)
    if not is_same_part(seen, expected, frame.size):
        raise ValueError(
            f"the explanation is of another part of the photo, {format_part(seen)}, than the "
            f"classifier sees, {format_part(expected)}; give its full_heatmap, the map of the photo"
        )


def format_part(part: Box) -> str:
    """Format a part of a photo in shares of its rows and columns.

    >>> format_part(Box(0, 0.125, 1, 0.875))
    'rows 0 to 100 % and columns 12.5 to 87.5 %'
    """
    top, left, bottom, right = (f"{100 * share:.3g}" for share in astuple(part))
    return f"rows {top} to {bottom} % and columns {left} to {right} %"


def check_heatmap(heatmap: Any, size: Size) -> NDArray[np.float64]:
    """Return the heatmap in float64 after checking it.

    Raises
    ------
    ValueError
        If the heatmap does not have the size of the image, or holds NaN or infinity.
    """
    wide = to_map(heatmap)
    if not wide.size:
        raise ValueError(
            "the metric judges a heatmap, got none; give one (only metrics of fills need none)"
        )
    if wide.shape != size:
        raise ValueError(
            f"the heatmap has shape {wide.shape} and the image {size}; crop and resize it as the "
            f"photo was, or use metrics.judge, which takes maps of the photo's own size"
        )
    if not np.isfinite(wide).all():
        raise ValueError("the heatmap holds NaN or infinite values; give finite ones")
    return wide


def check_map_size(heatmap: Any) -> Size:
    """Return the rows and columns of a heatmap.

    Raises
    ------
    ValueError
        If the heatmap does not have two axes.
    """
    shape = to_map(heatmap).shape
    if len(shape) != 2:
        raise ValueError(f"a heatmap has shape (rows, columns), got {shape}")
    return shape
