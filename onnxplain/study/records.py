"""The content of a study's rows, and the keys that identify them."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from typing import Any

from onnxplain.core.errors import format_in_one_line
from onnxplain.core.files import hash_file
from onnxplain.core.params import get_values, list_files
from onnxplain.core.protocols import Classifier
from onnxplain.core.scores import is_predicted
from onnxplain.metrics import MetricResult, to_row
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import Explainer
from onnxplain.study.given import Given
from onnxplain.study.judges import Judge, describe_preprocessing
from onnxplain.study.rows import Row, make_key
from onnxplain.subjects import Subject
from onnxplain.version import __version__


@dataclass(frozen=True, eq=False)
class Question:
    """One image and class to explain for one classifier.

    Parameters
    ----------
    classifier : Classifier
        The classifier that is explained.
    item : Item
        The image. Its label is the index of the class; None means the predicted class.
    sha256 : str or None
        Checksum of the photo's pixels; None if the photo cannot be read.
    seed : int
        Decides all draws.
    predicted : int, optional
        Index of the class that the classifier predicts, once it is known.
    """

    classifier: Classifier
    item: Item
    sha256: str | None
    seed: int
    predicted: int | None = None

    @property
    def target(self) -> int | None:
        """Index of the class to explain; None if it is not predicted yet."""
        return self.predicted if self.item.label is None else int(self.item.label)

    def image_key(self) -> str:
        """Return the key of the row that says how the image is classified."""
        return make_key({**self._identify_image(), "file": self.item.file, "kind": "image"})

    def heatmap_key(self, explainer: Explainer) -> str:
        """Return the key of a heatmap, which is part of its file name if it is kept."""
        return make_key(self._identify_heatmap(explainer))

    def score_key(self, explainer: Explainer, judge: Judge) -> str:
        """Return the key of the row with the result of one metric."""
        boxes = [astuple(box) for box in self.item.boxes], self.item.size
        return make_key(
            {
                **self._identify_heatmap(explainer),
                "file": self.item.file,  # two files with the same pixels are two images
                **_describe_metric(judge),
                "boxes": boxes if judge.metric.looks_at_boxes else None,
            }
        )

    def image_row(self, outcome: Subject | Exception) -> Row:
        """Make the row that says how the image is classified, or why that failed.

        The status is ``done`` if the class is predicted, ``wrong`` if not, ``error`` after a
        failure. Independent labels may be predicted together, beside others of the image.
        """
        facts = {"key": self.image_key(), "kind": "image", **self._describe()}
        if isinstance(outcome, Exception):
            return {**facts, "status": "error", "error": format_in_one_line(outcome)}
        predicted, target = int(outcome.probabilities.argmax()), self.target
        assert target is not None
        right = self.item.label is None or is_predicted(
            outcome.probabilities, target, multilabel=outcome.multilabel
        )
        return {
            **facts,
            "status": "done" if right else "wrong",
            "predicted": predicted,
            "predicted_name": self.classifier.class_names[predicted],
            "score": float(outcome.probabilities[target]),
            # Where the photo lies under heatmaps, which have the classifier's size.
            "photo_size": list(outcome.frame.original),
            "window": asdict(outcome.frame.window),
        }

    def score_row(
        self, explainer: Explainer, judge: Judge, outcome: MetricResult | Exception
    ) -> Row:
        """Make the row with the result of a metric, or the reason why there is none."""
        error = format_in_one_line(outcome) if isinstance(outcome, Exception) else None
        score = MetricResult(float("nan")) if isinstance(outcome, Exception) else outcome
        result = to_row(judge.metric, score)
        return {
            "key": self.score_key(explainer, judge),
            "kind": "score",
            **self._describe(),
            "status": "done" if error is None else "error",
            "heatmap": self.heatmap_key(explainer),
            "seed": self.seed,
            **_describe_explainer(explainer),
            **_describe_metric(judge),
            "direction": result["direction"],
            "unit": result["unit"],
            "value": result["value"],
            # Tables have the values at a threshold that is chosen when all is judged.
            **({"alpha": result["details"]["alpha"]} if "alpha" in result["details"] else {}),
            **({} if error is None else {"error": error}),
            "details": result["details"],
        }

    def _describe(self) -> Row:
        """Return the fields that all rows of an image have."""
        ran, names = self.classifier.provenance, self.classifier.class_names
        return {
            "version": __version__,
            "model": ran.get("model"),
            "model_sha256": ran.get("sha256"),
            "preprocessing": describe_preprocessing(self.classifier),
            "image": self.item.file,
            "image_sha256": self.sha256,
            "labelled": self.item.label is not None,
            "target": self.target,
            "target_name": None if self.target is None else names[self.target],
        }

    def _identify_image(self) -> dict[str, Any]:
        return {
            "version": __version__,
            **identify_classifier(self.classifier),
            "image": self.sha256 or self.item.file,
            "target": self.item.label,  # not the predicted class: the key is needed before
        }

    def _identify_heatmap(self, explainer: Explainer) -> dict[str, Any]:
        # The file's name decides random draws, as in onnxplain explain.
        name, method = self.item.path.name, explainer.method
        return {
            **self._identify_image(),
            "name": name,
            "seed": self.seed,
            **_describe_explainer(explainer),
            "given": method.sha256(self.item.file) if isinstance(method, Given) else None,
            "files": {key: hash_file(path) for key, path in list_files(method).items()},
        }


def _describe_explainer(explainer: Explainer) -> dict[str, Any]:
    return {
        "method": explainer.name,
        "method_parameters": {**get_values(explainer.method), **explainer.others},
        "fill": explainer.fill.name,
        "fill_parameters": dict(explainer.fill.parameters),
    }


def _describe_metric(judge: Judge) -> dict[str, Any]:
    return {
        "metric": judge.metric.name,
        "metric_parameters": {**get_values(judge.metric), **judge.others, **judge.model},
        "metric_fill": judge.fill and judge.fill.name,
        "metric_fill_parameters": dict(judge.fill.parameters) if judge.fill else {},
    }


def identify_classifier(classifier: Classifier) -> dict[str, Any]:
    """Return the facts by which keys tell classifiers apart."""
    ran = classifier.provenance
    return {
        "classifier": ran.get("sha256") or ran.get("model"),
        "preprocessing": describe_preprocessing(classifier),
    }
