"""Inspect a model file: which input it takes, what it predicts, and how fast it runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images
from onnxplain.core.errors import ModelError, OnnxplainError, ScoreError
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import ModelSpec
from onnxplain.image import MAX_PIXELS, load_example_photo, read_image
from onnxplain.runtime import OnnxClassifier
from onnxplain.runtime.device import Device
from onnxplain.runtime.opening import open_classifier
from onnxplain.runtime.seen_head import settle_head
from onnxplain.runtime.tuning import Rate
from onnxplain.runtime.wheels import describe_clash, read_wheels
from onnxplain.subjects import classify, fit_to_classifier
from onnxplain.targets import choose_targets, parse_targets

N_BEST = 5  # classes listed per photo


class Ranked(NamedTuple):
    """A class with its probability for a photo; the most probable class has rank 1."""

    target: int
    name: str
    probability: float
    rank: int


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for a photo under one preprocessing, or the `problem` it meets.

    `label` is the class that the user says the photo shows.
    """

    preprocessing: str
    best: tuple[Ranked, ...] = ()
    label: Ranked | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Inspection:
    """Everything that `inspect_model` finds out.

    Parameters
    ----------
    model, sha256 : str
        Name and hash of the file.
    spec : ModelSpec or None
        How to feed the model; None if this cannot be determined.
    problem : str or None
        Why the model cannot be described or loaded.
    facts : mapping
        Device, providers in use, nodes per provider, batch and workers of the loaded model.
    rates : tuple of Rate
        Evaluations per second by batch size.
    answers : tuple of Prediction
        What the model predicts for a photo under each plausible preprocessing.
    warnings : tuple of str
        Faults of the installation.
    """

    model: str
    sha256: str
    spec: ModelSpec | None
    problem: str | None
    facts: Mapping[str, Any]
    rates: tuple[Rate, ...]
    answers: tuple[Prediction, ...]
    warnings: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return everything in the inspection, ready for JSON."""
        spec = self.spec
        described = {
            entry.name: {"value": getattr(spec, entry.name), "source": spec.sources.get(entry.name)}
            for entry in fields(ModelSpec)
            if spec is not None and entry.name != "sources"
        }
        return {
            "model": self.model,
            "sha256": self.sha256,
            "spec": described if spec is not None else None,
            "problem": self.problem,
            **self.facts,
            "rates": [rate._asdict() for rate in self.rates],
            "answers": [
                {
                    "preprocessing": answer.preprocessing,
                    "best": [ranked._asdict() for ranked in answer.best],
                    "label": answer.label._asdict() if answer.label else None,
                    "problem": answer.problem,
                }
                for answer in self.answers
            ],
            "warnings": list(self.warnings),
        }


def inspect_model(
    path: str | os.PathLike[str],
    *,
    image: str | os.PathLike[str] | None = None,
    label: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    check_gradient: bool = False,
    flags: Mapping[str, Any] | None = None,
) -> Inspection:
    """Inspect a model file.

    Parameters
    ----------
    path : path
        The ONNX file.
    image : path, optional
        A photo to predict under each plausible preprocessing.
    label : str, optional
        Index or name of the class that the photo shows.
    device, batch_size, flags
        As for `onnxplain.runtime.load_classifier`.
    max_pixels : int
        A photo with more pixels is refused.
    check_gradient : bool
        Whether to compare the model's gradient with differences of its scores.

    Raises
    ------
    OnnxplainError
        If the file cannot be read or is not a classifier, or the photo cannot be read.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.describe.resolve import list_plausible_specs, resolve_spec
    from onnxplain.graph.adapting import adapt_classifier
    from onnxplain.graph.load import read_model

    where = Device.parse(device)
    photo = None if image is None else read_image(image, max_pixels=max_pixels)
    model = adapt_classifier(read_model(Path(path)))
    spec, problem, classifier = None, None, None
    try:
        spec = resolve_spec(model, flags or {})
        spec = settle_head(model, spec)
        classifier = open_classifier(model, spec, device=where, batch_size=batch_size)
    except ModelError as error:
        problem = str(error)
    facts: dict[str, Any] = {}
    if classifier is not None:
        gradients = _describe_gradients(classifier, photo, check_gradient)
        facts = {**_collect_facts(classifier), "gradients": gradients}
    answers = []
    if photo is not None:
        for name, plausible in list_plausible_specs(model, flags or {}):
            try:
                settled = settle_head(model, plausible)
            except ModelError as error:
                answers.append(Prediction(name, problem=str(error)))
                continue
            candidate = open_classifier(model, settled, device=where, batch_size=batch_size)
            answers.append(_predict(name, candidate, photo, label))
    if problem is not None and not answers:
        raise ModelError(problem)
    return Inspection(
        model=Path(path).name,
        sha256=model.sha256,
        spec=spec,
        problem=problem,
        facts=facts,
        rates=() if classifier is None else classifier.measure(),
        answers=tuple(answers),
        warnings=tuple(_list_warnings()),
    )


def _collect_facts(classifier: OnnxClassifier) -> dict[str, Any]:
    """Collect the facts about how a classifier was loaded."""
    return {
        "device": classifier.provenance["device"],
        "providers": list(classifier.providers),
        "placement": dict(classifier.placement),
        "batch": classifier.batch.text,
        "batch_size": classifier.batch_size,
        "workers": classifier.workers,
    }


def _describe_gradients(classifier: OnnxClassifier, photo: Image | None, check: bool) -> str:
    """Say whether a classifier has gradients, or why not, and whether they are right if checked."""
    from onnxplain.gradient import check_gradient

    try:
        gradients = classifier.gradients()
        if not check:
            return "yes, as a graph of standard operators"
        if photo is None:
            photo = load_example_photo()
        _, image = fit_to_classifier(classifier, photo)
        target = int(classifier.scores(image[None]).argmax())

        def score(images: Images) -> tuple[NDArray[np.float64], Images]:
            targets = np.full(len(images), target)
            raw, grads = gradients.score_grads(images, targets, "log-odds")
            outputs = classifier.outputs
            return compute_target_scores(raw, target, outputs=outputs, kind="log-odds"), grads

        check_result = check_gradient(score, image, np.random.default_rng(0))
    except ModelError as error:
        return f"none: {error}"
    except ScoreError as error:
        return f"yes, but not for every image: {error}"
    verdict = "agree" if check_result.passed else "DISAGREE"
    return f"yes; slopes by gradient and by differences {verdict} within {check_result.error:.1%}"


def _predict(
    preprocessing: str, classifier: OnnxClassifier, photo: Image, label: str | None
) -> Prediction:
    names = classifier.class_names
    _, image = fit_to_classifier(classifier, photo)
    try:
        scores = classify(classifier, image)
    except OnnxplainError as error:
        return Prediction(preprocessing, problem=str(error))
    order = np.argsort(-scores, kind="stable").tolist()

    def rank(index: int) -> Ranked:
        return Ranked(index, names[index], float(scores[index]), order.index(index) + 1)

    return Prediction(
        preprocessing,
        tuple(rank(index) for index in order[:N_BEST]),
        None if label is None else rank(choose_targets(parse_targets(label, names), scores)[0]),
    )


def _list_warnings() -> list[str]:
    clash = describe_clash(read_wheels())
    return [clash] if clash else []
