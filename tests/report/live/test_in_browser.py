"""Live pages in a browser: erased by hand, they say what the classifier says in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import PIL.Image
import pytest
from numpy.typing import NDArray

import onnxplain
from onnxplain.core.data import Image, make_rng
from onnxplain.core.errors import ZooError
from onnxplain.core.scores import to_probabilities
from onnxplain.loading import find_model
from onnxplain.registry import make_fill
from onnxplain.report.live import Live
from onnxplain.results import load_explanation
from onnxplain.runtime import OnnxClassifier
from onnxplain.subjects import fit_to_classifier, name_image, read_source
from tests.helpers import models
from tests.helpers.browser import Visit, open_page
from tests.helpers.ort_page import need_ort_web
from tests.report.live.conftest import SIZE, Explain

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]
COFFEE = Path(__file__).parents[3] / "examples" / "coffee.jpg"
HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", 'a"b', "d\x1be"]
NAMES = [*HOSTILE, "five", "six", "seven"]


class LivePage:
    """A live page and the classifier in Python that it is compared with."""

    def __init__(self, visit: Visit, classifier: OnnxClassifier, photo: Path) -> None:
        self.visit, self.page, self.classifier = visit, visit.page, classifier
        read = read_source(name_image(photo, 0), max_pixels=10**7)
        self.image = fit_to_classifier(classifier, read)[1]

    def wait(self) -> None:
        """Wait until what was begun is computed."""
        self.page.evaluate("() => new Promise(done => setTimeout(done, 60))")
        self.page.wait_for_selector("#live[aria-busy=false]")

    def read_mask(self) -> NDArray[np.float32]:
        """Return the mask that the page saves."""
        with self.page.expect_download() as download:
            self.page.click("#live-save")
        with PIL.Image.open(download.value.path()) as mask:
            return (np.asarray(mask.convert("L")) / 255).astype(np.float32)

    def erase(self, fill: str, mask: NDArray[np.float32]) -> Image:
        """Erase in Python."""
        picture: Any = make_fill(fill, {}).prepare(self.image, make_rng(0))
        return self.image * (1 - mask[..., None]) + picture * mask[..., None]

    def drag(self, *places: tuple[float, float]) -> None:
        """Draw with the mouse; places are shares of width and height."""
        self.page.locator("#live-canvas").scroll_into_view_if_needed()
        box = self.page.locator("#live-canvas").bounding_box()
        assert box is not None
        at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
        self.page.mouse.move(*at[0])
        self.page.mouse.down()
        for place in at[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()
        self.wait()

    def compare(self, fill: str, target: int) -> NDArray[np.float32]:
        """Compare all numbers of the page with Python's; return the mask."""
        mask = self.read_mask()
        raw = self.classifier.scores(self.erase(fill, mask)[None])
        expected = to_probabilities(raw, self.classifier.outputs)[0]
        score = float(self.page.get_attribute("#live-score", "data-value") or "nan")
        assert score == pytest.approx(expected[target], abs=1e-4)
        bars = self.page.locator("#live-top li").evaluate_all(
            "bars => bars.map(bar => [Number(bar.dataset.class), Number(bar.dataset.value)])"
        )
        shown = [value for _, value in bars]
        assert shown == pytest.approx([expected[k] for k, _ in bars], abs=1e-4)
        assert shown == pytest.approx(sorted(expected, reverse=True)[: len(bars)], abs=1e-4)
        return mask


@contextmanager
def open_live(
    browser: Browser, results: Path, photo: Path, rows: int = 1, **how: Any
) -> Iterator[LivePage]:
    need_ort_web()
    pytest.importorskip("jinja2")
    model = results.parent / "net.onnx"
    page = results.parent / "live.html"
    assert not onnxplain.write_report(results, page, live=Live(model, description=how))
    classifier = onnxplain.load(model, device="cpu", batch_size=rows, **how)
    with open_page(browser, page) as visit:
        live = LivePage(visit, classifier, photo)
        visit.page.locator("#live").scroll_into_view_if_needed()
        visit.page.wait_for_selector("#live-score[data-value]")
        live.wait()
        yield live
    visit.assert_silent()


def test_what_is_erased_by_hand_scores_as_in_python(
    browser: Browser, explain: Explain, net: Any, photo: Path
) -> None:
    how = {"preprocessing": "timm", "class_names": NAMES}
    results = explain(net, "grad-cam", "gradient", "rise:n_masks=50,grid=4", **how)
    target = load_explanation(next(iter(results.glob("*.npz")))).target
    with open_live(browser, results, photo, **how) as live:
        page = live.page
        assert not live.compare("blur", target).any()
        assert float(page.get_attribute("#live-proof", "data-gap") or "nan") < 1e-5
        assert page.inner_text("#live-class") == NAMES[target].replace("\x1b", "\\x1b")

        live.drag((0.2, 0.3), (0.6, 0.4), (0.5, 0.8))
        mask = live.compare("blur", target)
        assert 0.05 < mask.mean() < 0.5
        assert mask[int(0.3 * SIZE[0]), int(0.25 * SIZE[1])] == 1
        assert mask[-1, 0] == 0

        for fill in page.locator("#live-fill option").evaluate_all("all => all.map(o => o.value)"):
            page.select_option("#live-fill", fill)
            live.wait()
            np.testing.assert_array_equal(live.compare(fill, target), mask)

        for place, method in enumerate(("grad-cam", "gradient")):
            page.select_option("#live-method", str(place))
            live.wait()
            erased = live.erase("white", mask)
            heatmap = onnxplain.explain(
                live.classifier, erased, method, target=target, progress=False
            ).heatmap
            largest = float(page.get_attribute("#live-map", "data-largest") or "nan")
            assert largest == pytest.approx(heatmap.max(), rel=1e-3)

        page.check("input[name=live-mode][value='0']", force=True)
        live.drag((0.2, 0.3), (0.6, 0.4))
        assert live.compare("white", target).mean() < mask.mean()
        page.click("#live-undo")
        live.wait()
        np.testing.assert_array_equal(live.compare("white", target), mask)
        page.click("#live-clear")
        live.wait()
        assert not live.compare("white", target).any()


def test_what_the_method_marked_is_erased(
    browser: Browser, explain: Explain, net: Any, photo: Path
) -> None:
    results = explain(net, "grad-cam", preprocessing="timm")
    found = load_explanation(next(iter(results.glob("*.npz"))))
    with open_live(browser, results, photo, preprocessing="timm") as live:
        live.page.click("#live-erase")
        live.wait()
        mask = live.compare("blur", found.target)
        assert mask.sum() == round(0.15 * mask.size)
        # Levels of 8 bits tell the larger values from the smaller ones but for one level.
        level = np.ptp(found.heatmap) / 255
        assert found.heatmap[mask == 1].min() >= found.heatmap[mask == 0].max() - 1.01 * level
        live.page.click("#live-keep")
        live.wait()
        np.testing.assert_array_equal(live.compare("blur", found.target), 1 - mask)
        live.page.click("#live-undo")
        live.wait()
        np.testing.assert_array_equal(live.compare("blur", found.target), mask)


def test_keys_alone_erase(browser: Browser, explain: Explain, net: Any, photo: Path) -> None:
    results = explain(net, "grad-cam", preprocessing="timm")
    target = load_explanation(next(iter(results.glob("*.npz")))).target
    with open_live(browser, results, photo, preprocessing="timm") as live:
        live.page.focus("#live-canvas")
        for key in ("ArrowLeft", "ArrowUp", "]", "Space", "ArrowRight", "Space"):
            live.page.keyboard.press(key)
        live.wait()
        assert live.page.is_visible("#live-ring")
        mask = live.compare("blur", target)
        assert mask.any()
        live.page.focus("#live-canvas")
        live.page.keyboard.press("u")
        live.wait()
        assert 0 < live.compare("blur", target).sum() < mask.sum()


@pytest.mark.parametrize(
    ("graph", "how"),
    [
        ({"colour": "bgr", "layout": "nhwc", "mean": (0.4, 0.5, 0.6)}, {}),
        ({"colour": "grey", "layout": "nhwc", "range": (-1, 1)}, {}),
        ({"dtype": "uint8", "range": (0, 255)}, {}),
        ({"dtype": "float16"}, {}),
        ({"head": "sigmoid"}, {"head": "multilabel-probabilities"}),
        ({"batch": 3}, {}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_images_enter_and_scores_leave_as_the_model_wants(
    browser: Browser, explain: Explain, photo: Path, graph: dict[str, Any], how: dict[str, Any]
) -> None:
    weights = models.weights(SIZE)
    if graph.get("colour") == "grey":
        weights = weights[..., :1]
    channels, rows = weights.shape[-1], graph.get("batch", 1)
    usual = {"mean": (0.0,) * channels, "std": (1.0,) * channels, "range": (0, 1), "head": "logits"}
    told = {name: value for name, value in graph.items() if name not in ("dtype", "batch", "head")}
    described = {**usual, **told, **how}
    results = explain(
        models.additive(weights, **graph), "rise:n_masks=30,grid=4", rows=rows, **described
    )
    target = load_explanation(next(iter(results.glob("*.npz")))).target
    with open_live(browser, results, photo, rows, **described) as live:
        live.drag((0.2, 0.3), (0.6, 0.4))
        assert live.compare("blur", target).any()


def test_efficientnet_lite0(browser: Browser, explain: Explain) -> None:
    try:
        model = onnx.load(find_model("efficientnet-lite0"))
    except ZooError as error:
        pytest.skip(f"needs EfficientNet-Lite0: {error}")
    results = explain(model, "grad-cam", photo=COFFEE)
    with open_live(browser, results, COFFEE) as live:
        assert float(live.page.get_attribute("#live-proof", "data-gap") or "nan") < 1e-5
        live.page.click("#live-erase")
        live.wait()
        assert live.compare("blur", 967).any()
    assert (results.parent / "live.html").stat().st_size < 30e6
