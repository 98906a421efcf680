"""The methods of a plan with their fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

import onnxplain
from onnxplain.core.data import Attribution
from onnxplain.fills import Black, Blur, DatasetMean, Inpaint
from onnxplain.metrics import RandomHeatmap
from onnxplain.registry import Entry, parse_entry
from onnxplain.study.columns import gather_values
from onnxplain.study.dataset import Item
from onnxplain.study.explainers import make_explainers
from onnxplain.study.given import Given
from onnxplain.study.plan import Plan
from onnxplain.study.rows import read_rows
from tests.helpers.nets import Net
from tests.study.conftest import Painter, fail_to_load, run_steps

PAINTER = Painter()


def test_every_method_runs_with_every_fill():
    plan = Plan(
        methods=(parse_entry("sp:patch=9"), parse_entry("mp2"), parse_entry("random")),
        fills=(parse_entry("black"), parse_entry("blur:sigma=3")),
    )
    explainers = make_explainers(plan, fail_to_load)
    assert [(pair.name, pair.fill.fill) for pair in explainers] == [
        ("sp", Black()),
        ("sp", Blur(sigma=3)),
        ("mp2", Black()),
        ("mp2", Blur(sigma=3)),
        ("random", DatasetMean()),
    ]
    assert explainers[0].method == onnxplain.SP(patch=9)
    assert explainers[1].fill.parameters == {"sigma": 3}


def test_without_fills_each_method_has_the_fill_of_its_paper():
    explainers = make_explainers(
        Plan(methods=(parse_entry("sp"), parse_entry("mp2"))), fail_to_load
    )
    assert [pair.fill.name for pair in explainers] == ["dataset-mean", "blur"]


def test_inpainter_of_generative_methods_is_in_the_parameters():
    plan = Plan(
        methods=(parse_entry("sp-g"), parse_entry("lime"), parse_entry("fido-ca")),
        fills=(parse_entry("inpaint"), parse_entry("black")),
    )
    explainers = make_explainers(plan, Painter)
    assert [pair.name for pair in explainers] == ["sp-g", "lime-g", "lime", "fido-ca"]
    assert explainers[0].fill.parameters == {"inpainter": "painter.onnx", "sha256": "abc"}


def test_description_of_the_inpainter_is_in_the_parameters():
    painter = Painter()
    painter.provenance = {**Painter.provenance, "described": {"hole": 0.0}}
    (explainer,) = make_explainers(Plan(methods=(parse_entry("sp-g"),)), lambda: painter)
    assert explainer.fill.parameters == {**Painter.provenance, "described": {"hole": 0.0}}


def test_values_give_the_same_explainers_as_names():
    named = Plan(
        methods=(parse_entry("sp:patch=9"), Entry("random"), parse_entry("given:folder=maps")),
        fills=(parse_entry("blur:sigma=3"), Entry("inpaint")),
    )
    values = Plan(
        methods=(onnxplain.SP(patch=9), RandomHeatmap(), Given("maps")),
        fills=(Blur(sigma=3), Inpaint(PAINTER)),
    )
    pairs, expected = make_explainers(values), make_explainers(named, lambda: PAINTER)
    # Two fills with the same inpainter are not equal, but their names and parameters are.
    for pair, same in zip(pairs, expected, strict=True):
        assert pair[:2] == same[:2]
        assert pair.fill[1:] == same.fill[1:]


@dataclass(frozen=True)
class Ramp:
    """A method from elsewhere, whose fields have no declared meaning and range."""

    sign: float = 1

    name = "ramp"
    adaptive = False
    usual_fill = "black"

    def evaluations(self, size):
        return 0

    def flow(self, case, rng):
        yield from ()
        heatmap = np.linspace(0, self.sign, case.image[..., 0].size, dtype=np.float32)
        return Attribution(heatmap.reshape(case.size))


@dataclass(frozen=True)
class Flat:
    """Such a fill."""

    level: float = 0

    name = "flat"

    def prepare(self, image, rng):
        return np.full_like(image, self.level)


def test_fields_of_methods_and_fills_from_elsewhere_keep_their_rows_apart(
    net: Net, items: list[Item], tmp_path: Path
):
    """Else the second of two would take the rows of the first, also in a later run."""
    plan = Plan(
        methods=(Ramp(), Ramp(sign=-1), Entry("sp", {"patch": 4, "stride": 4})),
        fills=(Flat(), Flat(0.5)),
        metrics=(Entry("deletion", {"step": 32, "fill": "black"}),),
    )
    run_steps(net, items[:2], tmp_path / "rows.jsonl", plan)
    columns = gather_values(read_rows(tmp_path / "rows.jsonl"), share=0, seed=0)
    assert [column.method for column in columns] == [
        *("ramp (sign=-1, fill_level=0)", "ramp (sign=-1, fill_level=0.5)"),
        *("ramp (sign=1, fill_level=0)", "ramp (sign=1, fill_level=0.5)"),
        *("sp (fill_level=0)", "sp (fill_level=0.5)"),
    ]
    down, _, up, *_ = (list(column.values.values()) for column in columns)
    assert all(a > b for a, b in zip(down, up, strict=True))  # pixels at the end count more


def test_methods_that_rows_cannot_tell_apart_are_an_error():
    @dataclass(frozen=True)
    class Hidden(Ramp):
        depth: int = field(default=1, repr=False)

    with pytest.raises(ValueError, match="ramp is listed twice with the same parameters"):
        make_explainers(Plan(methods=(Hidden(), Hidden(depth=2))))


@pytest.mark.parametrize("wanted", [onnxplain.SP, 3, Black()])
def test_what_is_not_a_method_is_a_type_error(wanted: object):
    with pytest.raises(TypeError, match="a method is a value or a name"):
        make_explainers(Plan(methods=(wanted,)))  # type: ignore[arg-type]


def test_same_method_as_name_and_value_is_an_error():
    with pytest.raises(ValueError, match="sp is listed twice"):
        make_explainers(Plan(methods=(Entry("sp"), onnxplain.SP())))


def test_methods_that_remove_nothing_run_once_whatever_the_fills():
    plan = Plan(
        methods=(parse_entry("grad-cam:layer=stage:2"), onnxplain.Gradient(), Entry("sp")),
        fills=(parse_entry("black"), parse_entry("blur")),
    )
    pairs = [(pair.name, pair.fill.name) for pair in make_explainers(plan)]
    assert pairs == [("grad-cam", "none"), ("gradient", "none"), ("sp", "black"), ("sp", "blur")]
