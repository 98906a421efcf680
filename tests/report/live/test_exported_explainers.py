"""Exported explainers in a browser: the scores and heatmaps of `explain`, by onnxruntime-web."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

import onnxplain
from onnxplain.core.errors import ZooError
from onnxplain.core.flow import NO_FILL, Closed
from onnxplain.loading import find_model
from onnxplain.registry import METHODS
from onnxplain.runtime.composing.space import ModelSpace
from onnxplain.subjects import fit_to_classifier, name_image, read_source
from tests.helpers.browser import Visit
from tests.helpers.ort_page import open_ort_page, run_file
from tests.helpers.specs import photos
from tests.helpers.transformers import make_net_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
SIZE = (16, 20)
SMALL = {"ig": "ig:n_points=4,tolerance=0"}
CLOSED = {
    name: SMALL.get(name, name)
    for name, cls in METHODS.items()
    if isinstance(cls(**({"tolerance": 0} if name == "ig" else {})), Closed)
    and not name.startswith("pattern-")  # their graphs hold patterns, which photos give
}
COFFEE = Path(__file__).parents[3] / "examples" / "coffee.jpg"


@pytest.fixture(scope="module")
def visit(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    with open_ort_page(browser, tmp_path_factory.mktemp("page")) as opened:
        yield opened
    opened.assert_silent()


def compare(
    visit: Visit,
    model: Path,
    photo: Any,
    target: int | None,
    method: str,
    fill: Any = None,
    **how: Any,
) -> NDArray[np.float64]:
    """Compare scores with Python's; return how far a heatmap is from `explain`'s, as shares."""
    classifier = onnxplain.load(model, device="cpu", batch_size=1, **how)
    if target is None:
        target = classifier.predict(photo, top=1)[0].index  # some maps show only what speaks for it
    found = onnxplain.explain(classifier, photo, method, target=target, fill=fill, progress=False)
    read = read_source(name_image(photo, 0), max_pixels=10**7)
    _, image = fit_to_classifier(classifier, read)
    content = onnxplain.export_explainer(model, method, fill=fill, **how)
    entered = ModelSpace.of(classifier.spec).enter(image[None])
    outputs = run_file(visit, content, classifier.spec.input, entered, target)
    assert set(outputs) == {classifier.spec.output, "heatmap"}
    scores = classifier.scores(image[None])[0]
    np.testing.assert_allclose(outputs[classifier.spec.output], scores, atol=1e-4 * np.ptp(scores))
    assert found.heatmap.any()
    distance = np.abs(outputs["heatmap"].reshape(found.heatmap.shape) - found.heatmap)
    return distance / np.abs(found.heatmap).max()


def test_several_methods_are_closed_forms() -> None:
    assert {"gradient", "ig", "grad-cam", "layer-cam", "guided-backprop"} <= set(CLOSED)


@pytest.mark.parametrize("name", CLOSED)
def test_small_net(visit: Visit, tmp_path: Path, name: str) -> None:
    model = tmp_path / "model.onnx"
    onnx.save(make_net_for(name, SIZE, classes=3), model)
    fill = None if METHODS[name].usual_fill == NO_FILL else "colour:rgb=[1, 0, 0.5]"
    far = compare(visit, model, photos(1, SIZE)[0], None, CLOSED[name], fill, preprocessing="timm")
    assert far.max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "share", "most"),
    [
        ("grad-cam", 1, 1e-4),
        # Where a rectifier is about to switch, the slope jumps. Noise of 3e-7 in the pixels moves
        # 2 to 4 % of the map of `explain` itself by more than 1e-4, and its worst pixel by 2e-2.
        ("gradient", 0.9, 0.05),
    ],
)
def test_efficientnet_lite0(visit: Visit, name: str, share: float, most: float) -> None:
    try:
        model = find_model("efficientnet-lite0")
    except ZooError as error:
        pytest.skip(f"needs EfficientNet-Lite0: {error}")
    far = compare(visit, model, COFFEE, 967, name)
    assert np.mean(far < 1e-4) >= share
    assert far.max() < most
