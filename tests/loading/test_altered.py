"""Models are loaded with a shifted input or randomised layers."""

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
from tests.loading.conftest import DESCRIPTION, IMAGE, SIZE

FAST = onnxplain.SP(patch=12, stride=18)


def test_shifted_classifier_is_another_file_with_the_same_scores(path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    shifted = onnxplain.load_shifted(path, -2.0, **DESCRIPTION)
    np.testing.assert_array_equal(shifted.scores(IMAGE[None]), plain.scores(IMAGE[None]))
    assert shifted.spec.mean == (1.0, 1.0, 1.0)
    assert shifted.provenance["sha256"] != plain.provenance["sha256"]
    grey = onnxplain.Colour(rgb=(0.5, 0.5, 0.5))
    score = metrics.input_invariance(plain, shifted, IMAGE, FAST, fill=grey)
    assert (score.value, score.details["score_change"]) == (0, 0)


def test_layers_are_randomised_from_the_last_to_the_first(path: Path, tmp_path: Path):
    plain = onnxplain.load(path, batch_size=4, **DESCRIPTION)
    randomised = list(onnxplain.load_randomised(path, **DESCRIPTION))
    assert len(randomised) == 3
    for n, classifier in enumerate(randomised, 1):
        model = randomise_layers(models.convnet(SIZE), n)
        expected = onnxplain.load(
            models.save(model, tmp_path / f"{n}.onnx"), batch_size=4, **DESCRIPTION
        )
        scores = classifier.scores(IMAGE[None])
        np.testing.assert_array_equal(scores, expected.scores(IMAGE[None]))
        assert np.abs(scores - plain.scores(IMAGE[None])).max() > 1e-3
    score = metrics.randomisation(plain, randomised, IMAGE, FAST, fill="black")
    assert len(score.details["spearman"]) == 3
    assert len(list(onnxplain.load_randomised(path, every=2, **DESCRIPTION))) == 2
    with pytest.raises(ValueError, match="every must be >= 1"):
        next(onnxplain.load_randomised(path, every=0, **DESCRIPTION))


def test_sanity_checks_use_the_gradients_of_each_file(path: Path):
    plain = onnxplain.load(path, **DESCRIPTION)
    randomised = list(onnxplain.load_randomised(path, **DESCRIPTION))
    method = onnxplain.MP(estimator="gradient", grid=4, n_steps=3)

    def explain(classifier: Any, target: int) -> Any:
        return onnxplain.explain(classifier, IMAGE, method, target=target).heatmap

    first, *others = (explain(classifier, 0) for classifier in (plain, *randomised))
    score = metrics.randomisation(plain, randomised, IMAGE, method, 0)
    expected = [stats.spearmanr(first, other, axis=None).statistic for other in others]
    assert score.details["spearman"] == pytest.approx(expected, abs=1e-6)
    scores = plain.scores(IMAGE[None])
    maps = [explain(plain, int(target)) for target in (scores.argmax(), scores.argmin())]
    expected = stats.spearmanr(*maps, axis=None).statistic
    assert metrics.class_sensitivity(plain, IMAGE, method).value == pytest.approx(
        expected, abs=1e-6
    )


def test_model_without_weights_cannot_be_randomised(tmp_path: Path):
    mean = onnx.helper.make_node("GlobalAveragePool", ["image"], ["pooled"])
    flat = onnx.helper.make_node("Flatten", ["pooled"], ["scores"])
    model = models.model(
        [mean, flat],
        {"image": (onnx.TensorProto.FLOAT, ["N", 3, 8, 8])},
        {"scores": (onnx.TensorProto.FLOAT, ["N", 3])},
        {},
    )
    path = models.save(model, tmp_path / "mean.onnx")
    with pytest.raises(ModelError, match=r"mean\.onnx: has no layer with weights"):
        next(onnxplain.load_randomised(path, range=(0, 1), head="logits", device="cpu"))
