"""Methods and fills are found by name."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from onnxplain import fills, methods, registry
from onnxplain.core.params import build, list_parameters
from onnxplain.fills.nothing import Nothing
from onnxplain.metrics.naming import NAMED_METRICS


@dataclass(frozen=True)
class WhiteInpainter:
    """An inpainter that fills with white."""

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


def test_methods_and_fills_of_the_papers_are_registered():
    assert {"lime", "rise", "sp"} <= set(registry.METHODS)
    assert {"dataset-mean", "black", "blur", "telea", "biharmonic", "inpaint"} <= set(
        registry.FILLS
    )
    assert registry.METHODS["rise"] is methods.RISE


def test_every_parameter_of_a_registered_class_has_help():
    for cls in (*registry.METHODS.values(), *registry.FILLS.values()):
        for parameter in list_parameters(cls):
            assert parameter.param.help, (cls, parameter.name)


NAMED = {**registry.METHODS, **registry.FILLS, **NAMED_METRICS}
BOUNDED = [
    (name, parameter.name)
    for name, cls in NAMED.items()
    for parameter in list_parameters(cls)
    if parameter.type in (int, float) and parameter.length is None
]


@pytest.mark.parametrize(("name", "parameter"), BOUNDED)
def test_errors_name_what_was_typed_and_in_python_the_class(name, parameter):
    cls, wrong = NAMED[name], {parameter: float("nan")}
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(name)}: {parameter} "):
        build(cls, wrong)
    with pytest.raises((ValueError, TypeError), match=f"^{cls.__name__}: {parameter} "):
        cls(**wrong)


def test_generative_name_is_a_method_with_an_inpainter():
    fill = fills.Inpaint(WhiteInpainter())
    choice = registry.choose_method_and_fill("lime-g", fill)
    assert choice == (methods.LIME(), fill, "lime-g", "inpaint")


def test_method_with_an_inpainter_gets_its_generative_name():
    fill = fills.Inpaint(WhiteInpainter())
    for method in (methods.SP(), "sp", "sp-g"):
        assert registry.choose_method_and_fill(method, fill).method_name == "sp-g"


def test_generative_method_without_inpainter_says_how_to_give_one():
    with pytest.raises(ValueError, match=r"load_inpainter\(path\).*--inpainter"):
        registry.choose_method_and_fill("rise-g")


def test_generative_method_with_another_fill_is_refused():
    with pytest.raises(
        ValueError, match="rise-g is rise with an inpainter as its fill, got the fill Blur"
    ):
        registry.choose_method_and_fill("rise-g", "blur")


def test_names_and_values_choose_the_same_method_and_fill():
    assert registry.choose_method_and_fill("sp", "blur") == registry.choose_method_and_fill(
        methods.SP(), fills.Blur()
    )


def test_default_fill_is_the_one_of_the_methods_paper():
    assert registry.choose_method_and_fill("sp").fill == fills.DatasetMean()
    for name, cls in registry.METHODS.items():
        assert registry.choose_method_and_fill(name).fill_name == cls.usual_fill


@pytest.mark.parametrize(
    ("method", "fill", "text"),
    [
        ("rize", None, "method 'rize' is unknown; did you mean 'rise'"),
        ("rise-h", None, "did you mean 'rise-g'"),
        ("rise", "blurr", "fill 'blurr' is unknown; did you mean 'blur'"),
        ("gradcam", None, "did you mean 'grad-cam'"),
    ],
)
def test_unknown_names_get_a_suggestion(method: str, fill: str | None, text: str):
    with pytest.raises(ValueError, match=text):
        registry.choose_method_and_fill(method, fill)


def test_wrong_parameter_gets_a_suggestion():
    with pytest.raises(ValueError, match="'n_mask' is unknown; did you mean 'n_masks'"):
        registry.make_method("rise", {"n_mask": 4})


def test_methods_that_remove_nothing_take_no_fill():
    choice = registry.choose_method_and_fill("grad-cam")
    assert (choice.fill, choice.fill_name) == (Nothing(), "none")
    assert "grad-cam-g" not in registry.GENERATIVE
    with pytest.raises(ValueError, match="grad-cam removes nothing, so it takes no fill, got blur"):
        registry.choose_method_and_fill("grad-cam", "blur")
    with pytest.raises(ValueError, match="rise removes pixels, so it needs a fill, got none"):
        registry.choose_method_and_fill("rise", "none")


@pytest.mark.usefixtures("fresh_plugins")
def test_other_packages_can_add_methods_but_not_replace_ours(monkeypatch: pytest.MonkeyPatch):
    offered = [
        importlib.metadata.EntryPoint("mine", "onnxplain.methods:SP", "onnxplain.methods"),
        importlib.metadata.EntryPoint("rise", "onnxplain.methods:SP", "onnxplain.methods"),
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered)
    assert registry.choose_method_and_fill("mine").method == methods.SP()
    assert registry.get_methods()["rise"] is methods.RISE


@pytest.mark.usefixtures("fresh_plugins")
def test_plugin_that_cannot_be_loaded_is_left_out_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    broken = importlib.metadata.EntryPoint("odd", "nowhere:Odd", "onnxplain.fills")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [broken])
    assert set(registry.get_fills()) == set(registry.FILLS)
    assert "'odd' of nowhere:Odd cannot be loaded" in caplog.text


def test_names_may_have_parameters():
    assert registry.choose_method_and_fill("rise:n_masks=10", "blur:sigma=5")[:2] == (
        methods.RISE(n_masks=10),
        fills.Blur(sigma=5),
    )
    with pytest.raises(ValueError, match="parameter 'n_mask' is unknown; did you mean 'n_masks'"):
        registry.choose_method_and_fill("rise:n_mask=10")


def test_inpainter_is_not_a_parameter_of_the_fill():
    with pytest.raises(ValueError, match="'inpaint' takes no parameters, got sigma, inpainter"):
        registry.make_fill("inpaint", {"sigma": 3, "inpainter": "nowhere.onnx"}, object())
    with pytest.raises(TypeError, match=r"as load_inpainter\(path\), got 'lama.onnx'"):
        fills.Inpaint("lama.onnx")


@pytest.mark.parametrize(
    ("given", "name", "parameters"),
    [
        ("rise", "rise", {}),
        ("mp:estimator=spsa, n_steps=3", "mp", {"estimator": "spsa", "n_steps": 3}),
        ({"name": "colour", "rgb": [1, 0, 0.5]}, "colour", {"rgb": (1, 0, 0.5)}),
        (r"C:\models\net.onnx", r"C:\models\net.onnx", {}),
        ("models/net.onnx:preset=lama", "models/net.onnx", {"preset": "lama"}),
    ],
)
def test_entry_is_parsed_from_text_or_a_table(given, name, parameters):
    assert registry.parse_entry(given) == registry.Entry(name, parameters)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("rise:n_masks", "written key=value and separated by commas; got 'n_masks'"),
        ("rise:n_masks=", "got 'n_masks='"),
        ({"n_masks": 3}, "a table with a name"),
        (3, "takes a name, or a table with a name; got 3"),
    ],
)
def test_wrong_entry_is_refused(given, text):
    with pytest.raises(ValueError, match=text):
        registry.parse_entry(given)


def test_plan_file_with_an_unknown_key_gets_a_suggestion(tmp_path: Path):
    plan = tmp_path / "plan.toml"
    plan.write_text("metods = ['sp']")
    with pytest.raises(
        ValueError, match=r"plan\.toml: 'metods' is unknown; did you mean 'methods'"
    ):
        registry.read_plan_toml(plan, ["methods", "fills"])
    plan.write_text("methods = ['sp'")
    with pytest.raises(ValueError, match=r"plan\.toml: not a readable plan"):
        registry.read_plan_toml(plan, ["methods"])
    plan.write_text("methods = ['sp']")
    assert registry.read_plan_toml(plan, ["methods"]) == {"methods": ["sp"]}
