"""The names of methods and fills."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from onnxplain import fills, methods, registry
from onnxplain.core.params import list_parameters


@dataclass(frozen=True)
class Painter:
    """An inpainter that paints white."""

    batch_size: int = 1
    provenance: Mapping[str, str] = field(default_factory=dict)

    def inpaint(self, images, masks):
        return np.where(masks[..., None] > 0, 1, images)


@pytest.fixture
def fresh_plugins() -> Iterator[None]:
    registry.get_methods.cache_clear()
    registry.get_fills.cache_clear()
    yield
    registry.get_methods.cache_clear()
    registry.get_fills.cache_clear()


def test_methods_and_fills_of_the_papers_are_there():
    assert {"lime", "rise", "sp"} <= set(registry.METHODS)
    assert {"dataset-mean", "black", "blur", "telea", "biharmonic", "inpaint"} <= set(
        registry.FILLS
    )
    assert registry.METHODS["rise"] is methods.RISE


def test_every_parameter_of_a_registered_class_has_help():
    for cls in (*registry.METHODS.values(), *registry.FILLS.values()):
        for one in list_parameters(cls):
            assert one.param.help, (cls, one.name)


def test_generative_names_are_method_and_inpainter():
    painted = fills.Inpaint(Painter())
    choice = registry.choose_method_and_fill("lime-g", painted)
    assert choice == (methods.LIME(), painted, "lime-g", "inpaint")


def test_a_method_with_an_inpainter_is_called_generative_however_it_was_spelled():
    assert (
        registry.choose_method_and_fill(methods.SP(), fills.Inpaint(Painter())).method_name
        == "sp-g"
    )
    assert registry.choose_method_and_fill("sp", fills.Inpaint(Painter())).method_name == "sp-g"


def test_generative_method_without_inpainter_says_how_to_give_one():
    with pytest.raises(ValueError, match=r"load_inpainter\(path\).*--inpainter"):
        registry.choose_method_and_fill("rise-g")


def test_generative_method_with_another_fill_is_refused():
    with pytest.raises(ValueError, match="rise-g is rise with an inpainter as the fill, got Blur"):
        registry.choose_method_and_fill("rise-g", "blur")


def test_names_and_values_choose_the_same():
    assert registry.choose_method_and_fill("sp", "blur") == registry.choose_method_and_fill(
        methods.SP(), fills.Blur()
    )


def test_default_fill_is_that_of_the_paper():
    assert registry.choose_method_and_fill("sp").fill == fills.DatasetMean()
    for name, cls in registry.METHODS.items():
        assert registry.choose_method_and_fill(name).fill_name == cls.usual_fill


@pytest.mark.parametrize(
    ("method", "fill", "text"),
    [
        ("rize", None, "method 'rize' is unknown; did you mean 'rise'"),
        ("rise-h", None, "did you mean 'rise-g'"),
        ("rise", "blurr", "fill 'blurr' is unknown; did you mean 'blur'"),
        ("gradcam", None, "choose from .*lime, "),
    ],
)
def test_unknown_names_get_a_suggestion(method: str, fill: str | None, text: str):
    with pytest.raises(ValueError, match=text):
        registry.choose_method_and_fill(method, fill)


def test_wrong_parameters_get_a_suggestion():
    with pytest.raises(ValueError, match="'n_mask' is unknown; did you mean 'n_masks'"):
        registry.make_method("rise", {"n_mask": 4})


@pytest.mark.usefixtures("fresh_plugins")
def test_other_packages_add_methods_and_cannot_replace_ours(monkeypatch: pytest.MonkeyPatch):
    offered = [
        importlib.metadata.EntryPoint("mine", "onnxplain.methods:SP", "onnxplain.methods"),
        importlib.metadata.EntryPoint("rise", "onnxplain.methods:SP", "onnxplain.methods"),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered)
    assert registry.choose_method_and_fill("mine").method == methods.SP()
    assert registry.get_methods()["rise"] is methods.RISE


@pytest.mark.usefixtures("fresh_plugins")
def test_broken_package_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    broken = importlib.metadata.EntryPoint("odd", "nowhere:Odd", "onnxplain.fills")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    assert set(registry.get_fills()) == set(registry.FILLS)
    assert "'odd' of nowhere:Odd cannot be loaded" in caplog.text


def test_names_may_carry_parameters():
    assert registry.choose_method_and_fill("rise:n_masks=10", "blur:sigma=5")[:2] == (
        methods.RISE(n_masks=10),
        fills.Blur(sigma=5),
    )
    with pytest.raises(ValueError, match="parameter 'n_mask' is unknown; did you mean 'n_masks'"):
        registry.choose_method_and_fill("rise:n_mask=10")


def test_the_inpainter_is_no_parameter_of_the_fill():
    with pytest.raises(ValueError, match="'inpaint' takes no parameters, got sigma, inpainter"):
        registry.make_fill("inpaint", {"sigma": 3, "inpainter": "nowhere.onnx"}, object())
    with pytest.raises(TypeError, match=r"as load_inpainter\(path\), got 'lama.onnx'"):
        fills.Inpaint("lama.onnx")
