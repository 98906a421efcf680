"""Inspect a model file: which input it takes, what it predicts, and how fast it runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image, Images
from onnxplain.core.errors import ModelError, ScoreError
from onnxplain.core.scores import compute_target_scores
from onnxplain.core.spec import ModelSpec
from onnxplain.image import MAX_PIXELS, load_example_photo, read_image
from onnxplain.inspection.predictions import Prediction, judge_predictions, predict, rate_prediction
from onnxplain.runtime import OnnxClassifier
from onnxplain.runtime.device import Device
from onnxplain.runtime.opening import open_model
from onnxplain.runtime.seen_head import settle_head
from onnxplain.runtime.tuning import Rate
from onnxplain.runtime.wheels import describe_clash, read_wheels
from onnxplain.subjects import fit_to_classifier

if TYPE_CHECKING:  # both import onnx, which is slow
    from onnxplain.describe.resolve import KnownSpec
    from onnxplain.graph.outline import Outline


@dataclass(frozen=True)
class Inspection:
    """Everything that `inspect_model` finds out.

    Parameters
    ----------
    model, sha256 : str
        Name and hash of the file.
    outline : Outline
        Inputs, outputs, operators and opset of the file's graph.
    spec : ModelSpec or None
        How to feed the model; None if this cannot be determined.
    known : KnownSpec or None
        What is known and what is missing where there is no spec; None if the graph is not that
        of a classifier.
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
    outline: Outline
    spec: ModelSpec | None
    known: KnownSpec | None
    problem: str | None
    facts: Mapping[str, Any]
    rates: tuple[Rate, ...]
    answers: tuple[Prediction, ...]
    warnings: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return everything in the inspection, ready for JSON."""
        described = {
            name: {"value": value, "source": source} for name, value, source in self.list_known()
        }
        return {
            "model": self.model,
            "sha256": self.sha256,
            "graph": {
                "inputs": [port._asdict() for port in self.outline.inputs],
                "outputs": [port._asdict() for port in self.outline.outputs],
                "operators": dict(self.outline.operators),
                "opsets": dict(self.outline.opsets),
            },
            "spec": described if self.spec is not None else None,
            "known": described,
            "missing": dict(self.known.missing) if self.known else {},
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
            "verdict": self.verdict,
            "warnings": list(self.warnings),
        }

    def list_known(self) -> list[tuple[str, Any, str]]:
        """Return name, value and source of every field that is known."""
        spec = self.spec
        if spec is not None:
            names = [entry.name for entry in fields(ModelSpec) if entry.name != "sources"]
            return [(name, getattr(spec, name), spec.sources.get(name, "")) for name in names]
        if self.known is None:
            return []
        sources = self.known.sources
        return [(name, value, sources[name]) for name, value in self.known.values.items()]

    def sort_answers(self) -> list[Prediction]:
        """Return the answers, those that fit the label best or are the most certain first."""
        return sorted(self.answers, key=rate_prediction, reverse=True)

    @property
    def verdict(self) -> str | None:
        """What the answers tell about the preprocessing; None without a photo."""
        answers = [answer for answer in self.sort_answers() if answer.best]
        return judge_predictions(answers) if answers else None


def inspect_model(
    path: str | os.PathLike[str],
    *,
    image: str | os.PathLike[str] | None = None,
    label: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    tf32: bool = False,
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
    device, batch_size, tf32, flags
        As for `onnxplain.runtime.load_classifier`.
    max_pixels : int
        A photo with more pixels is refused.
    check_gradient : bool
        Whether to compare the model's gradient with differences of its scores.

    Raises
    ------
    OnnxplainError
        If the file or the photo cannot be read. What else is wrong is the ``problem`` of the
        inspection.
    ValueError
        If an argument is out of range.
    """
    from onnxplain.describe.plausible import list_plausible_specs
    from onnxplain.describe.resolve import resolve_known_spec, resolve_spec
    from onnxplain.graph.adapting import adapt_classifier
    from onnxplain.graph.load import read_model
    from onnxplain.graph.outline import outline_graph

    where = Device.parse(device)
    photo = None if image is None else read_image(image, max_pixels=max_pixels)
    file = model = read_model(Path(path))
    spec, known, problem, opened, classifier = None, None, None, None, None
    try:
        model = adapt_classifier(file)
        known = resolve_known_spec(model, flags or {})
        spec = resolve_spec(model, flags or {})
        spec = settle_head(model, spec)
        opened = open_model(model, spec, device=where, batch_size=batch_size, tf32=tf32)
        classifier = opened.make_classifier(spec)
    except ModelError as error:
        problem = str(error)
    facts: dict[str, Any] = {}
    if classifier is not None:
        gradients = _describe_gradients(classifier, photo, check_gradient)
        facts = {**_collect_facts(classifier), "gradients": gradients}
    answers = []
    if photo is not None and known is not None:
        for name, plausible in list_plausible_specs(model, flags or {}):
            try:
                settled = settle_head(model, plausible)
            except ModelError as error:
                answers.append(Prediction(name, problem=str(error)))
                continue
            if opened is None:  # once: they differ in their pixels only
                opened = open_model(model, settled, device=where, batch_size=batch_size, tf32=tf32)
            answers.append(predict(name, opened.make_classifier(settled), photo, label))
    return Inspection(
        model=Path(path).name,
        sha256=file.sha256,
        outline=outline_graph(file.proto),
        spec=spec,
        known=known if spec is None else None,
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


def _list_warnings() -> list[str]:
    clash = describe_clash(read_wheels())
    return [clash] if clash else []
