import numpy as np
import pytest

from onnxplain import from_callable, load, metrics
from onnxplain.core.data import Box
from onnxplain.fills import Black, Blur
from onnxplain.metrics import (
    Deletion,
    FilledDistance,
    Insertion,
    SaliencyMetric,
    StillRecognised,
    make_recogniser,
)
from onnxplain.metrics.naming import MetricEntry, read_metric_entry, set_fill, to_metric
from onnxplain.registry import Entry, parse_entry
from tests.helpers import models
from tests.helpers.nets import curved

SIZE = (20, 24)
RNG = np.random.default_rng(17)
IMAGE = RNG.random((*SIZE, 3), np.float32)
HEATMAP = RNG.normal(size=SIZE).astype(np.float32)
CURVED = curved(RNG.normal(0, 0.2, (*SIZE, 3, 2)).astype(np.float32))


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("deletion", Deletion()),
        ("deletion:step=500,ties=random", Deletion(step=500, ties="random")),
        ("insertion:step=7,fill=black", Insertion(step=7, fill=Black())),
        ("deletion:fill=blur:sigma=5", Deletion(fill=Blur(sigma=5))),
        ("saliency:grid=false", SaliencyMetric(grid=False)),
    ],
)
def test_name_with_parameters_stands_for_the_metric(name, metric):
    assert to_metric(name) == metric
    assert to_metric(metric) is metric


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("delation", "metric 'delation' is unknown; did you mean 'deletion'"),
        ("deletion:stp=3", "did you mean 'step'"),
        ("deletion:step=0", "step must be >= 1"),
        ("deletion:fill=blurr", "did you mean 'blur'"),
        ("deletion:fill=inpaint", "needs an inpainter"),
        ("filled-distance", "needs an ONNX file; name it: filled-distance:model=NAME"),
        ("filled-distance:model=a,sise=3", "model a: parameter 'sise' is unknown; did you mean"),
        ("saliency:fill=black", "metric saliency removes nothing and takes no fill, got 'black'"),
        (Deletion, r"as Deletion\(\) or 'deletion', got the class"),
        (None, r"as Deletion\(\) or 'deletion', got None"),
    ],
)
def test_unusable_metric_is_an_error_that_says_what_to_do(metric, message):
    with pytest.raises((ValueError, TypeError), match=message):
        to_metric(metric)


def test_entry_is_split_into_class_parameters_and_fill():
    table = {"name": "deletion", "step": 5, "fill": {"name": "blur", "sigma": 5}}
    expected = MetricEntry(Deletion, {"step": 5}, {"name": "blur", "sigma": 5})
    assert read_metric_entry(parse_entry(table)) == expected
    entry = Entry("filled-distance", {"model": "a.onnx", "fill": "black"})
    assert read_metric_entry(entry) == (FilledDistance, {"model": "a.onnx"}, "black")


def test_fill_is_set_on_a_copy():
    metric = Deletion(step=5)
    assert set_fill(metric, Black()) == Deletion(step=5, fill=Black())
    assert metric.fill is None


def test_metrics_are_judged_by_name():
    by_name = metrics.judge("deletion:step=50", CURVED, IMAGE, HEATMAP, 1, fill="black")
    by_value = metrics.judge(Deletion(step=50), CURVED, IMAGE, HEATMAP, 1, fill="black")
    assert by_name.details == by_value.details
    base = metrics.random_baseline("deletion:step=50", CURVED, IMAGE, 1, n_maps=2, fill="black")
    expected = metrics.random_baseline(Deletion(step=50), CURVED, IMAGE, 1, n_maps=2, fill="black")
    assert base.details == expected.details


def test_fill_in_the_name_is_the_metrics_own():
    named = metrics.judge("deletion:step=50,fill=black", CURVED, IMAGE, HEATMAP, 1, fill="white")
    black = metrics.judge("deletion:step=50", CURVED, IMAGE, HEATMAP, 1, fill="black")
    white = metrics.judge("deletion:step=50", CURVED, IMAGE, HEATMAP, 1, fill="white")
    assert named.value == black.value != white.value


def test_a_metric_takes_its_model_by_name(tmp_path):
    path = models.save(models.additive(models.weights(SIZE)), tmp_path / "net.onnx")
    path.with_suffix(".toml").write_text("range = [0, 1]\n")

    def score(images):  # of three classes, as those of the file
        return np.pad(CURVED(images), ((0, 0), (0, 1)))

    other, boxes = load(path, device="cpu"), [Box(2, 3, 8, 9)]
    named = metrics.judge(
        f"still-recognised:model={path},device=cpu,fill=black", score, IMAGE, None, 1, boxes=boxes
    )
    value = StillRecognised(recognise=make_recogniser(other), fill=Black())
    expected = metrics.judge(value, score, IMAGE, None, 1, boxes=boxes)
    assert named.details == expected.details
    itself = metrics.judge("still-recognised:fill=black", score, IMAGE, None, 1, boxes=boxes)
    assert itself.details["score_before"] != named.details["score_before"]
    explained = from_callable(score, size=SIZE, class_names=("cat", "dog", "cow"))
    with pytest.raises(
        ValueError, match=r"cannot be the model of still-recognised: its class 'class 0'"
    ):
        metrics.judge(f"still-recognised:model={path}", explained, IMAGE, None, 1, boxes=boxes)
