"""Real models, real photos, from the shell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from tests.cli.conftest import Run, parse_lines
from tests.conftest import shared

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COFFEE, CAT = EXAMPLES / "coffee.jpg", EXAMPLES / "cat.jpg"


def test_default_classifier_sees_the_coffee_in_the_cup(run: Run):
    words = ("--method", "sp", "--patch", 56, "--stride", 28, "--json")
    result = run("explain", COFFEE, *words)
    assert result.exit_code == 0, result.stderr
    (explained,) = parse_lines(result.stdout)
    assert explained["target_name"] == "espresso"
    assert explained["score"] > 0.8
    assert explained["model"] == "efficientnet-lite0.onnx"
    heatmap = onnxplain.load_explanation(explained["heatmap"]).full_heatmap
    assert heatmap.shape == (400, 600)
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    assert 50 < row < 270  # the cup
    assert 170 < column < 430


def test_two_photos_and_two_targets_in_three_lines_of_python(tmp_path: Path):
    classifier = onnxplain.load("efficientnet-lite0")
    explanation = onnxplain.explain(classifier, str(COFFEE), onnxplain.RISE(n_masks=50))
    saved = explanation.save("out")
    assert saved.overlay is not None
    assert saved.overlay.is_file()
    explanations = list(
        onnxplain.explain_many(
            classifier, [COFFEE, CAT], onnxplain.LIME(n_samples=20), target=["tabby", "espresso"]
        )
    )
    names = [explained.target_name for explained in explanations]  # type: ignore[union-attr]
    assert names == ["tabby, tabby cat", "espresso"] * 2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("mobilenet_v1_0.25_128_quant.onnx", ()),
        ("mobilenet_v2_1.0_224_quant.onnx", ()),
        ("squeezenet-places365.onnx", ("--preprocessing", "keras-caffe")),
        ("fer-keras-minixception.onnx", ("--preprocessing", "keras-tf")),
    ],
)
def test_models_of_other_frameworks_are_explained(run: Run, model: str, words: tuple[str, ...]):
    path = shared(f"models/{model}")
    few = ("--method", "lime", "--n-samples", 8, "--json")
    result = run("explain", CAT, "-m", path, *words, *few)
    assert result.exit_code == 0, result.stderr
    (explained,) = parse_lines(result.stdout)
    assert 0 < explained["score"] <= 1
    assert explained["evaluations"] == 8


def test_quantised_model_sees_the_coffee(run: Run):
    path = shared("models/mobilenet_v2_1.0_224_quant.onnx")
    names = shared("data/eval/imagenet_classes.csv")
    words = ("--method", "lime", "--n-samples", 8, "--labels", names, "--json")
    (explained,) = parse_lines(run("explain", COFFEE, "-m", path, *words).stdout)
    assert explained["target_name"] == "espresso"
    assert explained["target"] == 968  # class 0 is the background


def test_inspect_shows_the_preprocessing_that_fits(run: Run):
    words = ("--image", COFFEE, "--label", "espresso", "--json")
    inspected = json.loads(run("inspect", "efficientnet-lite0", *words).stdout)
    answers = {
        answer["preprocessing"]: answer["label"]["probability"] for answer in inspected["answers"]
    }
    assert answers["as described"] == pytest.approx(answers["lite, rgb"], abs=1e-6)
    assert answers["as described"] > answers["lite, bgr"]
    assert answers["as described"] > answers["bytes, rgb"]
