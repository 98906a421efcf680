"""A module of PyTorch is the classifier that its ONNX export is, with autograd's gradients."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import onnxplain
import onnxplain.metrics
from onnxplain.core.errors import DeviceError, ModelError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.framework

nn = torch.nn
SIZE = (32, 24)
NORMALISED: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
PHOTO = np.random.default_rng(0).random((48, 64, 3)).astype(np.float32)


def make_module(classes: int = 5, *, last: Any = None) -> Any:
    """A small smooth net, as kinks would make maps of two runtimes differ by more than rounding."""
    torch.manual_seed(0)
    layers = [
        *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.SiLU(), nn.Dropout(0.5)),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)),
    ]
    return nn.Sequential(*layers, *([last] if last else []))


def export(module: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecation
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, *SIZE),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
        )
    return path


@pytest.fixture
def module() -> Any:
    return make_module().eval()


@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
def test_scores_and_gradients_are_those_of_the_export(
    module: Any, kind: Any, tmp_path: Path
) -> None:
    mine = onnxplain.from_torch(module, size=SIZE, batch_size=2, **NORMALISED)
    graph = onnxplain.load(export(module, tmp_path / "net.onnx"), device="cpu", **NORMALISED)
    images = np.random.default_rng(1).random((5, *SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(mine.scores(images), graph.scores(images), atol=1e-5)
    targets = np.array([0, 4, 2, 1, 1])
    scores, gradients = mine.gradients().score_grads(images, targets, kind)
    expected_scores, expected = graph.gradients().score_grads(images, targets, kind)
    np.testing.assert_allclose(scores, expected_scores, atol=1e-5)
    np.testing.assert_allclose(gradients, expected, atol=1e-5)
    assert mine.predict(PHOTO)[0].index == graph.predict(PHOTO)[0].index
    assert mine.outputs == "logits"


@pytest.mark.parametrize("method", ["sp:patch=8", "rise:n_masks=50", "mp:n_steps=5", "mp2:grid=6"])
def test_maps_are_those_of_the_export(module: Any, method: str, tmp_path: Path) -> None:
    mine = onnxplain.from_torch(module, size=SIZE, **NORMALISED)
    graph = onnxplain.load(export(module, tmp_path / "net.onnx"), device="cpu", **NORMALISED)
    ours, theirs = (onnxplain.explain(known, PHOTO, method) for known in (mine, graph))
    assert ours.heatmap.std() > 0
    np.testing.assert_allclose(ours.heatmap, theirs.heatmap, atol=1e-5)
    assert ours.provenance["preprocessing"]["mean"] == NORMALISED["mean"]
    assert ours.provenance["classifier"]["provider"].startswith("torch ")


def test_a_module_in_training_mode_is_run_in_evaluation_mode_and_left_in_its_own() -> None:
    module = make_module()
    module[1].eval()  # a frozen part
    before = [part.training for part in module.modules()]
    statistics = module[1].running_mean.clone()
    classifier = onnxplain.from_torch(module, size=SIZE, preprocessing="unit")
    images = PHOTO[None, : SIZE[0], : SIZE[1]]
    scores = classifier.scores(images)
    classifier.gradients()
    assert [part.training for part in module.modules()] == before
    assert torch.equal(module[1].running_mean, statistics)
    assert all(parameter.grad is None for parameter in module.parameters())
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


class Careless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = make_module()

    def forward(self, images: Any) -> Any:
        return nn.functional.dropout(self.inner(images), 0.5)  # whatever the mode


class Answering(nn.Module):
    """Answers as models of Hugging Face do, and says its classes as they do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = make_module()
        self.config = SimpleNamespace(id2label=dict(enumerate("vwxyz")))

    def forward(self, images: Any) -> Any:
        return SimpleNamespace(logits=self.inner(images))


class Deaf(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = make_module()

    def forward(self, images: Any) -> Any:
        return self.inner(images.detach())


def test_a_module_that_draws_at_random_is_refused() -> None:
    with pytest.raises(ModelError, match=r"Careless: answers the same images differently.*dropout"):
        onnxplain.from_torch(Careless(), size=SIZE, preprocessing="unit")


def test_logits_of_an_answer_and_names_of_a_configuration_are_taken() -> None:
    classifier = onnxplain.from_torch(Answering(), size=SIZE, preprocessing="unit")
    plain = onnxplain.from_torch(Answering().inner, size=SIZE, preprocessing="unit")
    assert classifier.class_names == tuple("vwxyz")
    assert classifier.predict(PHOTO)[0].score == plain.predict(PHOTO)[0].score


def test_description_of_timm_is_taken() -> None:
    module = make_module()
    module.pretrained_cfg = {"input_size": (3, *SIZE), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    classifier = onnxplain.from_torch(module)
    assert (classifier.size, classifier.spec.mean) == (SIZE, (0.5, 0.5, 0.5))
    assert classifier.spec.sources["mean"] == "pretrained_cfg"


def test_scores_that_are_probabilities_are_seen() -> None:
    module = make_module(last=nn.Softmax(dim=1))
    classifier = onnxplain.from_torch(module, size=SIZE, preprocessing="unit")
    assert classifier.outputs == "probabilities"
    assert sum(best.score for best in classifier.predict(PHOTO)) == pytest.approx(1)


def test_one_number_is_the_probability_of_the_second_class() -> None:
    module = make_module(1, last=nn.Sigmoid())
    classifier = onnxplain.from_torch(
        module, size=SIZE, preprocessing="unit", head="probability", class_names=["no", "yes"]
    )
    logit = onnxplain.from_torch(module[:-1], size=SIZE, preprocessing="unit", head="logit")
    images = PHOTO[None, : SIZE[0], : SIZE[1]]
    for kind in ("log-odds", "probability"):
        for target in (0, 1):
            one, other = (
                known.gradients().score_grads(images, np.array([target]), kind)[1]
                for known in (classifier, logit)
            )
            assert np.abs(one).max() > 0
            np.testing.assert_allclose(one, other, atol=1e-6)


def test_batches_become_smaller_when_memory_runs_out(caplog: pytest.LogCaptureFixture) -> None:
    class Hungry(nn.Module):
        limit = 99

        def __init__(self) -> None:
            super().__init__()
            self.inner = make_module()

        def forward(self, images: Any) -> Any:
            if len(images) > self.limit:
                raise torch.OutOfMemoryError("no memory for so many")
            return self.inner(images)

    module = Hungry()
    classifier = onnxplain.from_torch(module, size=SIZE, preprocessing="unit", batch_size=8)
    images = np.random.default_rng(1).random((9, *SIZE, 3)).astype(np.float32)
    expected = classifier.scores(images)
    module.limit = 3
    np.testing.assert_allclose(classifier.scores(images), expected, atol=1e-6)
    assert classifier.batch_size == 2
    module.limit = 1
    scores, _ = classifier.score_grads(images, np.zeros(9, np.int64), "logit")
    np.testing.assert_allclose(scores, expected, atol=1e-6)
    assert classifier.batch_size == 1
    module.limit = 0
    with pytest.raises(DeviceError, match="Hungry: out of memory"):
        classifier.scores(images)


def test_half_precision_and_greyscale() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).bfloat16()
    classifier = onnxplain.from_torch(module, size=SIZE, preprocessing="unit", colour="grey")
    assert classifier.scores(PHOTO[None, : SIZE[0], : SIZE[1]]).dtype == np.float32
    classifier.gradients()


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (
            {"size": SIZE},
            ModelError,
            r"cannot tell range, mean, std: neither.*preprocessing= \(torch",
        ),
        (
            {"preprocessing": "unit"},
            ModelError,
            r"cannot tell size: .*pass size=\(rows, columns\)$",
        ),
        ({"sise": 32}, TypeError, "'sise' is unknown; did you mean 'size'"),
        ({"size": SIZE, "preprocessing": "unit", "layout": "nhwc"}, ModelError, "cannot be run"),
        (
            {"size": SIZE, "preprocessing": "unit", "class_names": ["a"]},
            ModelError,
            "1 .*5|5 .*1",
        ),
        ({"size": SIZE, "preprocessing": "unit", "head": "probabilities"}, ModelError, "logits"),
        ({"size": SIZE, "preprocessing": "unit", "device": "moon"}, Exception, "moon"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    module: Any, arguments: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        onnxplain.from_torch(module, **arguments)


def test_a_module_without_gradients_by_its_input_says_so_and_scores_do_without() -> None:
    classifier = onnxplain.from_torch(Deaf(), size=SIZE, preprocessing="unit")
    with pytest.raises(ModelError, match="Deaf: autograd has no gradient"):
        classifier.gradients()
    assert onnxplain.explain(classifier, PHOTO, "mp2:grid=4").parameters["gain"] == "difference"


def test_other_doors_name_this_one(module: Any) -> None:
    with pytest.raises(TypeError, match=r"model of torch.*onnxplain\.from_torch"):
        onnxplain.from_callable(module, size=SIZE, n_classes=5)
    with pytest.raises(TypeError, match=r"from_torch"):
        onnxplain.load(module)
    with pytest.raises(TypeError, match=r"from_torch"):
        onnxplain.explain(module, PHOTO)
    with pytest.raises(TypeError, match=r"from_torch"):
        onnxplain.metrics.deletion(module, PHOTO, PHOTO[..., 0])
    with pytest.raises(TypeError, match=r"torch\.nn\.Module, got function"):
        onnxplain.from_torch(lambda images: images)
