"""Changed copies of a classifier: what they compute, and what methods make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from scipy import stats

import onnxplain
from onnxplain import metrics
from onnxplain.core.errors import ModelError
from onnxplain.graph.surgery import randomise_layers
from tests.helpers import models

SIZE = (48, 48)
# Pixels that are multiples of 1/256 are moved without rounding.
IMAGE = (np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) / 256).astype(np.float32)
FAST = onnxplain.SP(patch=12, stride=18)
DESCRIPTION: dict[str, Any] = {"range": (0, 1), "mean": 0.5, "std": 0.25, "device": "cpu"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[False, True], ids=["one file", "external"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made, path = models.convnet(SIZE), tmp_path / "net.onnx"
    # ONNX Runtime wants the shape that Reshape takes, 16 bytes, in the file itself.
    onnx.save(made, path, save_as_external_data=request.param, location="w", size_threshold=99)
    return path


def test_a_shifted_classifier_computes_the_same_and_is_another(path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    moved = onnxplain.load_shifted(path, -2.0, **DESCRIPTION)
    np.testing.assert_array_equal(moved.scores(IMAGE[None]), plain.scores(IMAGE[None]))
    assert moved.spec.mean == (1.0, 1.0, 1.0)
    assert moved.provenance["sha256"] != plain.provenance["sha256"]
    grey = onnxplain.Colour(rgb=(0.5, 0.5, 0.5))
    score = metrics.input_invariance(plain, moved, IMAGE, FAST, fill=grey)
    assert (score.value, score.details["score_change"]) == (0, 0)


def test_layers_are_randomised_from_the_last_one_down(path: Path, tmp_path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    broken = list(onnxplain.load_randomised(path, **DESCRIPTION))
    assert len(broken) == 3
    for n, one in enumerate(broken, 1):
        made = randomise_layers(models.convnet(SIZE), n)
        expected = onnxplain.load(
            models.save(made, tmp_path / f"{n}.onnx"), batch_size=4, **DESCRIPTION
        )
        np.testing.assert_array_equal(one.scores(IMAGE[None]), expected.scores(IMAGE[None]))
        assert np.abs(one.scores(IMAGE[None]) - plain.scores(IMAGE[None])).max() > 1e-3
    score = metrics.randomisation(plain, broken, IMAGE, FAST, fill="black")
    assert len(score.details["spearman"]) == 3
    assert len(list(onnxplain.load_randomised(path, every=2, **DESCRIPTION))) == 2
    with pytest.raises(ValueError, match="every must be >= 1"):
        next(onnxplain.load_randomised(path, every=0, **DESCRIPTION))


def test_sanity_checks_go_by_the_gradients_of_each_file(path: Path):
    plain = onnxplain.load(path, **DESCRIPTION)
    broken = list(onnxplain.load_randomised(path, **DESCRIPTION))
    method = onnxplain.MP(estimator="gradient", grid=4, n_steps=3)

    def explained(classifier: Any, target: int) -> Any:
        return onnxplain.explain(classifier, IMAGE, method, target=target).heatmap

    first, *others = (explained(one, 0) for one in (plain, *broken))
    score = metrics.randomisation(plain, broken, IMAGE, method, 0)
    expected = [stats.spearmanr(first, one, axis=None).statistic for one in others]
    assert score.details["spearman"] == pytest.approx(expected, abs=1e-6)
    scores = plain.scores(IMAGE[None])
    maps = [explained(plain, int(target)) for target in (scores.argmax(), scores.argmin())]
    expected = stats.spearmanr(*maps, axis=None).statistic
    assert metrics.class_sensitivity(plain, IMAGE, method).value == pytest.approx(
        expected, abs=1e-6
    )


def test_a_model_without_weights_cannot_be_randomised(tmp_path: Path):
    mean = onnx.helper.make_node("GlobalAveragePool", ["image"], ["pooled"])
    flat = onnx.helper.make_node("Flatten", ["pooled"], ["scores"])
    made = models.model(
        [mean, flat],
        {"image": (onnx.TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (onnx.TensorProto.FLOAT, ["N", 3])},
        {},
    )
    path = models.save(made, tmp_path / "mean.onnx")
    with pytest.raises(ModelError, match=r"mean\.onnx: has no layer with weights"):
        next(onnxplain.load_randomised(path, range=(0, 1), device="cpu"))
