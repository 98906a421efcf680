"""What a live page carries, and when there can be none."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain
from onnxplain.core.errors import LibraryMissing, ModelError, OutputError
from onnxplain.report import gather
from onnxplain.report.live import Live, section
from onnxplain.report.live.ort_web import BINARY, MODULE, OrtWeb
from onnxplain.report.page import LiveSection
from tests.helpers import models
from tests.report.live.conftest import SIZE, Explain

HOW = {"preprocessing": "timm", "class_names": ["</script>", *"bcdefg"]}
RUNTIME = OrtWeb(b"module", b"binary")


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that is not needed outside browsers."""
    monkeypatch.setattr(section, "find_ort_web", lambda folder: RUNTIME)


def build(results: Path, **how: Any) -> LiveSection:
    return Live(results.parent / "net.onnx", description=how)(gather([results], 50))


def read(built: LiveSection, name: str) -> bytes:
    packed = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', built.html)
    assert packed is not None
    return gzip.decompress(base64.b64decode(packed[1]))


def read_facts(built: LiveSection) -> dict[str, Any]:
    text = re.search(r'id="live-data">(.*?)</script>', built.html)
    assert text is not None
    facts: dict[str, Any] = json.loads(text[1])
    return facts


def test_page_carries_runtime_graphs_weights_and_photo(explain: Explain, net: Any) -> None:
    built = build(explain(net, "grad-cam", "gradient", "rise:n_masks=20,grid=4", **HOW), **HOW)
    assert (read(built, "ort-module"), read(built, "ort-binary")) == (b"module", b"binary")
    facts = read_facts(built)
    assert facts["classes"][0] == "</script>"
    assert facts["explainers"] == ["grad-cam", "gradient"]
    assert facts["of_map"] == {"0": 0, "1": 1}  # by name: grad-cam, gradient, rise
    weights = read(built, "live-weights")
    for place, outputs in enumerate((["scores"], ["scores", "heatmap"], ["scores", "heatmap"])):
        graph = onnx.ModelProto.FromString(read(built, f"live-graph-{place}"))
        assert [value.name for value in graph.graph.output] == outputs
    assert len(weights) < 2 * sum(len(t.raw_data) for t in net.graph.initializer)
    assert len(read(built, "live-photo-0")) == 2 * 3 * np.prod(SIZE)
    assert facts["photos"][0]["exact"] is True
    assert "Microsoft Corporation" in built.html
    assert built.sources == {"script-src": ("blob:", "'wasm-unsafe-eval'")}


def test_preprocessing_is_that_of_the_results(explain: Explain, net: Any) -> None:
    results = explain(net, "grad-cam", preprocessing="timm")
    assert read_facts(build(results)) == read_facts(build(results, preprocessing="timm"))
    with pytest.raises(ModelError, match=r"made with mean = .*; give the options that explain"):
        build(results, preprocessing="torchvision", range=(0, 1), mean=(0.0,) * 3, std=(1.0,) * 3)


def test_methods_without_a_formula_get_a_stand_in(explain: Explain, net: Any) -> None:
    facts = read_facts(build(explain(net, "rise:n_masks=20,grid=4", **HOW), **HOW))
    assert (facts["explainers"], facts["of_map"]) == (["grad-cam"], {})


def test_classifier_without_layers_has_no_live_map(explain: Explain) -> None:
    plain = models.additive(models.weights(SIZE))
    facts = read_facts(build(explain(plain, "rise:n_masks=20,grid=4", preprocessing="unit")))
    assert facts["explainers"] == []


def test_photo_that_is_gone_is_replaced_by_the_copy(
    explain: Explain, net: Any, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = explain(net, "grad-cam", **HOW)
    exact = np.frombuffer(read(build(results, **HOW), "live-photo-0"), np.uint8)
    monkeypatch.setattr(section, "read_source", lambda *_, **__: np.zeros((8, 8, 3), np.float32))
    built = build(results, **HOW)
    assert read_facts(built)["photos"][0]["exact"] is False
    copied = np.frombuffer(read(built, "live-photo-0"), np.uint8)
    high = exact[: len(exact) // 2].astype(int), copied[: len(exact) // 2].astype(int)
    assert np.abs(high[0] - high[1]).mean() < 6  # of 255: another filter, and a JPEG


def test_model_is_found_by_the_name_in_the_results(
    explain: Explain, net: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = gather([explain(net, "grad-cam", **HOW)], 50)
    with pytest.raises(ModelError, match=r"classifier net\.onnx is not here; give it with --model"):
        Live()(material)


def test_other_models_are_refused(explain: Explain, net: Any, tmp_path: Path) -> None:
    material = gather([explain(net, "grad-cam", **HOW)], 50)
    onnx.save(models.convnet(SIZE, classes=7, seed=1), tmp_path / "other.onnx")
    with pytest.raises(ModelError, match=r"no map of this report is of other\.onnx .* net\.onnx"):
        Live(tmp_path / "other.onnx", description=HOW)(material)


@pytest.mark.parametrize("limit", [1, 4000])
def test_large_pages_are_refused_with_advice(
    explain: Explain, net: Any, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = explain(net, "grad-cam", **HOW)
    monkeypatch.setattr(section, "LIMIT", limit)
    with pytest.raises(OutputError, match=r"the limit is .* quantise it to 8 bits .*--live"):
        build(results, **HOW)


def test_nothing_is_written_without_a_runtime(
    explain: Explain, net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Any) -> OrtWeb:
        raise LibraryMissing(f"no {MODULE} or {BINARY}")

    monkeypatch.setattr(section, "find_ort_web", fail)
    results = explain(net, "grad-cam", **HOW)
    pytest.importorskip("jinja2")
    with pytest.raises(LibraryMissing):
        onnxplain.write_report(
            results, tmp_path / "page.html", live=Live(tmp_path / "net.onnx", description=HOW)
        )
    assert not (tmp_path / "page.html").exists()
