"""Independent labels from the file to the results: each has a sigmoid of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Box
from onnxplain.core.errors import ScoreError
from onnxplain.core.protocols import Classifier
from onnxplain.metrics import METRICS
from onnxplain.study.result import Study
from tests.conftest import shared
from tests.helpers import models
from tests.helpers.nets import Picture
from tests.helpers.specs import photos
from tests.reference import methods as reference

SIZE = (12, 12)
NAMES = ("red", "green", "blue", "grey")
# The first two labels are present in the photo, the others are not.
WEIGHTS = 3 * models.weights(SIZE, 4)
IMAGE = photos(1, SIZE)[0]
SHIFT = np.array([1.5, 0.4, -1.0, -3.0]) - models.additive_scores(WEIGHTS, IMAGE[None])[0]
FILL = 0.25


def compute_logits(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logits of the labels: weighted sums of the pixels."""
    z: NDArray[np.float64] = models.additive_scores(WEIGHTS, images) + SHIFT
    return z


def compute_probability(image: NDArray[Any], target: int) -> float:
    """Return the probability of one label of one image."""
    return float(scipy.special.expit(compute_logits(image[None])[0, target]))


def save_model(folder: Path, head: str) -> Path:
    proto = models.additive(WEIGHTS, head=head)
    bias = next(tensor for tensor in proto.graph.initializer if tensor.name == "b")
    bias.raw_data = SHIFT.astype(np.float32).tobytes()
    return models.save(proto, folder / f"{head}.onnx")


def load_file(folder: Path, end: str, **flags: Any) -> Classifier:
    path, names = save_model(folder, end), list(NAMES)
    return onnxplain.load(
        path, device="cpu", batch_size=4, preprocessing="unit", class_names=names, **flags
    )


def load_with_config(folder: Path) -> Classifier:
    (folder / "config.json").write_text('{"problem_type": "multi_label_classification"}')
    return load_file(folder, "logits")


CLASSIFIERS: dict[str, Any] = {
    "file of logits": lambda folder: load_file(folder, "logits", head="multilabel-logits"),
    "file with a config": load_with_config,
    "file of sigmoids": lambda folder: load_file(folder, "sigmoid"),
    "function of logits": lambda folder: onnxplain.from_callable(
        compute_logits, size=SIZE, class_names=NAMES, outputs="multilabel-logits"
    ),
    "function of probabilities": lambda folder: onnxplain.from_callable(
        lambda images: scipy.special.expit(compute_logits(images)),
        size=SIZE,
        class_names=NAMES,
        outputs="multilabel-probabilities",
    ),
}


@pytest.fixture(params=CLASSIFIERS)
def classifier(request: pytest.FixtureRequest, tmp_path: Path) -> Classifier:
    made: Classifier = CLASSIFIERS[request.param](tmp_path)
    return made


def test_scores_of_several_labels_are_their_sigmoids(classifier: Classifier) -> None:
    method = onnxplain.SP(patch=4, stride=4)
    found = list(onnxplain.explain_many(classifier, [IMAGE], method, target=["green", "grey"]))
    scores = {explanation.target_name: explanation.score for explanation in found}
    expected = scipy.special.expit(np.array([0.4, -3.0]))
    assert scores == pytest.approx(dict(zip(("green", "grey"), expected, strict=True)), abs=1e-5)
    assert onnxplain.explain(classifier, IMAGE, method).target_name == "red"


@pytest.mark.parametrize("target", [1, 2])
def test_sp_is_that_of_plain_loops_on_the_sigmoid(classifier: Classifier, target: int) -> None:
    method = onnxplain.SP(patch=4, stride=2)
    ours = onnxplain.explain(classifier, IMAGE, method, target=target, fill=Picture(FILL))
    expected = reference.sp_coarse(
        lambda image: compute_probability(image, target), IMAGE, np.full_like(IMAGE, FILL), 4, 2
    )
    assert ours.coarse is not None
    np.testing.assert_allclose(ours.coarse, expected, atol=1e-5)


@pytest.mark.parametrize("gain", ["difference", "auto"])
def test_mp2_removes_the_cells_of_plain_loops_until_the_label_is_unlikely(
    classifier: Classifier, gain: str
) -> None:
    """The logit is linear in the pixels, so that gradients are differences."""
    method = onnxplain.MP2(grid=6, gain=gain, sweep="full")  # type: ignore[arg-type]
    ours = onnxplain.explain(classifier, IMAGE, method, target="red", fill=Picture(FILL))
    expected = reference.mp2_order(
        lambda image: compute_probability(image, 0), IMAGE, np.full_like(IMAGE, FILL), 6, 2, 0.5
    )
    assert len(expected) >= 4
    assert ours.order is not None
    assert ours.order.tolist() == expected
    assert ours.details["reason"] == "chance"


def test_mp2_removes_nothing_of_a_label_that_is_unlikely(classifier: Classifier) -> None:
    ours = onnxplain.explain(classifier, IMAGE, onnxplain.MP2(grid=6), target="blue")
    assert (ours.details["reason"], ours.evaluations) == ("chance", 1)


def test_deletion_is_the_mean_of_the_labels_probability(classifier: Classifier) -> None:
    heatmap = np.arange(144.0)[::-1].reshape(SIZE)  # the pixels go row by row
    result = metrics.deletion(classifier, IMAGE, heatmap, target="red", step=12, fill="black")
    curve = []
    for gone in range(13):
        image = IMAGE.copy()
        image[:gone] = 0
        curve.append(compute_probability(image, 0))
    np.testing.assert_allclose(result.details["curve"], curve, atol=1e-5)


def test_score_of_a_fill_is_beside_one_half(classifier: Classifier) -> None:
    score = metrics.fill_score(classifier, IMAGE, target="green", fill="black")
    p = scipy.special.expit(SHIFT)
    assert score.value == pytest.approx(p[1], abs=1e-5)
    assert score.details["chance"] == 0.5
    expected = scipy.special.entr(p).sum() + scipy.special.entr(1 - p).sum()
    assert score.details["entropy"] == pytest.approx(expected, abs=1e-5)


def test_label_is_recognised_if_it_is_likely_though_another_is_more_so(
    classifier: Classifier,
) -> None:
    for target, recognised in (("red", True), ("green", True), ("blue", False)):
        score = metrics.still_recognised(
            classifier, IMAGE, target, boxes=[Box(0, 0, 2, 2)], fill=Picture(0.5)
        )
        assert score.details["recognised_before"] is recognised
        assert score.value == float(score.details["score_after"] > 0.5)


def test_another_classifier_recognises_by_its_own_kind_of_scores(tmp_path: Path) -> None:
    labels = CLASSIFIERS["function of logits"](tmp_path)
    classes = onnxplain.from_callable(
        compute_logits, size=SIZE, class_names=NAMES, outputs="logits"
    )
    for ours, by, recognised in ((labels, classes, False), (classes, labels, True)):
        score = metrics.still_recognised(
            ours, IMAGE, "green", boxes=[Box(0, 0, 1, 1)], by=by, fill=Picture(0.5)
        )
        assert score.details["recognised_before"] is recognised


SMALL = {
    "off-object": "off-object:patch=3,stride=3",
    **{name: f"{name}:patch=3,steps=10" for name in ("abpc", "lerf", "morf")},
}


@pytest.mark.parametrize("name", sorted(set(METRICS) - {"ms-ssim"}))  # it asks for no scores
def test_every_metric_judges_a_label(name: str, tmp_path: Path) -> None:
    classifier = CLASSIFIERS["function of logits"](tmp_path)
    heatmap, boxes = np.random.default_rng(0).random(SIZE), [Box(2, 2, 8, 8)]
    spelt = SMALL.get(name, name)
    result = metrics.judge(spelt, classifier, IMAGE, heatmap, "green", boxes=boxes)
    assert np.isfinite(result.value)


def write_photos(folder: Path) -> None:
    import PIL.Image

    folder.mkdir()
    PIL.Image.fromarray(np.rint(IMAGE * 255).astype(np.uint8)).save(folder / "a.png")
    rows = [f"a.png,{name}" for name in NAMES]
    (folder.parent / "labels.csv").write_text("\n".join(["file,class_name", *rows]))


def test_study_takes_every_label_that_is_predicted(classifier: Classifier, tmp_path: Path) -> None:
    """Of classes that exclude each other it would take red alone."""
    write_photos(tmp_path / "photos")
    study: Study = onnxplain.evaluate(
        tmp_path / "photos",
        annotations=tmp_path / "labels.csv",
        models=[classifier],
        methods=["random"],
        metrics=["deletion:step=36"],
        output=tmp_path / "out",
    )
    rows = [row for row in study.rows if row["kind"] == "image"]
    status = {row["target_name"]: row["status"] for row in rows}
    assert status == {"red": "done", "green": "done", "blue": "wrong", "grey": "wrong"}
    scored = {row["target_name"] for row in study.rows if row["kind"] == "score"}
    assert scored == {"red", "green"}


def test_photo_without_a_likely_label_is_explained_for_its_likeliest(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    unlikely = onnxplain.from_callable(
        lambda images: compute_logits(images) - 5,
        size=SIZE,
        class_names=NAMES,
        outputs="multilabel-logits",
    )
    study: Study = onnxplain.evaluate(
        tmp_path / "photos",
        models=[unlikely],
        methods=["random"],
        metrics=["deletion:step=36"],
        output=tmp_path / "out",
    )
    (row,) = [row for row in study.rows if row["kind"] == "image"]
    assert (row["status"], row["predicted_name"]) == ("done", "red")


def test_probabilities_that_sum_to_more_than_one_are_no_classes_that_exclude_each_other() -> None:
    classifier = onnxplain.from_callable(
        lambda images: np.full((len(images), 4), 0.6), size=SIZE, class_names=NAMES
    )
    with pytest.raises(ScoreError, match=r"sum to 2\.4, .*independent labels, say so with --head"):
        onnxplain.explain(classifier, IMAGE)


def test_labels_of_hugging_face_have_the_scores_of_its_pipeline() -> None:
    """The numbers are those of the sigmoids in expected.txt."""
    folder = shared("cases/04_multilabel")
    classifier = onnxplain.load(folder / "hf/model.onnx", device="cpu", batch_size=4)
    source = "config.json (problem_type), seen"
    assert (classifier.spec.head, classifier.spec.sources["head"]) == ("multilabel-logits", source)
    photo = folder / "pic.png"
    method = onnxplain.LIME(n_samples=50)
    found = list(onnxplain.explain_many(classifier, [photo], method, target="top-3"))
    scores = [explanation.score for explanation in found]
    assert scores == pytest.approx([0.99924459, 0.57367841, 0.11920292], abs=1e-5)
    mp2 = onnxplain.explain(classifier, photo, onnxplain.MP2(grid=8), target="green")
    assert mp2.evaluations > 1
    assert mp2.details["reason"] == "chance"
    assert mp2.details["trajectory"][-1][1] <= 0.5
    record = json.dumps(dict(mp2.provenance), default=str)
    assert '"head": "multilabel-logits"' in record
