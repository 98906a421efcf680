"""Metrics that explain again: with other parameters, fills, classes, inputs or weights.

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
from onnxplain.core.flow import Method, start_flow
from onnxplain.core.params import build, describe_unknown
from onnxplain.core.protocols import Fill
from onnxplain.engine.run import Job, collect_values, make_jobs
from onnxplain.engine.settle import settle_method, settle_methods
from onnxplain.metrics.base import MetricResult, nan_to_none
from onnxplain.metrics.fills.neutrality import FillScore
from onnxplain.metrics.fills.perturbed import LabelBias, record_labels
from onnxplain.metrics.heatmaps.chance import RandomHeatmap
from onnxplain.metrics.judging import AnyClassifier, PreparedCase, prepare_case
from onnxplain.metrics.stability.sanity import ClassSensitivity, InputInvariance, Randomisation
from onnxplain.metrics.stability.similarity import SSIM, Spearman
from onnxplain.metrics.stability.sweeps import SWEEPS, Sweep, rank_correlations, sensitivity
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
    """How alike the maps of one image are over a sweep of parameters or seeds.

    Parameters
    ----------
    classifier, image, target
        As in `judge`.
    which : Sweep or str
        A sweep, or the name of one of `SWEEPS`: those of the paper's tables S1 and S2, and
        ``random``, the baseline: heatmaps that have nothing to do with one another.
    fill : Fill or str, optional
        What stands in for removed pixels; that of the method's paper if not given. With an
        inpainter it is the row of the G-method.

    Returns
    -------
    scores : dict of Score
        By metric: ``ssim``, ``hog`` and ``spearman``; each the mean over all pairs.
    """
    if isinstance(which, str) and which not in SWEEPS:
        raise ValueError(f"sweep {describe_unknown(which, SWEEPS)}")
    plan = SWEEPS[which] if isinstance(which, str) else which
    known, case, _ = prepare_case(classifier, image, target)
    variants = [_method(plan.method, variant) for variant in plan.variants]
    methods, gradients = settle_methods(variants, known)
    jobs = [
        job
        for method in methods
        for seed in plan.seeds
        for job in make_jobs(method, [case], choose_method_and_fill(method, fill).fill, seed)
    ]
    maps = [found.heatmap for found in collect_values(known, jobs, gradients=gradients)]
    return {m.name: sensitivity(m, maps, rescale=plan.rescale) for m in plan.metrics}


@dataclass(frozen=True, eq=False)
class Audit:
    """What fills carry by themselves, and how far the maps depend on them.

    Parameters
    ----------
    fills : dict of Score
        `FillScore` of each: the target's probability, the top class and the entropy.
    rank_correlations : dict of dict of float
        Spearman correlation of the maps made with each two fills.
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
        By the names that the audit is to call them, or names of the registry.
    """
    if isinstance(fills, str):
        raise TypeError(f"fills are several, as ['black', 'blur'], got {fills!r}")
    if not isinstance(fills, Mapping):
        fills = {name: make_fill(name, {}) for name in fills}
    known, case, _ = prepare_case(classifier, image, target)
    settled, gradients = settle_method(choose_method_and_fill(method).method, known)
    jobs = [job for fill in fills.values() for job in make_jobs(settled, [case], fill, seed)]
    maps = collect_values(known, jobs, gradients=gradients)
    empty = np.zeros(case.size, np.float32)
    metric = FillScore()
    alone = [
        Job((case,), (metric.flow(case, empty, make_rng(seed)),), fill, seed)
        for fill in fills.values()
    ]
    return Audit(
        dict(zip(fills, collect_values(known, alone), strict=True)),
        rank_correlations({n: m.heatmap for n, m in zip(fills, maps, strict=True)}),
    )


def label_bias(
    classifier: AnyClassifier,
    images: Iterable[ImageSource],
    method: Method | str,
    *,
    fill: Fill | str | None = None,
    top: int = LabelBias.top,
    seed: int = 0,
) -> MetricResult:
    """Share of a method's perturbed samples that fall into the few most common classes.

    Parameters
    ----------
    classifier, seed
        As in `judge`.
    images : iterable of ndarray or path
        Their samples are pooled.
    method : Method or str
        Explains the predicted class of each.
    fill : Fill or str, optional
        As in `sweep`.
    top : int
        How many of the most common classes are counted.
    """
    labels = []
    choice = choose_method_and_fill(method, fill)
    for position, image in enumerate(images):
        known, case, _ = prepare_case(classifier, image, position=position)
        settled, gradients = settle_method(choice.method, known)
        flow = record_labels(start_flow(settled, case, seed))
        job = Job((case,), (flow,), choice.fill, seed)
        ((_, found),) = collect_values(known, [job], gradients=gradients)
        labels.append(found)
    return LabelBias(top=top).judge(np.concatenate(labels) if labels else [])


def class_sensitivity(
    classifier: AnyClassifier,
    image: ImageSource,
    method: Method | str,
    *,
    fill: Fill | str | None = None,
    seed: int = 0,
) -> MetricResult:
    """Rank correlation of a method's maps for the most and the least probable class.

    Its details name the two classes. Other parameters are those of `judge`, and `fill` as in
    `sweep`; a method that is not adaptive evaluates the image once for both.
    """
    choice = choose_method_and_fill(method, fill)
    known, case, probabilities = prepare_case(classifier, image)
    settled, gradients = settle_method(choice.method, known)
    most, least = int(probabilities.argmax()), int(probabilities.argmin())
    cases = [replace(case, target=target) for target in (most, least)]
    jobs = make_jobs(settled, cases, choice.fill, seed)
    first, second = (found.heatmap for found in collect_values(known, jobs, gradients=gradients))
    value = ClassSensitivity().compare(first, second)
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
    """Largest difference of a method's maps of two classifiers that compute the same.

    Parameters
    ----------
    first, second : Classifier or callable
        The second one takes the same images and adds a shift to what enters its graph,
        which the graph takes off again: `onnxplain.load_shifted`.
    image, target, seed
        As in `judge`; the target is predicted by the first.
    method : Method or str
        What is put to the test, together with the fill. What it leaves open, as whether it
        goes by gradients, is decided by the first.
    fill : Fill or str, optional
        As in `sweep`.

    Returns
    -------
    score : Score
        Its details hold the rank correlation and SSIM of the maps, and how much the score
        of the image itself changed: what the shift alone does to the arithmetic.
    """
    plain = prepare_case(first, image, target)
    moved = prepare_case(second, image, plain.case.target)
    maps = list(_maps((plain, moved), method, fill, seed))
    before, after = (asked.probabilities[plain.case.target] for asked in (plain, moved))
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
    """How much of a method's map is left when the classifier's layers are randomised.

    Parameters
    ----------
    classifier, image, target, seed
        As in `judge`; the target is predicted by `classifier`.
    randomised : iterable of Classifier or callable
        With ever more of the last layers randomised, made one at a time:
        `onnxplain.load_randomised`.
    method : Method or str
        What is put to the test. What it leaves open, as whether it goes by gradients, is
        decided by `classifier`.
    fill : Fill or str, optional
        As in `sweep`.
    """
    whole = prepare_case(classifier, image, target)
    broken = (prepare_case(each, image, whole.case.target) for each in randomised)
    original, *maps = _maps(chain([whole], broken), method, fill, seed)
    return Randomisation().judge(original, maps)


def _maps(
    questions: Iterable[PreparedCase], method: Method | str, fill: Fill | str | None, seed: int
) -> Iterator[Heatmap]:
    """The map of each classifier, by its own gradients if the first one has any."""
    choice = choose_method_and_fill(method, fill)
    settled = choice.method
    for known, case, _ in questions:
        settled, gradients = settle_method(settled, known)
        jobs = make_jobs(settled, [case], choice.fill, seed)
        (found,) = collect_values(known, jobs, gradients=gradients)
        yield found.heatmap


def _method(name: str, parameters: Mapping[str, Any]) -> Method:
    if name == RandomHeatmap.name:
        return build(RandomHeatmap, parameters)
    base, implied = split_generative(name)
    if implied:
        raise ValueError(f"a sweep names a method, as {base!r}, got {name!r}; give the fill apart")
    return make_method(base, parameters)
