"""What the scores are is seen from answers, and what is said about them must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from onnxplain.core.errors import ModelError
from onnxplain.core.scores import to_probabilities
from onnxplain.graph.load import read_model
from onnxplain.inspection import inspect_model
from onnxplain.loading import gradient_graph
from onnxplain.runtime import OnnxClassifier, load_classifier, seen_scores
from onnxplain.runtime.seen_head import settle_head
from onnxplain.runtime.seen_scores import SeenScores
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.specs import photos, session_of, spec_of
from tests.helpers.tails import (
    CLASSES,
    KNOWN,
    LABELS,
    SEEN,
    SIZE,
    SOFTMAX,
    Tail,
    compute_probabilities,
    f32,
    make_tailed,
    node,
    sigmoid,
    softmax,
)

UNIT = {"preprocessing": "unit"}


def load(model: ModelProto, folder: Path, **flags: Any) -> OnnxClassifier:
    path = models.save(model, folder / "net.onnx")
    return load_classifier(path, device="cpu", batch_size=1, flags={**UNIT, **flags})


def check_refused(model: ModelProto, folder: Path, match: str, **flags: Any) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        load(model, folder, **flags)
    assert str(caught.value).startswith("net.onnx: ")


@pytest.mark.parametrize("name", [*KNOWN, *LABELS, *SEEN])
def test_probabilities_are_those_that_the_graph_makes(name: str, tmp_path: Path) -> None:
    tail = {**KNOWN, **LABELS, **SEEN}[name]
    classifier, images = load(make_tailed(tail), tmp_path), photos(6, SIZE)
    assert classifier.spec.sources["head"] == ("seen" if name in SEEN else "graph")
    assert classifier.outputs == ("multilabel-" if name in LABELS else "") + "probabilities"
    scores = to_probabilities(classifier.scores(images), classifier.outputs)
    np.testing.assert_allclose(scores, compute_probabilities(tail, images), rtol=0, atol=6e-4)


@pytest.mark.parametrize(
    "name",
    [
        "plus eps",
        "exp of log-softmax",
        "stacked heads",
        "1 - p and p",
        "percent",
        "sigmoids",
        "sigmoids by hand",
        "sigmoids in a column",
        "sigmoids in percent",
        "two labels",
    ],
)
def test_gradient_graph_has_the_slopes_of_the_probabilities(name: str, tmp_path: Path) -> None:
    tail = {**KNOWN, **LABELS, **SEEN}[name]
    proto = make_tailed(tail)
    path = models.save(proto, tmp_path / "net.onnx")
    content = gradient_graph(path, **UNIT)
    session = session_of(ModelProto.FromString(content))
    image = photos(1, SIZE)
    target = int(np.abs(compute_probabilities(tail, image)[0] - 0.5).argmin())
    feeds = {"image": image.transpose(0, 3, 1, 2), "target": np.array([target])}
    score, slope = session.run(feeds, ["target_score", "d_score/d_image"])
    expected = compute_probabilities(tail, image.astype(np.float64))[0, target]
    assert score[0] == pytest.approx(expected, abs=1e-5)
    direction = np.random.default_rng(0).normal(size=image.shape)
    ends = [
        compute_probabilities(tail, image + sign * 1e-5 * direction)[0, target] for sign in (1, -1)
    ]
    along = (slope.transpose(0, 2, 3, 1) * direction).sum()
    assert along == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-5)


def test_logits_of_an_unknown_tail_are_seen(tmp_path: Path) -> None:
    classifier = load(make_tailed([node("LeakyRelu", ["logits"], ["scores"])]), tmp_path)
    assert (classifier.spec.head, classifier.spec.sources["head"]) == ("logits", "seen")


def test_what_the_graph_tells_keeps_its_source(tmp_path: Path) -> None:
    classifier = load(make_tailed([node("Identity", ["logits"], ["scores"])]), tmp_path)
    assert (classifier.spec.head, classifier.spec.sources["head"]) == ("logits", "graph")


@pytest.mark.parametrize("name", ["plus eps", "stacked heads"])
def test_probabilities_that_are_said_to_be_logits_are_an_error(name: str, tmp_path: Path) -> None:
    proto = make_tailed({**KNOWN, **SEEN}[name])
    text = r"flag --head says logits, but its answers to 7 .* write --head probabilities"
    check_refused(proto, tmp_path, text, head="logits")
    (tmp_path / "net.toml").write_text('head = "logits"')
    check_refused(proto, tmp_path, r"net\.toml says logits, but")


def test_logits_that_are_said_to_be_probabilities_are_an_error(tmp_path: Path) -> None:
    proto = make_tailed([node("Identity", ["logits"], ["scores"])])
    text = r"flag --head says probabilities, but its answers .* lie in \[-.*write --head logits"
    check_refused(proto, tmp_path, text, head="probabilities")


LOGITS = [node("Identity", ["logits"], ["scores"])]
HIDDEN_LOGITS = [node("LeakyRelu", ["logits"], ["scores"])]
SIGMOID = LABELS["sigmoids"]
# A sigmoid that the graph does not show.
HIDDEN_SIGMOID = Tail(
    [node("Softplus", ["logits"], ["s"]), node("Sub", ["logits", "s"], ["l"]),
     node("Exp", ["l"], ["scores"])],
    sigmoid,
)  # fmt: skip
HIDDEN_SOFTMAX = SEEN["stacked heads"]

SAYINGS: dict[tuple[str, str], str] = {
    ("logits", "sigmoid"): "multilabel-logits",
    ("logits", "softmax"): "logits",
    ("logits", "multilabel-logits"): "multilabel-logits",
    ("logits", "multilabel-probabilities"): r"lie in \[-.*write --head multilabel-logits$",
    ("hidden logits", "sigmoid"): "multilabel-logits",
    ("hidden logits", "softmax"): "logits",
    ("hidden logits", "multilabel-logits"): "multilabel-logits",
    ("sigmoid", "sigmoid"): "multilabel-probabilities",
    ("sigmoid", "softmax"): "ends in a sigmoid for each class.*multilabel-probabilities",
    ("sigmoid", "logits"): "ends in a sigmoid for each class.*multilabel-probabilities",
    ("sigmoid", "probabilities"): "instead of 1; write --head multilabel-probabilities",
    ("sigmoid", "multilabel-logits"): "makes probabilities of them.*multilabel-probabilities$",
    ("sigmoid", "multilabel-probabilities"): "multilabel-probabilities",
    ("hidden sigmoid", "sigmoid"): "do not show whether the sigmoids are done already",
    ("hidden sigmoid", "softmax"): "cannot tell .*multilabel-probabilities if .*--head logits if",
    ("hidden sigmoid", "probabilities"): "instead of 1; write --head multilabel-probabilities",
    ("hidden sigmoid", "multilabel-logits"): "multilabel-logits",
    ("hidden sigmoid", "multilabel-probabilities"): "multilabel-probabilities",
    ("softmax", "sigmoid"): "ends in a softmax.*excludes the others; write --head probabilities",
    ("softmax", "softmax"): "probabilities",
    ("softmax", "multilabel-logits"): "excludes the others; write --head probabilities",
    ("softmax", "multilabel-probabilities"): "excludes the others; write --head probabilities",
    ("some of a softmax", "sigmoid"): "ends in a softmax.*write --head probabilities",
    ("some of a softmax", "softmax"): "probabilities",
    ("hidden softmax", "sigmoid"): "each row is a distribution.*write --head probabilities",
    ("hidden softmax", "softmax"): "probabilities",
    ("hidden softmax", "multilabel-probabilities"): "each row is a distribution",
}
TAILS = {
    "logits": LOGITS,
    "hidden logits": HIDDEN_LOGITS,
    "sigmoid": SIGMOID,
    "hidden sigmoid": HIDDEN_SIGMOID,
    "softmax": KNOWN["softmax"],
    "some of a softmax": KNOWN["background left out"],
    "hidden softmax": HIDDEN_SOFTMAX,
}


@pytest.mark.parametrize(("tail", "head"), SAYINGS)
def test_what_is_said_of_labels_must_agree_with_graph_and_answers(
    tail: str, head: str, tmp_path: Path
) -> None:
    proto, expected = make_tailed(TAILS[tail]), SAYINGS[tail, head]
    if " " in expected:
        check_refused(proto, tmp_path, expected, head=head)
        return
    spec = load(proto, tmp_path, head=head).spec
    assert spec.head == expected
    told = "seen" if tail.startswith("hidden") else "graph"
    is_form_seen = head in ("sigmoid", "softmax")
    assert spec.sources["head"] == ("flag --head" + (f", {told}" if is_form_seen else ""))


@pytest.mark.parametrize(
    ("tail", "problem_type", "expected"),
    [
        ("logits", "multi_label_classification", "multilabel-logits"),
        ("sigmoid", "multi_label_classification", "multilabel-probabilities"),
        ("softmax", "multi_label_classification", r"\(problem_type\) says sigmoid, which is for"),
        ("logits", "single_label_classification", "logits"),
        ("softmax", "single_label_classification", "probabilities"),
        ("sigmoid", "single_label_classification", r"\(problem_type\) says softmax, but the graph"),
    ],
)
def test_problem_type_of_hugging_face_must_agree_with_the_graph(
    tail: str, problem_type: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(f'{{"problem_type": "{problem_type}"}}')
    if "problem_type" in expected:
        check_refused(make_tailed(TAILS[tail]), tmp_path, expected)
    else:
        assert load(make_tailed(TAILS[tail]), tmp_path).spec.head == expected


def test_answers_that_are_not_finite_do_not_show_whether_a_sigmoid_is_done(tmp_path: Path) -> None:
    proto = make_tailed([node("Div", ["logits", "no"], ["scores"])], no=f32(0))
    check_refused(proto, tmp_path, "flag --head says sigmoid, and .* not finite", head="sigmoid")
    assert load(proto, tmp_path, head="multilabel-logits").outputs == "multilabel-logits"


NO_SCORES: dict[str, tuple[list[NodeProto], str]] = {
    "percent in a way that is not understood": (
        [SOFTMAX, node("Abs", ["p"], ["a"]), node("Mul", ["a", "hundred"], ["scores"])],
        "scores of each image sum to 100",
    ),
    "two heads added": (
        [SOFTMAX, node("Abs", ["p"], ["a"]), node("Add", ["a", "p"], ["scores"])],
        "scores of each image sum to 2",
    ),
    "all but the probability of each class": (
        [SOFTMAX, node("Sub", ["one", "p"], ["scores"])],
        "scores of each image sum to 8",
    ),
    "softmax over the images": (
        [node("Softmax", ["logits"], ["scores"], axis=0)],
        "every class has the same score .* sum to 9; a softmax over a wrong axis",
    ),
    "TopK": ([node("TopK", ["logits", "k"], ["scores", "n"])], "sorted, as the values of a TopK"),
    "sorted in a way that is not understood": (
        [node("TopK", ["logits", "k"], ["v", "n"]), node("Elu", ["v"], ["scores"])],
        "sorted, as the values of a TopK",
    ),
    "softmax of a TopK": (
        [node("TopK", ["logits", "k"], ["v", "n"]), node("Softmax", ["v"], ["scores"], axis=1)],
        "sorted, as the values of a TopK",
    ),
    "logarithm of sigmoids": (
        [node("Sigmoid", ["logits"], ["p"]), node("Log", ["p"], ["scores"])],
        "logarithms of a sigmoid for each class",
    ),
    "logarithm of a sigmoid by softplus": (
        [
            node("Neg", ["logits"], ["n"]),
            node("Softplus", ["n"], ["sp"]),
            node("Neg", ["sp"], ["scores"]),
        ],
        "logarithms of a sigmoid for each class",
    ),
    "nothing but 0": (
        [node("Mul", ["logits", "no"], ["scores"])],
        "every class has the same score",
    ),
}


@pytest.mark.parametrize("head", [None, "logits", "probabilities", "sigmoid"])
@pytest.mark.parametrize("name", NO_SCORES)
def test_what_is_no_score_of_classes_is_an_error_whatever_is_said(
    name: str, head: str | None, tmp_path: Path
) -> None:
    nodes, match = NO_SCORES[name]
    proto = make_tailed(nodes, hundred=f32(100), k=np.array([CLASSES]), no=f32(0), one=f32(1))
    check_refused(proto, tmp_path, match, head=head)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Tanh", ["logits"], ["scores"])],
        [node("Softplus", ["logits"], ["scores"])],
        [node("Exp", ["logits"], ["scores"])],
        [SOFTMAX, node("Sub", ["p", "ninth"], ["scores"])],
        [node("LogSoftmax", ["logits"], ["l"], axis=1), node("Neg", ["l"], ["scores"])],
    ],
    ids=["tanh", "softplus", "exponential", "probabilities around 0", "losses"],
)
def test_scores_of_a_function_that_may_mean_anything_need_a_word(
    nodes: list[NodeProto], tmp_path: Path
) -> None:
    proto = make_tailed(nodes, ninth=f32(1 / CLASSES))
    check_refused(proto, tmp_path, "cannot tell what the scores are: ")
    assert load(proto, tmp_path, head="logits").outputs == "logits"


def test_whole_percents_that_nothing_explains_are_an_error(tmp_path: Path) -> None:
    nodes = [
        SOFTMAX,
        node("Mul", ["p", "hundred"], ["a"]),
        node("LeakyRelu", ["a"], ["b"]),
        node("Round", ["b"], ["scores"]),
    ]
    proto = make_tailed(nodes, hundred=f32(100))
    check_refused(proto, tmp_path, "neither logits nor probabilities")


def test_logarithms_of_a_softmax_are_logits_of_the_same_probabilities(tmp_path: Path) -> None:
    tail = Tail([SOFTMAX, node("Log", ["p"], ["scores"])], softmax)
    classifier, images = load(make_tailed(tail), tmp_path), photos(4, SIZE)
    assert (classifier.spec.head, classifier.spec.sources["head"]) == ("logits", "graph")
    p = to_probabilities(classifier.scores(images), classifier.outputs)
    np.testing.assert_allclose(p, compute_probabilities(tail, images), rtol=1e-3, atol=1e-6)


def test_scores_in_the_unit_that_nothing_explains_need_a_word(tmp_path: Path) -> None:
    tail = Tail(
        [node("Tanh", ["logits"], ["t"]), node("Abs", ["t"], ["scores"])],
        lambda z: np.abs(np.tanh(z)),
    )
    proto, images = make_tailed(tail), photos(4, SIZE)
    text = (
        "cannot tell what the scores are: .*--head multilabel-probabilities if .*--head logits if"
    )
    check_refused(proto, tmp_path, text)
    classifier = load(proto, tmp_path, head="multilabel-probabilities")
    np.testing.assert_allclose(
        classifier.scores(images), compute_probabilities(tail, images), rtol=1e-4, atol=1e-5
    )
    assert load(proto, tmp_path, head="logits").outputs == "logits"


@pytest.mark.parametrize("head", ["logits", None])
def test_equal_sums_of_scores_that_hardly_change_tell_nothing(
    head: str | None, tmp_path: Path
) -> None:
    constant = models.constant(SIZE, [3.0, 1.0, 2.0])
    if head is None:
        check_refused(constant, tmp_path, "cannot tell what the scores are: .* sum to 6")
    else:
        assert load(constant, tmp_path, head=head).outputs == "logits"


def test_one_number_is_checked(tmp_path: Path) -> None:
    logit = models.additive(20 * models.weights(SIZE, 1))
    probability = models.additive(20 * models.weights(SIZE, 1), head="sigmoid")
    check_refused(logit, tmp_path, "write --head logit$", head="probability")
    check_refused(probability, tmp_path, "write --head probability$", head="logit")
    for head in ("logit", "sigmoid"):
        assert load(logit, tmp_path, head=head).outputs == "logits"
    for head in (None, "probability", "sigmoid"):
        assert load(probability, tmp_path, head=head).outputs == "probabilities"


def test_form_of_one_number_must_be_plain_to_see(tmp_path: Path) -> None:
    proto = models.additive(models.weights(SIZE, 1), head="sigmoid")
    proto.graph.node[-1].output[0] = "p"
    proto.graph.node.extend([node("Abs", ["p"], ["scores"])])  # an operator that is not followed
    text = "do not show whether the sigmoid is done already; write --head probability if"
    check_refused(proto, tmp_path, text, head="sigmoid")
    assert load(proto, tmp_path, head="probability").outputs == "probabilities"


def make_quantised(shown: str) -> ModelProto:
    """Make a classifier of uint8 scores whose scale the graph hides."""
    nodes = [
        *([SOFTMAX] if shown == "p" else []),
        node("QuantizeLinear", [shown, "scale", "zero"], ["q"]),
        node("Max", ["q", "zero"], ["scores"]),
    ]
    scale = f32(1 / 256 if shown == "p" else 0.5)
    proto = make_tailed(nodes, scale=scale, zero=np.array(0 if shown == "p" else 128, np.uint8))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    return proto


def test_unknown_scale_of_quantised_scores_must_fit_probabilities(tmp_path: Path) -> None:
    spec = load(make_quantised("p"), tmp_path).spec
    assert (spec.head, spec.output_scale) == ("probabilities", (1 / 256, 0))
    assert spec.sources["output_scale"] == "seen"
    check_refused(make_quantised("logits"), tmp_path, r"quantised scores .* output_scale = \[scale")
    (tmp_path / "net.toml").write_text('output_scale = [0.5, 128]\nhead = "logits"')
    assert load(make_quantised("logits"), tmp_path).spec.output_scale == (0.5, 128)


def test_what_was_seen_is_remembered_by_the_model_and_how_it_is_fed(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = read_model(models.save(make_tailed(SEEN["stacked heads"]), tmp_path / "net.onnx"))
    spec = spec_of(size=SIZE, classes=CLASSES)
    settled = settle_head(model, spec)
    assert settled.head == "probabilities"
    assert len(list((cache / "scores").iterdir())) == 1
    settle_head(model, spec_of(size=SIZE, classes=CLASSES, range=(0, 255)))
    assert len(list((cache / "scores").iterdir())) == 2
    for entry in (cache / "scores").iterdir():  # as another version of the package wrote it
        entry.write_text(entry.read_text().replace('"change"', '"other"'))
    assert settle_head(model, spec) == settled
    monkeypatch.setattr(seen_scores, "open_session", None)  # must not be called
    assert settle_head(model, spec) == settled


def test_inspection_shows_that_the_head_was_seen(tmp_path: Path) -> None:
    path = models.save(make_tailed(SEEN["stacked heads"]), tmp_path / "net.onnx")
    record = inspect_model(path, device="cpu", batch_size=1, flags=UNIT).record()
    assert record["spec"]["head"] == {"value": "probabilities", "source": "seen"}


def test_rows_that_are_not_finite_say_nothing(tmp_path: Path) -> None:
    proto = make_tailed([node("Div", ["logits", "no"], ["scores"])], no=f32(0))
    assert load(proto, tmp_path).spec.head == "logits"


def test_rounding_of_a_thousand_quantised_probabilities_is_allowed_for() -> None:
    scores = np.full((7, 1000), 0.9e-3)
    scores[:, 0] = 0.04
    assert SeenScores.of(scores, rounding=0.15).are_distributions
    assert not SeenScores.of(scores, rounding=1e-3).are_distributions


VARIANTS = {
    "eps_clip": 0.8716,
    "exp_recip": 0.8716,
    "gather": 0.8716,
    "hand_sigmoid": 0.9553,
    "linclf_ovr": 0.4469,
    "linclf_softmax": 0.8716,
    "log_probs": 0.8716,
    "mean_stack": 0.8716,
    "percent": 0.8716,
    "qdq_softmax": 0.8706,
    "sig_concat": 0.8872,
    "slice_bg": 0.0877,
    "softmax_where": 0.8716,
    "l1norm": 0.8,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_tails_of_real_exporters_give_the_right_score(name: str) -> None:
    from PIL import Image

    folder = shared("cases/02_double_softmax")
    image = np.asarray(Image.open(folder / "pic.png"), np.float32)[None] / 255
    classifier = load_classifier(folder / f"{name}.onnx", device="cpu", batch_size=1, flags=UNIT)
    scores = to_probabilities(classifier.scores(image), classifier.outputs)
    assert scores.max() == pytest.approx(VARIANTS[name], abs=1e-4)
