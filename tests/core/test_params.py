"""Hyperparameters are declared once, on the dataclass."""

import inspect
import json
import pydoc
import re
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest

from onnxplain.core.params import (
    Param,
    Parametrised,
    build,
    describe_others,
    get_values,
    list_parameters,
    name_owner,
)
from onnxplain.fills import Colour
from onnxplain.methods import RISE


@dataclass(frozen=True)
class Sample(Parametrised):
    name: ClassVar[str] = "sample"

    n: Annotated[int, Param("a count", ge=1)] = 3
    share: Annotated[float, Param("a share", gt=0, le=1)] = 0.5
    how: Annotated[Literal["fast", "slow"], Param("a choice")] = "fast"
    colour: Annotated[tuple[float, float, float], Param("a colour", ge=0, le=1)] = (0.0, 0.5, 1.0)
    limit: Annotated[int | None, Param("a limit", ge=1)] = None
    check: Annotated[bool, Param("whether to check")] = True


def test_each_parameter_has_type_default_choices_and_help():
    by_name = {parameter.name: parameter for parameter in list_parameters(Sample)}
    assert list(by_name) == ["n", "share", "how", "colour", "limit", "check"]
    assert (by_name["n"].type, by_name["n"].default, by_name["n"].param.help) == (int, 3, "a count")
    assert by_name["how"].choices == ("fast", "slow")
    assert (by_name["colour"].type, by_name["colour"].length) == (float, 3)
    assert by_name["limit"].optional
    assert by_name["check"].type is bool


def test_signature_for_help_has_plain_types():
    expected = (
        "n: int = 3, share: float = 0.5, how: Literal['fast', 'slow'] = 'fast', "
        "colour: tuple[float, float, float] = (0.0, 0.5, 1.0), limit: int | None = None, "
        "check: bool = True)"
    )
    assert str(inspect.signature(Sample)) == f"({expected}"
    assert f"Sample({expected}" in pydoc.render_doc(Sample, renderer=pydoc.plaintext)
    assert "Param(" not in pydoc.render_doc(RISE, renderer=pydoc.plaintext).split("Data")[0]
    assert get_values(Sample(n=4))["n"] == 4


def test_fields_that_are_not_declared_are_described_as_json_can_hold_them():
    @dataclass(frozen=True)
    class Odd(Sample):
        weights: object = None
        layers: tuple[str, ...] = ("a", "b")
        secret: int = field(default=1, repr=False)

    assert describe_others(Sample()) == describe_others(RISE()) == {}
    assert describe_others(Odd(weights=np.float32(0.5)), "layers") == {"weights": 0.5}
    first, same, other = (describe_others(Odd(weights=np.arange(9) + i // 2)) for i in range(3))
    assert first == same != other
    for value in (first, describe_others(Odd(weights={"f": np.sum, "x": [np.nan, Sample]}))):
        assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert " at 0x" not in str(describe_others(Odd(weights=lambda: 3)))

    class Plain:
        def __init__(self) -> None:
            self.sigma, self._cache = 3, 4

    assert describe_others(Plain()) == {"sigma": 3}


def test_values_are_those_that_the_owner_was_built_with():
    assert get_values(Sample(n=5)) == {
        "n": 5,
        "share": 0.5,
        "how": "fast",
        "colour": (0.0, 0.5, 1.0),
        "limit": None,
        "check": True,
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0}, "Sample: n must be >= 1, got 0"),
        ({"share": 0.0}, "Sample: share must be > 0 and <= 1, got 0.0"),
        ({"share": float("nan")}, "Sample: share must be > 0 and <= 1, got nan"),
        ({"how": "fas"}, "Sample: how 'fas' is unknown; did you mean 'fast'?"),
        ({"colour": (0.0, 0.5, 2.0)}, "Sample: colour must be >= 0 and <= 1, got 2.0"),
        ({"limit": 0}, "Sample: limit must be >= 1, got 0"),
    ],
)
def test_value_outside_its_range_is_refused_with_range_and_value(given, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Sample(**given)


@pytest.mark.parametrize("given", [{"n": 1.5}, {"n": True}, {"share": "1"}, {"colour": (1.0, 0.0)}])
def test_value_of_the_wrong_type_is_refused(given):
    with pytest.raises(TypeError, match=f"Sample: {next(iter(given))} takes"):
        Sample(**given)


def test_wrong_parameter_name_gets_a_suggestion():
    message = r"^sample: parameter 'shar' is unknown; did you mean 'share'\?"
    with pytest.raises(ValueError, match=message):
        build(Sample, {"shar": 0.2})
    assert build(Sample, {"share": 0.2}) == Sample(share=0.2)


@dataclass(frozen=True)
class Holder(Sample):
    """It makes another one, and checks more than ranges."""

    name: ClassVar[str] = "holder"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n == 5:
            raise ValueError(f"{name_owner(self)}: n is 5")
        Sample(n=self.n - 1)


@pytest.mark.parametrize(
    ("n", "in_python", "by_name"),
    [
        (0, "Holder: n must be >= 1, got 0", "holder: n must be >= 1, got 0"),
        (5, "Holder: n is 5", "holder: n is 5"),
        (1, "Sample: n must be >= 1, got 0", "Sample: n must be >= 1, got 0"),  # the other one
    ],
)
def test_errors_call_a_value_as_it_was_asked_for(n, in_python, by_name):
    for make, message in (
        (Holder, in_python),
        (lambda n: build(Holder, {"n": n}), by_name),
        (Holder, in_python),  # and what was built by name before does not matter
    ):
        with pytest.raises(ValueError, match=f"^{message}$"):
            make(n=n)


def test_numpy_numbers_and_lists_become_pythons_own():
    method = RISE(n_masks=np.int64(10), p_keep=np.float32(0.25))
    assert (type(method.n_masks), type(method.p_keep)) == (int, float)
    assert method == RISE(n_masks=10, p_keep=0.25)
    assert Colour(rgb=[1, 0, np.float64(0.5)]) == Colour(rgb=(1, 0, 0.5))
    with pytest.raises(TypeError, match=r"n_masks takes a whole number, got 10\.5"):
        RISE(n_masks=np.float64(10.5))
