"""Weights of layers: pointing accuracy of the map of each, counted here by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import onnxplain
from onnxplain import NormGrad
from tests.cli.conftest import HEAD
from tests.helpers import models
from tests.helpers.nets import Net
from tests.study.conftest import SIZE, red_part, reddish, save

SIDE, N = 48, 12
BOXES = [(0, 0, 6, 48), (42, 0, 48, 48)]  # the left and the right border of a photo


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Save photos of class 1, whose object is said to be at one of the borders."""
    rows = []
    for i in range(N):
        save(tmp_path / "photos" / f"{i}.png", reddish(i, SIDE, SIDE))
        rows.append(f"{i}.png,1,{','.join(map(str, BOXES[i % 2]))},{SIDE},{SIDE}\n")
    (tmp_path / "labels.csv").write_text(HEAD + "".join(rows))
    return tmp_path / "photos"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    path = models.save(models.convnet((SIDE, SIDE), classes=2), tmp_path / "net.onnx")
    path.with_suffix(".toml").write_text('range = [0, 1]\nclass_names = ["no", "yes"]\n')
    return path


def count_hits(classifier: onnxplain.runtime.OnnxClassifier, photos: Path, layer: str) -> float:
    """Play the pointing game by hand, with its tolerance of 15 pixels."""
    hits = []
    for i in range(N):
        result = onnxplain.explain(
            classifier, photos / f"{i}.png", NormGrad(layer=layer), target=1, progress=False
        )
        y, x = np.unravel_index(result.heatmap.argmax(), result.heatmap.shape)
        left, top, right, bottom = BOXES[i % 2]
        down = max(top - y, y - (bottom - 1), 0)
        across = max(left - x, x - (right - 1), 0)
        hits.append(np.hypot(down, across) <= 15)
    return float(np.mean(hits))


def test_weights_are_the_pointing_accuracies(photos: Path, model: Path) -> None:
    classifier = onnxplain.load(model, batch_size=2)
    weighed = onnxplain.weigh_layers(
        classifier,
        photos,
        annotations=photos.parent / "labels.csv",
        only_correct=False,
        progress=False,
    )
    assert weighed.layers == ("r1", "r2")
    assert weighed.n == N
    expected = [count_hits(classifier, photos, layer) for layer in weighed.layers]
    np.testing.assert_allclose(weighed.accuracies, expected)
    assert 0 < min(expected) < 1
    numbers = [float(part) for part in weighed.text.split("/")]
    np.testing.assert_allclose(numbers, np.divide(expected, sum(expected)), atol=1e-4)
    onnxplain.explain(
        classifier, photos / "0.png", f"combined:weights={weighed.text}", progress=False
    )


def test_other_classifiers_are_refused(photos: Path) -> None:
    with pytest.raises(TypeError, match=r"load one with onnxplain\.load"):
        onnxplain.weigh_layers(Net(red_part, SIZE), photos)


def test_photos_that_do_not_count_are_an_error(photos: Path, model: Path) -> None:
    classifier = onnxplain.load(model, batch_size=2)
    wrong = [1 - classifier.predict(photos / f"{i}.png", top=1)[0].index for i in range(N)]
    lines = [f"{i}.png,{wrong[i]},0,0,{SIDE},{SIDE},{SIDE},{SIDE}\n" for i in range(N)]
    labels = photos.parent / "wrong.csv"
    labels.write_text(HEAD + "".join(lines))
    with pytest.raises(ValueError, match="of 0 photos that count; photos need a box and"):
        onnxplain.weigh_layers(classifier, photos, annotations=labels, progress=False)
