"""Metrics as plain functions, and the stub that describes them to type checkers."""

import inspect
import pickle

import numpy as np
import pytest

from onnxplain import metrics
from onnxplain.core.data import Box
from tests.helpers.metrics import STUB, list_functions, make_stub
from tests.helpers.nets import curved

SIZE = (20, 24)

SIGNATURES = {
    "deletion": "(classifier, image, heatmap, target=None, *, step=None, ties='row-major', "
    "fill=None, seed=0)",
    "insertion": "(classifier, image, heatmap, target=None, *, step=None, ties='row-major', "
    "fill=None, seed=0)",
    "neutral_deletion": "(classifier, image, heatmap, target=None, *, step=None, ties='row-major')",
    "neutral_insertion": "(classifier, image, heatmap, target=None, *, step=None, "
    "ties='row-major')",
    "morf": "(classifier, image, heatmap, target=None, *, patch=9, steps=100, fill=None, seed=0)",
    "lerf": "(classifier, image, heatmap, target=None, *, patch=9, steps=100, fill=None, seed=0)",
    "abpc": "(classifier, image, heatmap, target=None, *, patch=9, steps=100, fill=None, seed=0)",
    "localisation_error": "(classifier, image, heatmap, target=None, *, boxes, alpha=0.2, "
    "truth='any', around='all', scale='min-max', overlap=0.5)",
    "pointing_game": "(classifier, image, heatmap, target=None, *, boxes, tolerance=15.0)",
    "saliency_metric": "(classifier, image, heatmap, target=None, *, alpha=0.2, around='all', "
    "scale='min-max', smallest_area=0.05, grid=True)",
    "fill_score": "(classifier, image, target=None, *, fill=None, seed=0)",
    "off_object_change": "(classifier, image, target=None, *, boxes, patch=53, stride=3, "
    "fill=None, seed=0)",
    "still_recognised": "(classifier, image, target=None, *, boxes, by=None, fill=None, seed=0)",
    "filled_similarity": "(classifier, image, *, boxes, fill=None, seed=0)",
    "filled_distance": "(classifier, image, distance, *, boxes, fill=None, seed=0)",
}

# The function of each named metric, and parameters for it.
FUNCTIONS = {
    "deletion": (metrics.deletion, {"step": 50}),
    "insertion": (metrics.insertion, {"step": 50}),
    "neutral-deletion": (metrics.neutral_deletion, {"step": 50}),
    "neutral-insertion": (metrics.neutral_insertion, {"step": 50}),
    "localisation": (metrics.localisation_error, {"alpha": 0.5}),
    "pointing": (metrics.pointing_game, {"tolerance": 2.0}),
    "saliency": (metrics.saliency_metric, {"alpha": 0.5}),
    "morf": (metrics.morf, {"patch": 5}),
    "lerf": (metrics.lerf, {"patch": 5}),
    "abpc": (metrics.abpc, {"patch": 5}),
    "fill-score": (metrics.fill_score, {}),
    "still-recognised": (metrics.still_recognised, {}),
    "ms-ssim": (metrics.filled_similarity, {}),
    "off-object": (metrics.off_object_change, {"patch": 5}),
}


def always_same(images):
    return np.tile([0.2, 0.5, 0.3], (len(images), 1))


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_every_named_metric_has_a_function_that_judges_alike(name):
    assert name in FUNCTIONS, "add the function, and parameters for a small image, to FUNCTIONS"
    function, parameters = FUNCTIONS[name]
    size = (170, 180) if name == "ms-ssim" else SIZE
    image = np.random.default_rng(1).random((*size, 3), np.float32)
    classifier = curved(np.random.default_rng(2).normal(0, 0.1, (*size, 3, 2)).astype(np.float32))
    heatmap = np.random.default_rng(3).random(size)
    shared = {"target": 1, "boxes": [Box(2, 3, 12, 14)]}
    if "heatmap" not in inspect.signature(function).parameters:  # a metric of fills
        heatmap = None
        shared["fill"] = "white"
    taken = {
        key: value
        for key, value in {"heatmap": heatmap, **shared}.items()
        if key in inspect.signature(function).parameters
    }
    score = function(classifier, image, **taken, **parameters)
    metric = metrics.METRICS[name](**parameters)
    expected = metrics.judge(metric, classifier, image, heatmap, **shared)
    assert score.value == pytest.approx(expected.value, abs=1e-6)
    assert score.details.keys() == expected.details.keys()


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures_are_the_documented_ones(name):
    signature = inspect.signature(getattr(metrics, name))
    bare = [
        parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()
    ]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_stub_is_written_from_the_signatures_at_run_time():
    assert set(list_functions()) == set(SIGNATURES), "add the function to SIGNATURES"
    assert STUB.read_text(encoding="utf-8") == make_stub(), "run python -m tests.helpers.metrics"


def test_documentation_names_every_parameter_and_which_values_are_better():
    for function in list_functions().values():
        first, *rest = inspect.getdoc(function).splitlines()
        assert first.endswith(("; lower is better.", "; higher is better."))
        assert len(first) < 100
        named = {line.partition(" : ")[0] for line in rest}
        assert set(inspect.signature(function).parameters) <= named
    for function, sentence in (
        (metrics.deletion, "a 28th of the image if not given; >= 1."),
        (metrics.insertion, "The usual fill is folded-blur."),
        (metrics.filled_distance, "that returns (N,) distances."),
        (metrics.still_recognised, "probabilities; the classifier explained if not given."),
    ):
        assert sentence in inspect.getdoc(function)


def test_documentation_has_the_sections_of_every_function():
    for name, function in list_functions().items():
        text = inspect.getdoc(function)
        for title in ("Parameters", "Returns", "Raises", "References", "Examples"):
            assert f"\n{title}\n{'-' * len(title)}\n" in text, (name, title)
        assert f">>> score = onnxplain.metrics.{name}(classifier, " in text
    assert "Ties : " not in text
    assert "9 if not given" in inspect.getdoc(metrics.morf)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda image: metrics.deletion(always_same, image), r"deletion\(\): missing .* 'heatmap'"),
        (
            lambda image: metrics.deletion(always_same, image, image[..., 0], stp=3),
            r"deletion\(\): got an unexpected keyword argument 'stp'",
        ),
        (
            lambda image: metrics.filled_similarity(always_same, image),
            r"filled_similarity\(\): missing a required .*'boxes'",
        ),
        (
            lambda image: metrics.filled_distance(always_same, image, None, [Box(0, 0, 2, 2)]),
            r"filled_distance\(\): too many positional arguments",
        ),
    ],
)
def test_wrong_arguments_are_an_error_that_names_the_function(call, message):
    with pytest.raises(TypeError, match=message):
        call(np.zeros((*SIZE, 3), np.float32))


def test_functions_can_be_pickled_for_worker_processes():
    for function in list_functions().values():
        assert pickle.loads(pickle.dumps(function)) is function
