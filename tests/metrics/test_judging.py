"""The metrics as functions on arrays and any classifier."""

import json

import numpy as np
import pytest

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Box, Case, make_rng
from onnxplain.engine.run import Job, run
from onnxplain.fills import Blur
from onnxplain.metrics import Deletion
from tests.helpers.nets import Net, Picture, curved
from tests.reference import metrics as reference

RNG = np.random.default_rng(17)
SIZE = (20, 24)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAP = RNG.normal(size=SIZE).astype(np.float32)
CURVED = curved(RNG.normal(0, 0.2, (*SIZE, 3, 2)).astype(np.float32))


def constant(images):
    return np.tile([0.2, 0.5, 0.3], (len(images), 1))


def test_a_bare_function_is_judged_as_by_rises_program():
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
def test_curves_are_those_of_quantus(name):
    rng = np.random.default_rng(7)
    image, heatmap = rng.random((16, 16, 3), np.float32), rng.random((16, 16))
    function = curved(rng.normal(0, 0.2, (16, 16, 3, 2)).astype(np.float32))
    black = onnxplain.Colour(rgb=(float(image.min()),) * 3)
    parameters = {"step": 64} if name == "deletion" else {"patch": 4, "steps": 6}
    score = getattr(metrics, name)(function, image, heatmap, 1, fill=black, **parameters)
    curve = np.array(score.details["curve"])
    found = curve[1:] if name == "deletion" else curve[0] - curve[1:]
    np.testing.assert_allclose(found, QUANTUS[name], atol=2e-6)


@pytest.mark.parametrize("judge", [metrics.deletion, metrics.insertion])
def test_the_target_is_the_predicted_class_unless_given(judge):
    assert judge(constant, IMAGE, HEATMAP).value == pytest.approx(0.5)
    assert judge(constant, IMAGE, HEATMAP, 2).value == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["morf", "lerf", "abpc"])
def test_a_constant_score_never_drops(name):
    judge = getattr(metrics, name)
    assert judge(constant, IMAGE, HEATMAP, patch=4).value == pytest.approx(0, abs=1e-7)


def test_the_saliency_metric_of_a_constant_score_is_the_area_alone():
    heatmap = np.zeros(SIZE)
    heatmap[5:15, 6:18] = 1
    score = metrics.saliency_metric(constant, IMAGE, heatmap)
    assert score.value == pytest.approx(np.log(120 / 480) - np.log(0.5))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_every_metric_by_name_runs_alone_and_with_others(name):
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
    outcomes = {o.job: o for o in run(Net(function, size, batch_size=5), jobs)}
    assert score.value == pytest.approx(outcomes[jobs[0]].values[0].value, abs=1e-5)
    assert outcomes[jobs[0]].evaluations <= metric.evaluations(size)
    written = metrics.to_row(metric, score)
    assert set(written) == {"metric", "value", "direction", "unit", "parameters", "details"}
    assert metric.direction in ("lower", "higher")
    assert type(metric).__doc__


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_rows_are_json_and_undefined_values_null(name):
    metric = metrics.METRICS[name]()
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    flat = np.zeros(size, np.float32)
    score = metrics.judge(metric, constant, image, flat, boxes=[Box(0, 0, 64, 60)])
    text = json.dumps(metrics.to_row(metric, score), allow_nan=False)
    assert json.loads(text)["metric"] == name


def test_boxes_go_through_the_frame_of_the_photo():
    classifier = onnxplain.from_callable(constant, size=(20, 20), n_classes=3)
    photo = np.zeros((40, 80, 3), np.uint8)  # its centre 40 columns become 20
    heatmap = np.zeros((20, 20))
    heatmap[5:15, 0:10] = 1
    found = metrics.judge(
        metrics.LocalisationError(), classifier, photo, heatmap, boxes=[Box(10, 10, 30, 40)]
    )
    assert found.details["overlaps"][-1] == pytest.approx(1)


def test_a_random_map_is_the_baseline():
    score = metrics.random_baseline(
        metrics.Deletion(step=40), CURVED, IMAGE, 1, n_maps=5, fill="black"
    )
    assert len(set(score.details["values"])) == 5
    again = metrics.random_baseline(
        metrics.Deletion(step=40), CURVED, IMAGE, 1, n_maps=5, fill="black"
    )
    assert again.value == score.value == pytest.approx(np.mean(score.details["values"]))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_every_metric_has_the_baseline(name):
    metric = metrics.METRICS[name]()
    size = (170, 180) if name == "ms-ssim" else (64, 60)
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    function = curved(np.random.default_rng(2).normal(0, 0.1, (*size, 3, 2)).astype(np.float32))
    score = metrics.random_baseline(
        metric, function, image, 1, n_maps=2, boxes=[Box(2, 3, 8, 9)], fill="black"
    )
    rng = make_rng(0, "image-0", metric.name, "random-1")
    heatmap = metrics.draw_random_heatmap(size, rng)
    one = metrics.judge(metric, function, image, heatmap, 1, boxes=[Box(2, 3, 8, 9)], fill="black")
    assert score.details["values"][1] == pytest.approx(one.value, abs=1e-6)


PLAIN = {
    "deletion": (metrics.deletion, {"step": 50}, {}),
    "insertion": (metrics.insertion, {"step": 50}, {}),
    "localisation": (metrics.localisation_error, {"alpha": 0.5}, {"boxes": True}),
    "pointing": (metrics.pointing_game, {"tolerance": 2.0}, {"boxes": True}),
    "saliency": (metrics.saliency_metric, {"alpha": 0.5}, {}),
    "morf": (metrics.morf, {"patch": 5}, {}),
    "lerf": (metrics.lerf, {"patch": 5}, {}),
    "abpc": (metrics.abpc, {"patch": 5}, {}),
    "fill-score": (metrics.fill_score, {}, {"fill": True}),
    "still-recognised": (metrics.still_recognised, {}, {"boxes": True, "fill": True}),
    "ms-ssim": (metrics.filled_similarity, {}, {"boxes": True, "fill": True}),
    "off-object": (metrics.off_object_change, {"patch": 5}, {"boxes": True, "fill": True}),
}


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_every_metric_is_a_plain_function(name):
    function, parameters, takes = PLAIN[name]
    size = (170, 180) if name == "ms-ssim" else SIZE
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    classifier = curved(np.random.default_rng(2).normal(0, 0.1, (*size, 3, 2)).astype(np.float32))
    box = Box(2, 3, 12, 14)
    of_fill = takes.get("fill")
    maps = () if of_fill else (np.random.default_rng(3).random(size),)
    target = {} if name == "ms-ssim" else {"target": 1}
    boxes = {"boxes": [box]} if takes.get("boxes") else {}
    fill = {"fill": "white"} if of_fill else {}
    found = function(classifier, image, *maps, **target, **boxes, **fill, **parameters)
    expected = metrics.judge(
        metrics.METRICS[name](**parameters),
        classifier,
        image,
        *(maps or (None,)),
        1,
        boxes=[box],
        **fill,
    )
    assert found.value == pytest.approx(expected.value, abs=1e-6)
    assert found.details.keys() == expected.details.keys()


def test_the_random_heatmap_is_a_method_like_others():
    method = metrics.RandomHeatmap()
    found = onnxplain.explain(
        onnxplain.from_callable(constant, size=SIZE, n_classes=3), IMAGE, method
    )
    assert found.evaluations == 0
    assert 0 <= found.heatmap.min() < 0.05 < 0.95 < found.heatmap.max() < 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda images: np.full((len(images), 3), 7.0), "outputs='logits'"),
        (lambda images: np.full((len(images), 3), np.nan), "probabilities"),
        (lambda images: np.zeros(len(images)), "probabilities"),
    ],
)
def test_a_function_that_gives_no_probabilities_is_refused(function, message):
    with pytest.raises(ValueError, match=message):
        metrics.deletion(function, IMAGE, HEATMAP)


def test_a_function_needs_an_array_and_the_heatmap_its_size():
    with pytest.raises(TypeError, match="from_callable"):
        metrics.deletion(constant, "photo.jpg", HEATMAP)
    with pytest.raises(ValueError, match="resize the heatmap"):
        metrics.deletion(constant, IMAGE, HEATMAP[:-1])


def test_names_that_are_not_there_are_told():
    with pytest.raises(AttributeError, match="no attribute 'delation'"):
        metrics.delation  # noqa: B018
    assert all(hasattr(metrics, name) for name in metrics.__all__)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: metrics.deletion(CURVED, IMAGE, None), "judges a heatmap, got none"),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, "top-2"), "one class, got target='top"),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, [0, 1]), "one class, got target="),
        (lambda: metrics.deletion(CURVED, IMAGE, HEATMAP, fill=Blur), r"as Blur\(\) or 'blur'"),
        (lambda: metrics.judge(Deletion, CURVED, IMAGE, HEATMAP), r"as Deletion\(\), got <class"),
        (
            lambda: metrics.judge(Deletion(fill="black"), CURVED, IMAGE, HEATMAP),
            "fill is a Fill, as Blur",
        ),
        (lambda: metrics.random_baseline(Deletion(), CURVED, IMAGE, n_maps=0), "n_maps must be"),
        (lambda: metrics.random_baseline("deletion", CURVED, IMAGE), r"as Deletion\(\), got 'del"),
    ],
)
def test_what_cannot_be_judged_is_told(ask, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ask()


def test_without_a_fill_metrics_remove_as_their_papers_do():
    usual = {name: cls.usual_fill for name, cls in metrics.METRICS.items() if cls.usual_fill}
    assert usual == {
        "deletion": "dataset-mean",
        "insertion": "folded-blur",
        "morf": "uniform-noise",
        "lerf": "uniform-noise",
        "abpc": "uniform-noise",
    }


def test_an_explanation_is_judged_by_its_heatmap():
    classifier = onnxplain.from_callable(CURVED, size=SIZE, n_classes=2)
    found = onnxplain.explain(classifier, IMAGE, onnxplain.SP(patch=5, stride=5), target=1)
    score = metrics.deletion(classifier, IMAGE, found, 1)
    assert score.value == metrics.deletion(classifier, IMAGE, found.heatmap, 1).value
