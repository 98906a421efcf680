"""The public names, and the verbs that explain images."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest

import onnxplain
from onnxplain import fills, methods
from onnxplain.api import explain, explain_many
from onnxplain.core.data import Attribution, Case, Preprocessing
from onnxplain.core.errors import ImageError, ModelError, ScoreError
from onnxplain.core.flow import Flow, ImageQuery, MaskQuery
from onnxplain.explaining import Failure
from onnxplain.fills import Blur
from onnxplain.image import Frame, place_frame, resize
from onnxplain.masks.families import ArrayMasks, PatchMasks
from onnxplain.methods import LIME, RISE, SP
from onnxplain.results import Explanation
from onnxplain.runtime import from_callable

SIZE = (12, 12)
NAMES = ("left", "right", "top")


def halves(images):
    """Score the classes by the brightness of three halves of each image."""
    left = images[:, :, :6].mean(axis=(1, 2, 3))
    right = images[:, :, 6:].mean(axis=(1, 2, 3))
    top = images[:, :6].mean(axis=(1, 2, 3))
    return np.stack([left, right, top], axis=1) / 3


@pytest.fixture
def classifier():
    return from_callable(halves, size=SIZE, class_names=NAMES, batch_size=7)


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (24, 36, 3), np.uint8)


def test_public_names_are_complete():
    assert sorted(onnxplain.__all__) == sorted(
        [
            *methods.__all__,
            *fills.__all__,
            "Box",
            "Explanation",
            "Failure",
            "OnnxplainError",
            "Ray",
            "SheetLook",
            "Study",
            "__version__",
            "draw_curves",
            "draw_fills",
            "draw_removal",
            "draw_sheet",
            "evaluate",
            "explain",
            "explain_many",
            "from_callable",
            "from_keras",
            "from_torch",
            "export_explainer",
            "gradient_graph",
            "load",
            "load_distance",
            "load_explanation",
            "load_features",
            "load_inpainter",
            "load_randomised",
            "load_shifted",
            "LayerWeights",
            "weigh_layers",
            "estimate_patterns",
            "write_report",
        ]
    )
    assert set(onnxplain.__all__) <= set(dir(onnxplain))


@pytest.mark.parametrize("name", onnxplain.__all__)
def test_public_name_can_be_imported_and_is_documented(name):
    value = getattr(onnxplain, name)
    if name == "__version__":
        assert re.fullmatch(r"\d+\.\d+\.\d+", value)
        return
    assert value.__name__ == name
    # A dataclass without a docstring gets its signature as one.
    assert inspect.getdoc(value)
    assert not value.__doc__.startswith(f"{name}(")


def test_every_name_in_the_stub_is_public():
    stub = Path(onnxplain.__file__).with_suffix(".pyi").read_text()
    assert set(re.findall(r" as (\w+)$", stub, re.MULTILINE)) == set(onnxplain.__all__)


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute Rise"):
        _ = onnxplain.Rise  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, onnxplain; print(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "cv2", "onnx", "onnxruntime", "skimage", "click"}
    assert not heavy & set(process.stdout.split())


def test_explanation_records_the_question_and_the_result(classifier, photo):
    method = SP(patch=4, stride=2)
    explanation = explain(classifier, photo, method, target="right", fill="black", seed=3)
    image = place_frame((24, 36), SIZE, Preprocessing()).bring(photo.astype(np.float32) / 255)
    assert explanation.image == "image-0"
    assert (explanation.target, explanation.target_name) == (1, "right")
    assert explanation.score == pytest.approx(halves(image[None])[0, 1], abs=1e-6)
    assert explanation.heatmap.shape == SIZE
    assert explanation.full_heatmap.shape == (24, 36)
    assert explanation.coarse is not None
    assert explanation.coarse.shape == (5, 5)
    assert (explanation.method, explanation.fill, explanation.seed) == ("sp", "black", 3)
    expected = {"patch": 4, "stride": 2, "align": "center", "share": 0, "refine": 1.0}
    expected |= {"incremental": False}
    assert explanation.parameters == expected
    assert explanation.evaluations == 26
    assert explanation.provenance["versions"]["onnxplain"] == onnxplain.__version__
    assert explanation.provenance["classifier"]["model"] == "callable"
    np.testing.assert_array_equal(explanation.photo, photo)


def test_full_heatmap_covers_only_the_window_of_the_classifier(classifier, photo):
    explanation = explain(classifier, photo, SP(patch=4, stride=2))
    frame: Frame = place_frame((24, 36), SIZE, Preprocessing())
    window = frame.window
    assert (explanation.full_heatmap[:, : int(window.left)] == 0).all()
    inside = explanation.full_heatmap[:, int(window.left) : int(window.right)]
    np.testing.assert_allclose(inside, resize(explanation.heatmap, (24, 24)), atol=1e-6)


def test_predicted_class_is_explained_by_default(classifier, photo):
    explanation = explain(classifier, photo, SP(patch=12, stride=1))
    scores = halves(
        place_frame((24, 36), SIZE, Preprocessing()).bring(photo.astype(np.float32) / 255)[None]
    )[0]
    assert explanation.target == scores.argmax()


def test_targets_share_evaluations_and_get_the_heatmaps_that_they_get_alone(classifier, photo):
    scored = []

    def count_and_score(images):
        scored.append(len(images))
        return halves(images)

    counted = from_callable(count_and_score, size=SIZE, class_names=NAMES)
    together = list(explain_many(counted, [photo], RISE(n_masks=20), target="top-3"))
    assert sum(scored) == 20 + 1  # one evaluation predicts the class
    assert {explanation.target for explanation in together} == {0, 1, 2}
    for explanation in together:
        alone = explain(classifier, photo, RISE(n_masks=20), target=explanation.target)
        np.testing.assert_allclose(explanation.heatmap, alone.heatmap, atol=1e-6)


def test_results_do_not_depend_on_order_or_on_other_images(classifier, photo, tmp_path: Path):
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"photo{i}.png")
        PIL.Image.fromarray(np.roll(photo, i * 5, axis=1)).save(paths[-1])
    explanations = explain_many(classifier, paths[::-1], "lime", seed=7)
    many = {explanation.image: explanation for explanation in explanations}
    for path in paths:
        alone = explain(classifier, path, "lime", seed=7)
        np.testing.assert_allclose(many[str(path)].heatmap, alone.heatmap, atol=1e-6)
        other = explain(classifier, path, "lime", seed=8)
        assert np.abs(other.heatmap - alone.heatmap).max() > 1e-6


def test_image_that_fails_does_not_stop_the_others(classifier, photo, tmp_path: Path):
    missing = tmp_path / "missing.jpg"
    images = [missing, photo, photo * 2.0]
    results = list(explain_many(classifier, images, SP(patch=6, stride=6)))
    failures = {result.image: result.error for result in results if isinstance(result, Failure)}
    assert isinstance(failures[str(missing)], ImageError)
    assert isinstance(failures["image-2"], ValueError)
    assert [result.image for result in results if isinstance(result, Explanation)] == ["image-1"]


def test_error_of_a_single_image_is_raised(classifier, tmp_path: Path):
    with pytest.raises(ImageError, match="no such file"):
        explain(classifier, tmp_path / "missing.jpg")


def test_progress_is_exact(classifier, photo):
    calls: list[tuple[int, int, int]] = []
    method = SP(patch=6, stride=2)
    expected = method.evaluations(SIZE)
    images = [photo, photo.T, photo]  # the second is not an image
    list(explain_many(classifier, images, method, on_progress=lambda *call: calls.append(call)))
    assert calls[0][1] in (3 * expected, 2 * expected)
    assert calls[-1] == (2 * expected, 2 * expected, 0)
    done = [n_done for n_done, _, _ in calls]
    assert done == sorted(done)
    assert all(n_done <= total for n_done, total, _ in calls)


@dataclass(frozen=True)
class Stops:
    """Asks about one mask twice, or three times for class 0; announces more evaluations."""

    name: ClassVar[str] = "stops"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "black"

    def evaluations(self, size: tuple[int, int]) -> int:
        return 9

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        masks = PatchMasks(np.array([[0, 0]]), 3, case.size)
        for _ in range(2 if case.target else 3):
            yield MaskQuery(masks)
        return Attribution(np.full(case.size, case.target, np.float32))


def test_adaptive_method_runs_once_per_target_and_progress_ends_at_the_work_done(classifier, photo):
    calls: list[tuple[int, int, int]] = []
    explanations = explain_many(
        classifier,
        [photo],
        Stops(),
        target=["left", "top"],
        on_progress=lambda *call: calls.append(call),
    )
    evaluations = {explanation.target: explanation.evaluations for explanation in explanations}
    assert evaluations == {0: 3, 2: 2}
    assert calls[0][1] == 18
    assert calls[-1] == (5, 5, 0)


def test_parameter_left_open_is_recorded_as_it_was_decided(classifier, photo):
    method = onnxplain.MP2(grid=2)
    assert explain(classifier, photo, method).parameters["gain"] == "difference"


def test_missing_gradients_are_an_error_that_says_what_to_do(classifier, photo):
    with pytest.raises(ModelError, match=r"a function has no gradient.*mp2 with gain=difference"):
        explain(classifier, photo, onnxplain.MP2(grid=2, gain="gradient"))


def test_error_of_a_method_is_a_failure_of_its_image(classifier, photo):
    @dataclass(frozen=True)
    class Breaks:
        name: ClassVar[str] = "breaks"
        adaptive: ClassVar[bool] = False
        usual_fill: ClassVar[str] = "black"

        def evaluations(self, size: tuple[int, int]) -> int:
            return 1

        def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
            yield MaskQuery(PatchMasks(np.array([[0, 0]]), 3, case.size))
            raise RuntimeError("odd")

    (failure,) = explain_many(classifier, [photo], Breaks())
    assert isinstance(failure, Failure)
    assert str(failure.error) == "odd"


@pytest.mark.parametrize(
    ("query", "value", "message"),
    [
        (MaskQuery(PatchMasks(np.zeros((1, 2), int), 3, (9, 9))), None, "masks of the case's size"),
        (MaskQuery(np.zeros((2, 9, 9))), None, "size, 12 x 12, got 9 x 9"),  # type: ignore[arg-type]
        (ImageQuery(np.zeros((2, 9, 9, 3), np.float32)), None, r"case's size, \(N, 12, 12, 3\)"),
        (np.zeros((2, *SIZE)), None, "an ImageQuery, a TailQuery or a FillQuery, got ndarr"),
        (MaskQuery(np.zeros((2, *SIZE))), np.zeros(SIZE), "returns an Attribution, got ndarray"),  # type: ignore[arg-type]
    ],
)
def test_wrong_query_or_value_of_a_method_is_refused(classifier, photo, query, value, message):
    (failure,) = explain_many(classifier, [photo], Foreign(query, value))
    assert isinstance(failure, Failure)
    with pytest.raises((TypeError, ValueError), match=message):
        raise failure.error


def test_masks_of_another_package_may_be_an_array(classifier, photo):
    masks = np.zeros((2, *SIZE))
    masks[1] = 1
    family = ArrayMasks(masks.astype(np.float32))
    by_array, by_family = (
        explain(classifier, photo, Foreign(MaskQuery(given), None), fill="black").heatmap
        for given in (masks, family)
    )
    np.testing.assert_array_equal(by_array, by_family)
    assert np.ptp(by_array) > 0


@dataclass(frozen=True)
class Foreign:
    """Yields a query; returns the value, or the scores as a map if the value is None."""

    query: Any
    value: Any

    name: ClassVar[str] = "foreign"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "black"

    def evaluations(self, size: tuple[int, int]) -> int:
        return 2

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        reply = yield self.query
        scores = np.resize(reply.scores, case.size).astype(np.float32)
        return Attribution(scores) if self.value is None else self.value


def test_fill_of_another_size_is_an_error(classifier, photo):
    @dataclass(frozen=True)
    class Small:
        def prepare(self, image, rng):
            return image[:4]

    with pytest.raises(ValueError, match=r"Small: a fill is a picture.*\(12, 12, 3\), got \(4,"):
        explain(classifier, photo, SP(patch=6, stride=3), fill=Small())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_an_error(photo, value):
    broken = from_callable(lambda images: np.full((len(images), 2), value), size=SIZE, n_classes=2)
    with pytest.raises(ScoreError, match="NaN or infinite scores"):
        explain(broken, photo)


def test_probabilities_outside_0_to_1_are_an_error(photo):
    logits = from_callable(
        lambda images: np.full((len(images), 2), 2.5),
        size=SIZE,
        n_classes=2,
        outputs="probabilities",
    )
    with pytest.raises(ScoreError, match=r"probabilities lie in \[2\.5, 2\.5\]"):
        explain(logits, photo)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"method": "rize"}, ValueError, "did you mean 'rise'"),
        ({"method": SP(patch=50)}, ValueError, "patch must fit"),
        ({"fill": "blurr"}, ValueError, "did you mean 'blur'"),
        ({"target": "lefd"}, ValueError, "did you mean 'left'"),
        ({"target": 3}, ValueError, "class from 0 to 2, got 3"),
        ({"target": "top-2"}, ValueError, "explain_many explains several"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": None}, TypeError, "seed takes an integer, got None"),
        ({"method": RISE}, TypeError, r"a value or a name, such as RISE\(\) or 'rise'"),
        ({"fill": Blur}, TypeError, r"a value or a name, such as Blur\(\) or 'blur'"),
        ({"fill": np.zeros((12, 12, 3))}, TypeError, "a fill is a value or a name.*got ndarray"),
    ],
)
def test_wrong_arguments_are_refused_before_an_image_is_read(
    classifier, arguments, error, text, tmp_path: Path
):
    with pytest.raises(error, match=text):
        explain(classifier, tmp_path / "not-there.jpg", **arguments)


def test_function_in_place_of_a_classifier_is_refused_with_how_to_make_one(photo):
    for verb, images in ((explain, photo), (explain_many, [photo])):
        with pytest.raises(TypeError, match=r"from_callable\(function, size=.*got function"):
            verb(halves, images)


def test_pillow_images_of_any_mode_are_explained(classifier, photo):
    method, picture = SP(patch=6, stride=3), PIL.Image.fromarray(photo)
    as_array = explain(classifier, photo, method)
    np.testing.assert_array_equal(explain(classifier, picture, method).heatmap, as_array.heatmap)
    indexed = picture.convert("P")
    np.testing.assert_array_equal(
        explain(classifier, indexed, method).heatmap,
        explain(classifier, np.asarray(indexed.convert("RGB")), method).heatmap,
    )
    with pytest.raises(TypeError, match=r"image-0 must be a path, an array.*got list"):
        explain(classifier, [[0, 1]], method)


def test_pillow_image_gets_the_same_explanation_as_its_file(classifier, photo, tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    method = SP(patch=6, stride=3)
    with PIL.Image.open(tmp_path / "turned.png") as picture:
        explanation = explain(classifier, picture, method)
    expected = explain(classifier, tmp_path / "turned.png", method)
    np.testing.assert_array_equal(explanation.heatmap, expected.heatmap)
    np.testing.assert_array_equal(explanation.full_heatmap, expected.full_heatmap)


class Inverted:
    """A fill that declares nothing."""

    def prepare(self, image, rng):
        return 1 - image


def test_any_object_that_can_prepare_a_picture_is_a_fill(classifier, photo):
    record = explain(classifier, photo, SP(patch=6, stride=3), fill=Inverted()).record()
    assert (record["fill"], record["fill_parameters"]) == ("Inverted", {})


def test_files_of_the_same_name_are_saved_apart(classifier, photo, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        PIL.Image.fromarray(np.roll(photo, len(folder))).save(tmp_path / folder / "cat.png")
    PIL.Image.fromarray(255 - photo).save(tmp_path / "b" / "cat.png")
    images: Iterator[Path] = (tmp_path / folder / "cat.png" for folder in ("a", "b"))
    method = LIME(n_samples=10, n_segments=4)
    saved = [
        explanation.save(tmp_path / "out")
        for explanation in explain_many(classifier, images, method, target="left")
        if isinstance(explanation, Explanation)
    ]
    assert sorted(paths.heatmap.name for paths in saved) == [
        "cat-lime-left-2.npz",
        "cat-lime-left.npz",
    ]
