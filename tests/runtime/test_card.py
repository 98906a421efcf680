"""The card of a classifier says what the file wants and where that is known from."""

from __future__ import annotations

from pathlib import Path

from onnxplain import from_callable, load
from onnxplain.runtime.card import format_card
from tests.helpers import models
from tests.helpers.models import save


def test_card_of_a_file_names_values_and_sources(tmp_path: Path) -> None:
    path = save(models.convnet((16, 16)), tmp_path / "net.onnx")
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\n<img src=x onerror=alert(1)>\na\nb\nc\n")
    classifier = load(path, preprocessing="torchvision", labels=labels)
    card = classifier._repr_html_()
    assert "OnnxClassifier: net.onnx" in card
    assert classifier.provenance["sha256"][:16] in card
    assert "16 x 16" in card
    assert "0.485, 0.456, 0.406" in card
    assert classifier.spec.sources["mean"] in card
    assert "<img" not in card
    assert "&lt;img src=x" in card


def test_card_of_a_function_has_no_file() -> None:
    classifier = from_callable(lambda images: images, size=(8, 9), n_classes=1000, name="mine")
    card = classifier._repr_html_()
    assert "CallableClassifier: mine" in card
    assert "8 x 9" in card
    assert "1000: tench, goldfish, great white shark, tiger shark, ..." in card
    assert "sha256" not in card
    assert card == format_card("CallableClassifier", classifier.provenance, classifier.spec)
