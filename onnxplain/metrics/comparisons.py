"""Metrics that explain an image again: with other parameters, fills, classes or weights.

Offered as `onnxplain.metrics.class_sensitivity` and so on. The maps of one classifier are
made in one run of the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from onnxplain.core.data import Heatmap, make_rng
from onnxplain.core.flow import Method
from onnxplain.core.mistakes import describe_unknown
from onnxplain.core.params import build
from onnxplain.core.protocols import Fill
from onnxplain.engine.run import Job, collect_values, make_jobs
from onnxplain.engine.settle import settle_method, settle_methods
from onnxplain.metrics.base import MetricResult, nan_to_none
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.heatmaps.chance import RandomHeatmap
from onnxplain.metrics.judging import AnyClassifier, PreparedCase, prepare_case
from onnxplain.metrics.stability.parameter_sweeps import (
    SWEEPS,
    Sweep,
    rank_correlations,
    sensitivity,
)
from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance, Randomisation
from onnxplain.metrics.stability.similarity import SSIM, Spearman
from onnxplain.registry import choose_method_and_fill, make_fill, make_method, split_generative
from onnxplain.subjects import ImageSource


def sweep(
    classifier: AnyClassifier,
    image: ImageSource,
    which: Sweep | str,
    target: int | str | None = None,
    *,
    fill: Fill | str | None = None,
) -> dict[str, MetricResult]:
    """Measure how alike the maps of one image are over a sweep of parameters or seeds.

    Parameters
    ----------
    classifier, image, target
        As in `judge`.
    which : Sweep or str
        A sweep, or its name in `SWEEPS`: the sweeps of the paper's tables S1 and S2, and the
        baseline ``random``, whose heatmaps are independent of one another.
    fill : Fill or str, optional
        What stands in for removed pixels; the fill of the method's paper if not given. With
        an inpainter the result is the table's row of the G-method.

    Returns
    -------
    scores : dict of MetricResult
        By metric (``ssim``, ``hog`` and ``spearman``); each is the mean over all pairs of maps.
    """
    if isinstance(which, str) and which not in SWEEPS:
        raise ValueError(f"sweep {describe_unknown(which, SWEEPS)}")
    plan = SWEEPS[which] if isinstance(which, str) else which
    prepared = prepare_case(classifier, image, target)
    variants = [_make_swept_method(plan.method, variant) for variant in plan.variants]
    methods, gradients = settle_methods(variants, prepared.classifier)
    jobs = [
        job
        for method in methods
        for seed in plan.seeds
        for job in make_jobs(
            method, [prepared.case], choose_method_and_fill(method, fill).fill, seed
        )
    ]
    attributions = collect_values(prepared.classifier, jobs, gradients=gradients)
    maps = [attribution.heatmap for attribution in attributions]
    return {metric.name: sensitivity(metric, maps, rescale=plan.rescale) for metric in plan.metrics}


@dataclass(frozen=True, eq=False)
class Audit:
    """The evidence that fills carry by themselves, and how far the maps depend on them.

    Parameters
    ----------
    fills : dict of MetricResult
        The `FillScore` of each fill: the target's probability, the top class and the entropy.
    rank_correlations : dict of dict of float
        Spearman correlation between the maps of every two fills.
    """

    fills: dict[str, MetricResult]
    rank_correlations: dict[str, dict[str, float]]


def baseline_audit(
    classifier: AnyClassifier,
    image: ImageSource,
    method: Method | str,
    fills: Mapping[str, Fill] | Iterable[str],
    target: int | str | None = None,
    *,
    seed: int = 0,
) -> Audit:
    """Compare fills for one image and method, as Brunke et al. do.

    Parameters
    ----------
    classifier, image, target, seed
        As in `judge`.
    method : Method or str
        Explains the image once with every fill, with the same random draws.
    fills : mapping of Fill, or sequence of str
        Fills by the names that the audit should use, or names of fills in the registry.
    """
    if isinstance(fills, str):
        raise TypeError(f"fills must be several, such as ['black', 'blur'], got {fills!r}")
    if not isinstance(fills, Mapping):
        fills = {name: make_fill(name, {}) for name in fills}
    prepared = prepare_case(classifier, image, target)
    case = prepared.case
    settled, gradients = settle_method(choose_method_and_fill(method).method, prepared.classifier)
    jobs = [job for fill in fills.values() for job in make_jobs(settled, [case], fill, seed)]
    attributions = collect_values(prepared.classifier, jobs, gradients=gradients)
    no_heatmap = np.zeros(case.size, np.float32)
    metric = FillScore()
    fill_jobs = [
        Job((case,), (metric.flow(case, no_heatmap, make_rng(seed)),), fill, seed)
        for fill in fills.values()
    ]
    return Audit(
        dict(zip(fills, collect_values(prepared.classifier, fill_jobs), strict=True)),
        rank_correlations(
            {
                name: attribution.heatmap
                for name, attribution in zip(fills, attributions, strict=True)
            }
        ),
    )


def class_sensitivity(
    classifier: AnyClassifier,
    image: ImageSource,
    method: Method | str,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Return the rank correlation of the maps for the most and the least probable class.

    For both classes, a method that is not adaptive needs the classifier's scores only once.

    Parameters
    ----------
    classifier, image, seed
        As in `judge`.
    method : Method or str
        Makes the two maps.
    fill : Fill or str, optional
        As in `sweep`.

    Returns
    -------
    score : MetricResult
        Its details name the two classes.
    """
    choice = choose_method_and_fill(method, fill)
    prepared = prepare_case(classifier, image)
    settled, gradients = settle_method(choice.method, prepared.classifier)
    most, least = int(prepared.probabilities.argmax()), int(prepared.probabilities.argmin())
    cases = [replace(prepared.case, target=target) for target in (most, least)]
    jobs = make_jobs(settled, cases, choice.fill, seed)
    first, second = collect_values(prepared.classifier, jobs, gradients=gradients)
    value = ClassSensitivity().compare(first.heatmap, second.heatmap)
    return MetricResult(value, {"most_probable": most, "least_probable": least})


def input_invariance(
    first: AnyClassifier,
    second: AnyClassifier,
    image: ImageSource,
    method: Method | str,
    target: int | str | None = None,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Return the largest difference of a method's maps for two equivalent classifiers.

    Parameters
    ----------
    first, second : Classifier or callable
        The second takes the same images and adds a shift to the input of its graph, which
        the graph subtracts again: `onnxplain.load_shifted`.
    image, target, seed
        As in `judge`; if no target is given, the first classifier predicts it.
    method : Method or str
        Tested together with the fill. The first classifier decides what the method leaves
        open, such as whether it uses gradients.
    fill : Fill or str, optional
        As in `sweep`.

    Returns
    -------
    score : MetricResult
        Its details hold the rank correlation and SSIM of the maps, and how much the score
        of the image itself changed: the effect of the shift on the arithmetic alone.
    """
    plain = prepare_case(first, image, target)
    shifted = prepare_case(second, image, plain.case.target)
    maps = list(_make_maps((plain, shifted), method, fill, seed))
    before, after = (prepared.probabilities[plain.case.target] for prepared in (plain, shifted))
    details = {
        "spearman": nan_to_none(Spearman().compare(*maps)),
        "ssim": nan_to_none(SSIM().compare(*maps)),
        "score_change": float(abs(after - before)),
    }
    return MetricResult(InputInvariance().compare(*maps), details)


def randomisation(
    classifier: AnyClassifier,
    randomised: Iterable[AnyClassifier],
    image: ImageSource,
    method: Method | str,
    target: int | str | None = None,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Measure how much of a map is left when the classifier's layers are randomised.

    Parameters
    ----------
    classifier, image, target, seed
        As in `judge`; if no target is given, `classifier` predicts it.
    randomised : iterable of Classifier or callable
        The classifier with more and more of its last layers randomised, as
        `onnxplain.load_randomised` makes them; used one at a time.
    method : Method or str
        Tested together with the fill. `classifier` decides what the method leaves open, such
        as whether it uses gradients.
    fill : Fill or str, optional
        As in `sweep`.
    """
    whole = prepare_case(classifier, image, target)
    broken = (prepare_case(other, image, whole.case.target) for other in randomised)
    original, *maps = _make_maps(chain([whole], broken), method, fill, seed)
    return Randomisation().judge(original, maps)


def _make_maps(
    prepared_cases: Iterable[PreparedCase],
    method: Method | str,
    fill: Fill | str | None,
    seed: int,
) -> Iterator[Heatmap]:
    """Yield a map per classifier, by the classifier's own gradients if the first has any."""
    choice = choose_method_and_fill(method, fill)
    settled, window = choice.method, None
    for prepared in prepared_cases:
        window = window or prepared.frame.window
        if prepared.frame.window != window:
            raise ValueError(
                f"the classifiers must see the same part of the photo, got {window} and "
                f"{prepared.frame.window}; load both with the same resize and crop"
            )
        settled, gradients = settle_method(settled, prepared.classifier)
        jobs = make_jobs(settled, [prepared.case], choice.fill, seed)
        (attribution,) = collect_values(prepared.classifier, jobs, gradients=gradients)
        yield attribution.heatmap


def _make_swept_method(name: str, parameters: Mapping[str, Any]) -> Method:
    """Make the method of a sweep, which may be the random heatmap."""
    if name == RandomHeatmap.name:
        return build(RandomHeatmap, parameters)
    base, implied = split_generative(name)
    if implied:
        raise ValueError(
            f"a sweep names a method such as {base!r}, got {name!r}; give the inpainter as the fill"
        )
    return make_method(base, parameters)
