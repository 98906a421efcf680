"""Judging one image by any metric, with any function as the classifier."""

import json

import numpy as np
import pytest

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Box, Case, Preprocessing, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.fills import Blur
from onnxplain.image import place_frame, resize
from onnxplain.metrics import Deletion
from onnxplain.metrics.naming import takes_fill
from onnxplain.registry import FILLS
from tests.helpers.nets import Net, Picture, curved
from tests.reference import metrics as reference

RNG = np.random.default_rng(17)
SIZE = (20, 24)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAP = RNG.normal(size=SIZE).astype(np.float32)
CURVED = curved(RNG.normal(0, 0.2, (*SIZE, 3, 2)).astype(np.float32))


def always_same(images):
    return np.tile([0.2, 0.5, 0.3], (len(images), 1))


def test_plain_function_is_judged_as_by_rises_program():
    score = metrics.deletion(CURVED, IMAGE, HEATMAP, 1, step=50)
    curve, auc = reference.rise_curve(
        lambda image: CURVED(image[None])[0, 1], IMAGE, HEATMAP, "deletion", 50
    )
    np.testing.assert_allclose(score.details["curve"], curve, atol=3e-6)
    assert score.value == pytest.approx(auc, abs=3e-6)
    _, auc = reference.rise_curve(
        lambda image: CURVED(image[None])[0, 1], IMAGE, HEATMAP, "insertion", 50
    )
    assert metrics.insertion(CURVED, IMAGE, HEATMAP, 1, step=50).value == pytest.approx(
        auc, abs=3e-6
    )


# By Quantus 0.6.0 (2026-11-25) for the net, image and map below, whose "black" is the image's
# least value: PixelFlipping(features_in_step=64) after every third step, as it flips colours
# and not pixels; RegionPerturbation(patch_size=4, regions_evaluation=6), as drops.
QUANTUS = {
    "deletion": [0.614805797514703, 0.6575360892502635, 0.33038322210605625, 0.5018041536483037],
    "morf": [
        *(-0.015135467999482177, 0.22014209155264244, 0.15893101841953677),
        *(0.36803892784628356, 0.3499024722530789, 0.11258671706428591),
    ],
    "lerf": [
        *(-0.10759915711753576, -0.15091926890430718, -0.2217258198541644),
        *(0.011945237608982195, 0.004272511562608106, -0.028312051312324504),
    ],
}


@pytest.mark.parametrize("name", sorted(QUANTUS))
def test_curves_equal_those_of_quantus(name):
    rng = np.random.default_rng(7)
    image, heatmap = rng.random((16, 16, 3), np.float32), rng.random((16, 16))
    function = curved(rng.normal(0, 0.2, (16, 16, 3, 2)).astype(np.float32))
    black = onnxplain.Colour(rgb=(float(image.min()),) * 3)
    parameters = {"step": 64} if name == "deletion" else {"patch": 4, "steps": 6}
    score = getattr(metrics, name)(function, image, heatmap, 1, fill=black, **parameters)
    curve = np.array(score.details["curve"])
    compared = curve[1:] if name == "deletion" else curve[0] - curve[1:]
    np.testing.assert_allclose(compared, QUANTUS[name], atol=2e-6)


@pytest.mark.parametrize("judge", [metrics.deletion, metrics.insertion])
def test_target_is_the_predicted_class_unless_given(judge):
    assert judge(always_same, IMAGE, HEATMAP).value == pytest.approx(0.5)
    assert judge(always_same, IMAGE, HEATMAP, 2).value == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["morf", "lerf", "abpc"])
def test_constant_score_never_drops(name):
    judge = getattr(metrics, name)
    assert judge(always_same, IMAGE, HEATMAP, patch=4).value == pytest.approx(0, abs=1e-7)


def test_saliency_metric_of_a_constant_score_is_the_area_alone():
    heatmap = np.zeros(SIZE)
    heatmap[5:15, 6:18] = 1
    score = metrics.saliency_metric(always_same, IMAGE, heatmap)
    assert score.value == pytest.approx(np.log(120 / 480) - np.log(0.5))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_metric_gives_the_same_alone_and_with_other_jobs(name):
    metric = metrics.METRICS[name]()
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    rng = np.random.default_rng(1)
    image, heatmap = rng.random((*size, 3), np.float32), rng.random(size, np.float32)
    box = Box(2, 3, 8, 9)
    function = curved(rng.normal(0, 0.1, (*size, 3, 2)).astype(np.float32))
    score = metrics.judge(metric, function, image, heatmap, 1, boxes=[box], fill="black")
    case = Case("image-0", image, 1, boxes=(box,))
    jobs = [
        Job((case,), (metric.flow(case, heatmap, make_rng(0, "image-0", metric.name)),), fill)
        for fill in (Picture(0.0), Picture(1.0))
    ]
    outcomes = {outcome.job: outcome for outcome in run(Net(function, size, batch_size=5), jobs)}
    assert score.value == pytest.approx(outcomes[jobs[0]].values[0].value, abs=1e-5)
    assert outcomes[jobs[0]].evaluations <= metric.evaluations(size)
    row = metrics.to_row(metric, score)
    assert set(row) == {"metric", "value", "direction", "unit", "parameters", "details"}
    assert metric.direction in ("lower", "higher")
    assert type(metric).__doc__


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_rows_are_json_and_undefined_values_null(name):
    metric = metrics.METRICS[name]()
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    flat = np.zeros(size, np.float32)
    score = metrics.judge(metric, always_same, image, flat, boxes=[Box(0, 0, 64, 60)])
    text = json.dumps(metrics.to_row(metric, score), allow_nan=False)
    assert json.loads(text)["metric"] == name


def test_boxes_are_mapped_from_the_photo_to_the_classifiers_view():
    classifier = onnxplain.from_callable(always_same, size=(20, 20), n_classes=3)
    photo = np.zeros((40, 80, 3), np.uint8)  # its centre 40 columns become 20
    heatmap = np.zeros((20, 20))
    heatmap[5:15, 0:10] = 1
    score = metrics.judge(
        metrics.LocalisationError(), classifier, photo, heatmap, boxes=[Box(10, 10, 30, 40)]
    )
    assert score.details["overlaps"][-1] == pytest.approx(1)


def test_random_baseline_is_the_mean_over_maps_and_repeats():
    score, again = (
        metrics.random_baseline(Deletion(step=40), CURVED, IMAGE, 1, n_maps=5, fill="black")
        for _ in range(2)
    )
    assert len(set(score.details["values"])) == 5
    assert again.value == score.value == pytest.approx(np.mean(score.details["values"]))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_random_baseline_judges_random_heatmaps(name):
    metric = metrics.METRICS[name]()
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    function = curved(np.random.default_rng(2).normal(0, 0.1, (*size, 3, 2)).astype(np.float32))
    box = Box(2, 3, 8, 9)
    shared = {"target": 1, "boxes": [box], "fill": "black"}
    baseline = metrics.random_baseline(metric, function, image, n_maps=2, **shared)
    rng = make_rng(0, "image-0", metric.name, "random-1")
    heatmap = metrics.draw_random_heatmap(size, rng)
    case = Case("image-0", image, 1, boxes=(box,))
    job = Job((case,), (metric.flow(case, heatmap, rng),), Picture(0.0))  # goes on drawing
    (outcome,) = run(Net(function, size), [job])
    assert baseline.details["values"][1] == pytest.approx(outcome.values[0].value, abs=1e-6)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: np.full((len(images), 3), 7.0), "outputs='logits'"),
        (lambda images: np.full((len(images), 3), np.nan), "probabilities"),
        (lambda images: np.zeros(len(images)), "probabilities"),
    ],
)
def test_function_that_gives_no_probabilities_is_an_error(function, message):
    with pytest.raises(ValueError, match=message):
        metrics.deletion(function, IMAGE, HEATMAP)


def test_function_needs_an_array_and_a_heatmap_of_its_size():
    with pytest.raises(TypeError, match="from_callable"):
        metrics.deletion(always_same, "photo.jpg", HEATMAP)
    with pytest.raises(ValueError, match=r"shape \(\d+, \d+\); it is a map of the photo"):
        metrics.deletion(always_same, IMAGE, HEATMAP[:-1])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_heatmap_of_the_photo_is_judged_as_if_cropped_with_the_photo(name, interpolation):
    """Squeezed to the classifier's size, it would lie beside the photo's pixels."""
    photo = RNG.random((32, 60, 3), np.float32)
    heatmap = np.kron(RNG.random((4, 5)), np.ones((8, 12)))
    classifier = onnxplain.from_callable(CURVED, size=SIZE, n_classes=2)
    classifier.preprocessing = Preprocessing("crop", (25, 30), interpolation)
    frame = place_frame(photo.shape[:2], SIZE, classifier.preprocessing)
    cropped = frame.bring(np.repeat(heatmap[..., None], 3, 2).astype(np.float32))
    score = metrics.judge(f"{name}:step=40", classifier, photo, heatmap, 1)
    expected = metrics.judge(f"{name}:step=40", classifier, photo, cropped[..., 0], 1)
    squeezed = metrics.judge(f"{name}:step=40", classifier, photo, resize(heatmap, SIZE), 1)
    assert score.value == pytest.approx(expected.value, abs=1e-4)
    assert abs(score.value - squeezed.value) > 1e-3


def test_every_public_name_exists_and_others_are_an_error():
    with pytest.raises(AttributeError, match="delation"):
        metrics.delation  # noqa: B018
    assert all(hasattr(metrics, name) for name in metrics.__all__)
    assert {"judge", "deletion", "sweep", "METRICS", "Deletion"} <= set(metrics.__all__)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.deletion(CURVED, IMAGE, None), "judges a heatmap, got none"),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, "top-2"), "one class, got target='top"),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, [0, 1]), "one class, got target="),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, fill=Blur), r"as Blur\(\) or 'blur'"),
        (
            lambda: metrics.judge(Deletion, CURVED, IMAGE, HEATMAP),
            r"as Deletion\(\) or .*the class",
        ),
        (
            lambda: metrics.judge(Deletion(fill="black"), CURVED, IMAGE, HEATMAP),
            "fill of a query is a Fill, such as Blur",
        ),
        (lambda: metrics.random_baseline(Deletion(), CURVED, IMAGE, n_maps=0), "n_maps must be"),
        (lambda: metrics.random_baseline("delation", CURVED, IMAGE), "did you mean 'deletion'"),
    ],
)
def test_unusable_argument_is_an_error_that_names_it(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_metrics_without_a_fill_use_that_of_their_paper():
    papers = {
        "deletion": "dataset-mean",
        "insertion": "folded-blur",
        "morf": "uniform-noise",
        "lerf": "uniform-noise",
        "abpc": "uniform-noise",
    }
    assert {name: metrics.METRICS[name].usual_fill for name in papers} == papers


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_usual_fill_is_registered_and_only_of_metrics_of_heatmaps_that_take_one(name):
    metric_class = metrics.METRICS[name]
    if metric_class.usual_fill is not None:
        assert metric_class.usual_fill in FILLS
        assert takes_fill(metric_class)
        assert not metric_class.__module__.startswith("onnxplain.metrics.fills.")


def test_explanation_is_judged_by_its_heatmap():
    classifier = onnxplain.from_callable(CURVED, size=SIZE, n_classes=2)
    explanation = onnxplain.explain(classifier, IMAGE, onnxplain.SP(patch=5, stride=5), target=1)
    score = metrics.deletion(classifier, IMAGE, explanation, 1)
    assert score.value == metrics.deletion(classifier, IMAGE, explanation.heatmap, 1).value


def test_explanation_is_judged_for_its_own_class():
    classifier = onnxplain.from_callable(CURVED, size=SIZE, n_classes=2)
    method = onnxplain.SP(patch=5, stride=5)
    scores = {}
    for target in (0, 1):
        explanation = onnxplain.explain(classifier, IMAGE, method, target=target)
        scores[target] = metrics.deletion(classifier, IMAGE, explanation).value
        assert scores[target] == metrics.deletion(classifier, IMAGE, explanation, target).value
        other = metrics.deletion(classifier, IMAGE, explanation, 1 - target).value
        assert other == pytest.approx(1 - scores[target], abs=1e-6)  # of two classes
    assert scores[0] != pytest.approx(1 - scores[1], abs=1e-3)
