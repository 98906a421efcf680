"""The verbs of the package."""

from __future__ import annotations

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
from onnxplain.api import Failure, explain, explain_many
from onnxplain.core.data import Attribution, Case
from onnxplain.core.errors import ImageError, ModelError, ScoreError
from onnxplain.core.flow import Flow, ImageQuery, MaskQuery
from onnxplain.fills import Blur
from onnxplain.image import Frame, place_frame, resize
from onnxplain.masks.families import ArrayMasks, PatchMasks
from onnxplain.methods import LIME, RISE, SP
from onnxplain.results import Explanation
from onnxplain.runtime import from_callable

SIZE = (12, 12)
NAMES = ("left", "right", "top")


def halves(images):
    """Class scores out of the brightness of three halves of an image."""
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


def test_public_names_are_these():
    assert sorted(onnxplain.__all__) == sorted(
        [
            "FIDO",
            "LIME",
            "MP",
            "MP2",
            "RISE",
            "SP",
            "Biharmonic",
            "Black",
            "Blur",
            "Box",
            "ChannelMean",
            "Colour",
            "DatasetMean",
            "Explanation",
            "Failure",
            "FoldedBlur",
            "GaussianNoise",
            "Inpaint",
            "LocalMean",
            "NavierStokes",
            "OnnxplainError",
            "SegmentMean",
            "Study",
            "Telea",
            "UniformNoise",
            "White",
            "__version__",
            "evaluate",
            "explain",
            "explain_many",
            "from_callable",
            "gradient_graph",
            "load",
            "load_distance",
            "load_explanation",
            "load_features",
            "load_inpainter",
            "load_randomised",
            "load_shifted",
        ]
    )
    assert all(getattr(onnxplain, name) is not None for name in onnxplain.__all__)
    assert set(onnxplain.__all__) <= set(dir(onnxplain))


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute Rise"):
        _ = onnxplain.Rise  # type: ignore[attr-defined]


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, onnxplain; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"numpy", "cv2", "onnx", "onnxruntime", "skimage", "click"} & set(loaded)


def test_explanation_tells_what_was_asked_and_found(classifier, photo):
    found = explain(classifier, photo, SP(patch=4, stride=2), target="right", fill="black", seed=3)
    image = place_frame((24, 36), SIZE).bring(photo.astype(np.float32) / 255)
    assert found.image == "image-0"
    assert (found.target, found.target_name) == (1, "right")
    assert found.score == pytest.approx(halves(image[None])[0, 1], abs=1e-6)
    assert found.heatmap.shape == SIZE
    assert found.full_heatmap.shape == (24, 36)
    assert found.coarse is not None
    assert found.coarse.shape == (5, 5)
    assert (found.method, found.fill, found.seed) == ("sp", "black", 3)
    assert found.parameters == {"patch": 4, "stride": 2, "align": "center", "share": 0}
    assert found.evaluations == 26
    assert found.provenance["versions"]["onnxplain"] == onnxplain.__version__
    assert found.provenance["classifier"]["model"] == "callable"
    np.testing.assert_array_equal(found.photo, photo)


def test_map_at_photo_size_lies_where_the_classifier_looked(classifier, photo):
    found = explain(classifier, photo, SP(patch=4, stride=2))
    frame: Frame = place_frame((24, 36), SIZE)
    window = frame.window
    assert (found.full_heatmap[:, : int(window.left)] == 0).all()
    inside = found.full_heatmap[:, int(window.left) : int(window.right)]
    np.testing.assert_allclose(inside, resize(found.heatmap, (24, 24)), atol=1e-6)


def test_predicted_class_is_explained_by_default(classifier, photo):
    found = explain(classifier, photo, SP(patch=12, stride=1))
    scores = halves(place_frame((24, 36), SIZE).bring(photo.astype(np.float32) / 255)[None])[0]
    assert found.target == scores.argmax()


def test_targets_share_evaluations_and_equal_each_alone(classifier, photo):
    scored = []

    def counting(images):
        scored.append(len(images))
        return halves(images)

    counted = from_callable(counting, size=SIZE, class_names=NAMES)
    together = list(explain_many(counted, [photo], RISE(n_masks=20), target="top-3"))
    assert sum(scored) == 20 + 1  # one evaluation says what is predicted
    assert {one.target for one in together if isinstance(one, Explanation)} == {0, 1, 2}
    for one in together:
        assert isinstance(one, Explanation)
        alone = explain(classifier, photo, RISE(n_masks=20), target=one.target)
        np.testing.assert_allclose(one.heatmap, alone.heatmap, atol=1e-6)


def test_result_does_not_depend_on_company_or_order(classifier, photo, tmp_path: Path):
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"photo{i}.png")
        PIL.Image.fromarray(np.roll(photo, i * 5, axis=1)).save(paths[-1])
    many = {one.image: one for one in explain_many(classifier, paths[::-1], "lime", seed=7)}
    for path in paths:
        alone = explain(classifier, path, "lime", seed=7)
        np.testing.assert_allclose(many[str(path)].heatmap, alone.heatmap, atol=1e-6)
        other = explain(classifier, path, "lime", seed=8)
        assert np.abs(other.heatmap - alone.heatmap).max() > 1e-6


def test_an_image_that_fails_leaves_the_others_alone(classifier, photo, tmp_path: Path):
    missing = tmp_path / "missing.jpg"
    found = list(explain_many(classifier, [missing, photo, photo * 2.0], SP(patch=6, stride=6)))
    failures = {one.image: one.error for one in found if isinstance(one, Failure)}
    assert isinstance(failures[str(missing)], ImageError)
    assert isinstance(failures["image-2"], ValueError)
    assert [one.image for one in found if isinstance(one, Explanation)] == ["image-1"]


def test_the_one_image_that_fails_is_raised(classifier, tmp_path: Path):
    with pytest.raises(ImageError, match="no such file"):
        explain(classifier, tmp_path / "missing.jpg")


def test_progress_is_exact(classifier, photo):
    told: list[tuple[int, int, int]] = []
    method = SP(patch=6, stride=2)
    expected = method.evaluations(SIZE)
    images = [photo, photo.T, photo]  # the second one is no image
    list(
        explain_many(
            classifier, images, method, on_progress=lambda *all_three: told.append(all_three)
        )
    )
    assert told[0][1] in (3 * expected, 2 * expected)
    assert told[-1] == (2 * expected, 2 * expected, 0)
    done = [one for one, _, _ in told]
    assert done == sorted(done)
    assert all(one <= total for one, total, _ in told)


@dataclass(frozen=True)
class Stops:
    """Asks twice for one mask, and then only if the first answer was low."""

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


def test_adaptive_method_gets_a_job_a_target_and_progress_ends_at_what_was_done(classifier, photo):
    told: list[tuple[int, int, int]] = []
    found = list(
        explain_many(
            classifier,
            [photo],
            Stops(),
            target=["left", "top"],
            on_progress=lambda *all_three: told.append(all_three),
        )
    )
    assert {one.target: one.evaluations for one in found if isinstance(one, Explanation)} == {
        0: 3,
        2: 2,
    }
    assert told[0][1] == 18
    assert told[-1] == (5, 5, 0)


def test_what_a_method_left_open_is_recorded_as_it_was_run(classifier, photo):
    open_ended = onnxplain.MP2(grid=2)
    assert explain(classifier, photo, open_ended).parameters["gain"] == "difference"


def test_gradients_that_a_classifier_lacks_are_asked_for_in_vain(classifier, photo):
    with pytest.raises(ModelError, match="a function has no gradient"):
        explain(classifier, photo, onnxplain.MP2(grid=2, gain="gradient"))


def test_method_that_breaks_is_a_failure_of_its_image(classifier, photo):
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
    ("asks", "returns", "says"),
    [
        (MaskQuery(PatchMasks(np.zeros((1, 2), int), 3, (9, 9))), None, "masks of the case's size"),
        (MaskQuery(np.zeros((2, 9, 9))), None, "size, 12 x 12, got 9 x 9"),  # type: ignore[arg-type]
        (ImageQuery(np.zeros((2, 9, 9, 3), np.float32)), None, r"images \(N, 12, 12, 3\)"),
        (np.zeros((2, *SIZE)), None, "yields a MaskQuery, an ImageQuery or a FillQuery, got ndarr"),
        (MaskQuery(np.zeros((2, *SIZE))), np.zeros(SIZE), "returns an Attribution, got ndarray"),  # type: ignore[arg-type]
    ],
)
def test_method_of_another_package_is_told_what_is_wrong(classifier, photo, asks, returns, says):
    (failure,) = explain_many(classifier, [photo], Foreign(asks, returns))
    assert isinstance(failure, Failure)
    with pytest.raises((TypeError, ValueError), match=says):
        raise failure.error


def test_masks_of_another_package_may_be_an_array(classifier, photo):
    masks = np.zeros((2, *SIZE))
    masks[1] = 1
    ours = ArrayMasks(masks.astype(np.float32))
    one, other = (
        explain(classifier, photo, Foreign(MaskQuery(given), None), fill="black")
        for given in (masks, ours)
    )
    np.testing.assert_array_equal(one.heatmap, other.heatmap)
    assert np.ptp(one.heatmap) > 0


@dataclass(frozen=True)
class Foreign:
    """Asks one thing, and returns the scores as a map if it is not told to return another."""

    asks: Any
    returns: Any

    name: ClassVar[str] = "foreign"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "black"

    def evaluations(self, size: tuple[int, int]) -> int:
        return 2

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        reply = yield self.asks
        scores = np.resize(reply.scores, case.size).astype(np.float32)
        return Attribution(scores) if self.returns is None else self.returns


def test_a_fill_of_another_size_is_an_error(classifier, photo):
    @dataclass(frozen=True)
    class Small:
        def prepare(self, image, rng):
            return image[:4]

    with pytest.raises(ValueError, match=r"Small: a fill is a picture.*\(12, 12, 3\), got \(4,"):
        explain(classifier, photo, SP(patch=6, stride=3), fill=Small())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_an_error(photo, value):
    broken = from_callable(lambda images: np.full((len(images), 2), value), size=SIZE, n_classes=2)
    with pytest.raises(ScoreError, match="NaN or infinite scores"):
        explain(broken, photo)


def test_probabilities_that_are_none_are_an_error(photo):
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
        ({"method": RISE}, TypeError, r"a value or a name, as RISE\(\) or 'rise'"),
        ({"fill": Blur}, TypeError, r"a value or a name, as Blur\(\) or 'blur'"),
        ({"fill": np.zeros((12, 12, 3))}, TypeError, "a fill is a value or a name.*got ndarray"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(
    classifier, arguments, error, text, tmp_path: Path
):
    with pytest.raises(error, match=text):
        explain(classifier, tmp_path / "not-there.jpg", **arguments)


def test_a_bare_function_is_told_how_to_become_a_classifier(photo):
    for verb, what in ((explain, photo), (explain_many, [photo])):
        with pytest.raises(TypeError, match=r"from_callable\(function, size=.*got function"):
            verb(halves, what)


def test_one_image_where_many_are_asked_for_is_refused(classifier, photo):
    for one in (photo, "photo.jpg", PIL.Image.fromarray(photo)):
        with pytest.raises(TypeError, match="takes a list of images"):
            explain_many(classifier, one)


@pytest.mark.parametrize(
    ("array", "error", "text"),
    [
        (np.zeros((3, 8, 8), np.uint8), ValueError, r"\(rows, columns, 3\).*got \(3, 8, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, r"got \(8, 8, 4\)"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"got \(0, 8, 3\)"),
        (np.full((8, 8, 3), 255.0), ValueError, "from 255 to 255; divide by 255"),
        (np.full((8, 8, 3), np.nan), ValueError, "from nan"),
        (np.zeros((8, 8, 3), np.int64), TypeError, "uint8, or float in .*got int64"),
    ],
)
def test_arrays_that_are_no_images_are_refused(classifier, array, error, text):
    with pytest.raises(error, match=text):
        explain(classifier, array)


def test_grey_and_float_arrays_are_images(classifier, photo):
    grey = photo[..., 0]
    method = SP(patch=6, stride=3)
    as_grey = explain(classifier, grey, method)
    as_colour = explain(classifier, np.repeat(grey[..., None], 3, axis=2) / 255, method)
    np.testing.assert_allclose(as_grey.heatmap, as_colour.heatmap, atol=1e-6)


def test_pillow_images_are_images_in_any_mode(classifier, photo):
    method, picture = SP(patch=6, stride=3), PIL.Image.fromarray(photo)
    as_array = explain(classifier, photo, method)
    np.testing.assert_array_equal(explain(classifier, picture, method).heatmap, as_array.heatmap)
    indexed = picture.convert("P")
    np.testing.assert_array_equal(
        explain(classifier, indexed, method).heatmap,
        explain(classifier, np.asarray(indexed.convert("RGB")), method).heatmap,
    )
    with pytest.raises(TypeError, match=r"image-0 would be a path, an array.*got list"):
        explain(classifier, [[0, 1]], method)


def test_a_pillow_image_is_explained_as_its_file(classifier, photo, tmp_path: Path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif)
    method = SP(patch=6, stride=3)
    with PIL.Image.open(tmp_path / "turned.png") as picture:
        found = explain(classifier, picture, method)
    expected = explain(classifier, tmp_path / "turned.png", method)
    np.testing.assert_array_equal(found.heatmap, expected.heatmap)
    np.testing.assert_array_equal(found.full_heatmap, expected.full_heatmap)


class Inverted:
    """A fill that declares nothing."""

    def prepare(self, image, rng):
        return 1 - image


def test_a_fill_is_whatever_can_prepare_a_picture(classifier, photo):
    found = explain(classifier, photo, SP(patch=6, stride=3), fill=Inverted())
    assert (found.record()["fill"], found.record()["fill_parameters"]) == ("Inverted", {})


def test_model_that_is_neither_file_nor_in_the_zoo_gets_a_suggestion():
    with pytest.raises(ModelError, match=r"did you mean 'efficientnet-lite\d'"):
        onnxplain.load("efficientnet-lite")
    with pytest.raises(ModelError, match=r"nowhere/model\.onnx: no such file"):
        onnxplain.load("nowhere/model.onnx")


def test_lime_names_files_apart(classifier, photo, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        PIL.Image.fromarray(np.roll(photo, len(folder))).save(tmp_path / folder / "cat.png")
    PIL.Image.fromarray(255 - photo).save(tmp_path / "b" / "cat.png")
    images: Iterator[Path] = (tmp_path / folder / "cat.png" for folder in ("a", "b"))
    method = LIME(n_samples=10, n_segments=4)
    saved = [
        one.save(tmp_path / "out")
        for one in explain_many(classifier, images, method, target="left")
        if isinstance(one, Explanation)
    ]
    assert sorted(one.heatmap.name for one in saved) == [
        "cat-lime-left-2.npz",
        "cat-lime-left.npz",
    ]
