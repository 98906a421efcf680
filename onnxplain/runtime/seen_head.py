"""What a classifier's scores are, seen from its answers to a few probe images.

The graph's tail, a flag or a file may say what the scores are, and the answers must agree.
Where nothing says it, the answers have to show it, or the user is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import ModelError
from onnxplain.core.scores import SLACK, SUM_SLACK
from onnxplain.core.spec import Head, ModelSpec
from onnxplain.runtime.batch_support import find_batch_support
from onnxplain.runtime.head import decode_output
from onnxplain.runtime.seen_scores import SeenScores, get_rounding, see_scores

if TYPE_CHECKING:  # it imports onnx, which takes 0.2 s and is not always needed
    from onnxplain.graph.load import ModelFile

SEEN = "seen"  # as the source of a value
# Classes from which on rows that are all sorted are no chance, even if all rows are alike.
SORTED_CLASSES = 8


def settle_head(model: ModelFile, spec: ModelSpec) -> ModelSpec:
    """Compare what a model's scores are said to be with its answers; take what is plain to see.

    The answers cost a few runs on CPU, and are remembered in the cache folder.

    Returns
    -------
    spec : ModelSpec
        As given; where nobody said what the scores are, what was seen.

    Raises
    ------
    ModelError
        If the answers contradict what was said, are random, or show no scores of classes, or
        nothing says what they are. It says what was seen and what to do.
    """
    from onnxplain.describe.score_tail.head import read_tail

    find_batch_support(model, spec)  # answers that are random show nothing
    seen = see_scores(model, spec)
    tail = read_tail(model, spec.output, seen.classes if seen else len(spec.class_names))
    if tail is not None and tail.kind == "logarithms of labels":
        raise ModelError(
            f"{model.path.name}: the scores are logarithms of a sigmoid for each class, which "
            f"neither a softmax nor a sigmoid makes probabilities of; export the model without the "
            f"logarithm"
        )
    if seen is None:  # NaN or infinite: said where they are met
        if spec.head in ("softmax", "sigmoid"):
            raise ModelError(
                f"{model.path.name}: {_name_source(spec)} says {spec.head}, and the answers to "
                f"probe images, which are not finite, do not show whether it is done already; "
                f"write --head with what the scores are"
            )
        return spec
    return _judge(model.path.name, spec, seen, "" if tail is None else tail.kind)


def settle_function_head(name: str, spec: ModelSpec, raw: NDArray[Any]) -> ModelSpec:
    """Do what `settle_head` does for the answers of a function to `make_probe_images`.

    Parameters
    ----------
    name : str
        The function's name in error texts.
    spec : ModelSpec
        How it is described.
    raw : (N, K) ndarray
        Its answers, one row per image.

    Raises
    ------
    ModelError
        As `settle_head`.
    """
    scores = decode_output(raw, len(raw), spec).astype(np.float64)
    if not np.isfinite(scores).all():
        return spec
    return _judge(name, spec, SeenScores.of(scores, get_rounding(raw.dtype)), "")


def _judge(name: str, spec: ModelSpec, seen: SeenScores, kind: str) -> ModelSpec:
    """Return the spec with what was seen; `kind` is what the graph's tail shows."""
    verdict = _Verdict(name, spec, seen, kind)
    verdict.check_classes()
    head = verdict.decide_single() if seen.classes == 1 else verdict.decide()
    sources = dict(spec.sources)
    if sources.get("output_scale") == "default":
        sources["output_scale"] = SEEN
    if spec.head in ("softmax", "sigmoid"):
        sources["head"] = f"{_name_source(spec)}, {'graph' if verdict.is_understood else SEEN}"
    elif head != spec.head or sources.get("head") == "default":
        sources["head"] = SEEN
    return replace(spec, head=head, sources=sources)


def _name_source(spec: ModelSpec) -> str:
    return spec.sources.get("head", "default")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The judgement of what was seen; `kind`: what the graph's tail makes, or "" if unknown."""

    name: str
    spec: ModelSpec
    seen: SeenScores
    kind: str

    def fail(self, text: str) -> ModelError:
        """Return an error about the model."""
        return ModelError(f"{self.name}: {text}")

    @property
    def known(self) -> bool:
        """Whether the graph's tail makes probabilities."""
        return self.kind in ("distribution", "labels", "unit")

    @property
    def is_understood(self) -> bool:
        """Whether the graph's tail shows what the scores are."""
        return self.kind not in ("", "bent")

    @property
    def are_exclusive(self) -> bool:
        """Whether the scores are certainly probabilities of classes that exclude each other."""
        telling = self.seen.are_distributions and self.seen.is_total_telling
        return self.kind == "distribution" or telling

    @property
    def is_said(self) -> bool:
        """Whether a flag or a file says what the scores are."""
        return _name_source(self.spec) not in ("default", "graph")

    @property
    def saying(self) -> str:
        """Who says what the scores are."""
        return f"{_name_source(self.spec)} says {self.spec.head}"

    def check_classes(self) -> None:
        """Raise an error if the scores are none of classes, whatever they are said to be."""
        seen, elsewhere = self.seen, "give another output with --output-name, or export the model"
        if self.kind == "softmax of another axis" or (seen.are_equal and (seen.total or 0) > 1.5):
            raise self.fail(
                f"every class has the same score for every image: {seen.describe()}; a softmax "
                f"over a wrong axis does that: {elsewhere} with a softmax over its classes"
            )
        if seen.are_equal:
            raise self.fail(
                f"every class has the same score for every image: {seen.describe()}; {elsewhere} "
                f"again"
            )
        if seen.classes == 1 and self.kind == "distribution":
            raise self.fail(
                f"its one number is 1 for every image, as a softmax over one class always is: "
                f"{seen.describe()}; the model cannot tell images apart: give the number before "
                f"the softmax with --output-name and --head logit if it was trained with a "
                f"sigmoid, or export it with one"
            )
        is_sorted = seen.are_sorted and seen.classes >= SORTED_CLASSES
        if self.kind == "top values" or is_sorted:
            raise self.fail(
                f"the scores of every image are sorted, as the values of a TopK: they do not "
                f"belong to the same classes; {elsewhere} without it"
            )
        unknown = self.spec.sources.get("output_scale") == "default"
        if unknown and not (seen.are_distributions or (self.known and seen.fit_unit)):
            raise self.fail(
                f"its quantised scores have no scale that the graph tells, and as 256 steps from 0 "
                f"to 1 they are no probabilities: {seen.describe()}; put output_scale = [scale, "
                f"zero point] and head = ... into the TOML file beside the model"
            )

    def decide_single(self) -> Head:
        """Return what the one number per image is: a probability or a logit."""
        seen, said = self.seen, self.spec.head
        if said == "sigmoid" and not self.known and self.kind != "logits" and seen.fit_unit:
            raise self.fail(
                f"{self.saying}, and {seen.describe()}, which do not show whether the sigmoid is "
                f"done already; write --head probability if it is, or --head logit"
            )
        if said == "sigmoid":
            return "probability" if self.known else "logit"
        if said == "probability" and not seen.fit_unit:
            raise self.fail(f"{self.saying}, but {seen.describe()}; write --head logit")
        if said == "logit" and self.known:
            raise self.fail(
                f"{self.saying}, but the graph makes a probability of it, and "
                f"{seen.describe()}; write --head probability"
            )
        return said

    def decide(self) -> Head:
        """Return what the scores of several classes are."""
        if self.spec.head in ("sigmoid", "multilabel-logits", "multilabel-probabilities"):
            return self._decide_labels(self.spec.head)
        if self.spec.head == "probabilities":
            return self._check_probabilities()
        return self._decide_classes()

    def _decide_labels(self, said: Head) -> Head:
        """Return what the scores of independent labels are."""
        seen = self.seen
        self._check_total()
        if self.are_exclusive and not self.is_said:  # sigmoids of which one is 1 less the other
            return "probabilities"
        if self.are_exclusive or (said == "sigmoid" and self.kind == "unit"):
            found = "the graph ends in a softmax" if self.known else "each row is a distribution"
            raise self.fail(
                f"{self.saying}, which is for independent labels, but {found}, and "
                f"{seen.describe()}: a class excludes the others; write --head probabilities"
            )
        if said == "sigmoid":
            return self._find_form_of_labels()
        if said == "multilabel-logits" and self.known:
            raise self.fail(
                f"{self.saying}, but the graph makes probabilities of them, and "
                f"{seen.describe()}; write --head multilabel-probabilities"
            )
        if said == "multilabel-probabilities" and not seen.fit_unit:
            raise self.fail(f"{self.saying}, but {seen.describe()}; write --head multilabel-logits")
        return said

    def _find_form_of_labels(self) -> Head:
        """Return whether the sigmoids of independent labels are done, or still to do."""
        if self.kind == "labels":
            return "multilabel-probabilities"
        if self.kind == "logits" or not self.seen.fit_unit:
            return "multilabel-logits"
        raise self.fail(
            f"{self.saying}, and {self.seen.describe()}, which do not show whether the sigmoids "
            f"are done already; write --head multilabel-probabilities if they are, or --head "
            f"multilabel-logits"
        )

    def _decide_classes(self) -> Head:
        """Return what the scores of classes are that exclude each other, if nothing says more."""
        seen, said = self.seen, self.spec.head
        if self.kind == "labels" and self.is_said and not self.are_exclusive:
            raise self.fail(
                f"{self.saying}, but the graph ends in a sigmoid for each class, which makes "
                f"independent labels of them; write --head multilabel-probabilities, or leave it "
                f"out"
            )
        if seen.are_distributions or (self.known and self.is_said):
            if self.is_said and said == "logits":
                raise self.fail(
                    f"{self.saying}, but {seen.describe()}: they are probabilities; write "
                    f"--head probabilities, or leave it out"
                )
            return "probabilities"
        self._check_total()
        is_guess = _name_source(self.spec) == "default"
        is_unclear = said == "softmax" and not self.is_understood
        is_strange = self.kind == "bent" or bool(seen.total) or seen.are_centred
        if (seen.fit_unit and (is_guess or is_unclear)) or (is_strange and is_guess):
            raise self.fail(
                f"cannot tell what the scores are: {seen.describe()}; pass --head "
                f"multilabel-probabilities if they are probabilities, each of its own, --head "
                f"logits if a softmax makes probabilities of them, or --head multilabel-logits if "
                f"sigmoids do"
            )
        return "logits"

    def _check_total(self) -> None:
        """Raise an error if the scores of every image sum to the same number, which is not 1."""
        is_total = self.seen.is_total_telling or self.seen.are_percentages
        if is_total and not self.seen.are_distributions:
            raise self.fail(
                f"{self.seen.describe()}: they are neither logits nor probabilities; export the "
                f"model with scores that sum to 1, or give another output with --output-name"
            )

    def _check_probabilities(self) -> Head:
        """Check probabilities of classes that exclude each other."""
        seen = self.seen
        if not (seen.low >= -SLACK and seen.high <= 1 + SLACK):
            hint = (
                "export the model with scores that sum to 1"
                if seen.total is not None
                else "write --head logits, or multilabel-logits for independent labels"
            )
            raise self.fail(f"{self.saying}, but {seen.describe()}; {hint}")
        may_exclude = self.kind == "unit" and seen.most_sum <= 1 + SUM_SLACK
        if seen.are_distributions or self.kind == "distribution" or may_exclude:
            return "probabilities"
        if seen.is_total_telling and self.kind != "labels":
            raise self.fail(
                f"{self.saying}, but {seen.describe()} instead of 1; export the model with scores "
                f"that sum to 1, or give another output with --output-name"
            )
        raise self.fail(
            f"{self.saying}, of classes that exclude each other, but {seen.describe()} instead of "
            f"1; write --head multilabel-probabilities if each is a probability of its own"
        )
