"""Deletion and insertion curves with the pictures that the classifier saw along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from numpy.typing import ArrayLike

from onnxplain.core.data import Case, Images, make_rng
from onnxplain.core.flow import FillQuery, Flow, MaskQuery
from onnxplain.core.protocols import Fill
from onnxplain.drawing.course import Course, choose_points, draw_course
from onnxplain.engine.run import Job, collect_values
from onnxplain.masks.families import ArrayMasks
from onnxplain.metrics.base import Metric, MetricResult
from onnxplain.metrics.judging import AnyClassifier, choose_fill, prepare_case
from onnxplain.metrics.naming import to_metric
from onnxplain.plot.grid import Tile
from onnxplain.plot.layout import stack
from onnxplain.plot.parts import draw_photo
from onnxplain.results import Explanation
from onnxplain.subjects import ImageSource

MARGIN, GAP = 20, 28
SHARES = (0.0, 0.1, 0.2, 0.4, 0.8)  # of the pixels, at which a picture is shown
WAYS = {"deletion": "removed", "insertion": "brought back"}
GOOD = {"lower": "lower is better", "higher": "higher is better"}


def draw_curves(
    classifier: AnyClassifier,
    image: ImageSource,
    heatmap: ArrayLike | Explanation,
    target: int | str | None = None,
    *,
    metrics: Sequence[Metric | str] = ("deletion", "insertion"),
    fill: Fill | str | None = None,
    seed: int = 0,
    size: int = 176,
) -> PIL.Image.Image:
    """Draw curves of the score while pixels go or come back, and what the classifier saw.

    Parameters
    ----------
    classifier, image, heatmap, fill, seed
        As for `onnxplain.metrics.judge`, whose values and curves are drawn.
    target : int or str, optional
        Class of the heatmap. If not given, that of the `Explanation`; of other heatmaps, the
        predicted class.
    metrics : sequence of Metric or str
        Deletion and insertion, perhaps with parameters: ``"deletion:step=500,fill=blur"``.
    size : int
        Pixels of the longer side of the pictures.

    Returns
    -------
    picture : PIL.Image.Image
        A chart per metric, and below it the image at the points of the curve that are nearest to
        0, 10, 20, 40 and 80 % of the pixels.

    Raises
    ------
    ValueError, TypeError
        As for `judge`, or if a metric has no curve.
    """
    if target is None and isinstance(heatmap, Explanation):
        target = heatmap.target
    prepared = prepare_case(classifier, image, target)
    case, fitted = prepared.case, prepared.fit_heatmap(heatmap)
    chosen = [to_metric(metric) for metric in metrics]
    if without := [metric.name for metric in chosen if metric.name not in WAYS]:
        raise ValueError(f"only deletion and insertion have curves to draw, got {without[0]!r}")
    jobs = []
    for metric in chosen:
        rng = make_rng(seed, case.name, metric.name)
        used = choose_fill(fill or metric.usual_fill)
        jobs.append(Job((case,), (_watch(metric, case, fitted, rng),), used, seed))
    name = prepared.classifier.class_names[case.target].split(",")[0]
    figures = [
        draw_course(_describe(metric, seen, f"{name} · class {case.target}", size), size)
        for metric, seen in zip(chosen, collect_values(prepared.classifier, jobs), strict=True)
    ]
    return PIL.Image.fromarray(stack(figures, GAP, MARGIN))


class _Seen(NamedTuple):
    """The result of a metric with a curve, and the images at some of its points."""

    result: MetricResult
    points: Sequence[int]
    images: Images


def _watch(metric: Metric, case: Case, heatmap: Any, rng: np.random.Generator) -> Flow[_Seen]:
    """Judge a heatmap as the metric does, and keep some of the images that were scored."""
    flow = metric.flow(case, heatmap, rng)
    query = next(flow)
    assert isinstance(query, MaskQuery)
    reply = yield query
    try:
        flow.send(reply)
    except StopIteration as end:
        result: MetricResult = end.value
    points = choose_points(_list_shares(result), SHARES)
    masks = np.concatenate([query.masks.render(i, i + 1) for i in points])
    fills = (yield FillQuery(ArrayMasks(masks), query.fill)).images
    assert fills is not None
    removed = masks[..., None]
    return _Seen(result, points, case.image * (1 - removed) + fills * removed)


def _list_shares(result: MetricResult) -> list[float]:
    return [float(share) for share in result.details["share"]]


def _describe(metric: Metric, seen: _Seen, subject: str, size: int) -> Course:
    """Describe a curve and its pictures."""
    shares, scores = _list_shares(seen.result), list(seen.result.details["curve"])
    way = WAYS[metric.name]
    tiles = [
        Tile(
            draw_photo(image, size),
            f"{shares[i]:.0%} {way}",
            caption=f"probability {scores[i]:.3g}",
        )
        for i, image in zip(seen.points, seen.images, strict=True)
    ]
    return Course(
        shares,
        scores,
        f"{metric.name} {seen.result.value:.3g}",
        f"{subject} · area under the curve, {GOOD[metric.direction]}",
        f"share of the pixels {way}, the highest of the map first",
        "probability",
        seen.points,
        tiles,
    )
