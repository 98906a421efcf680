"""Mistakes are told with what was probably meant."""

import re

import pytest

from onnxplain.core.mistakes import check_is_value, describe_unknown
from onnxplain.methods import RISE


def test_name_that_resembles_another_gets_a_suggestion():
    assert describe_unknown("Rize", ["sp", "rise"]) == "'Rize' is unknown; did you mean 'rise'?"


def test_name_that_resembles_no_other_gets_the_whole_list():
    assert describe_unknown("zzz", ["sp", "lime"]) == "'zzz' is unknown; choose from sp, lime"


def test_of_many_names_the_first_are_listed():
    text = describe_unknown("zzz", (f"n{number}" for number in range(30)))
    assert text.endswith("n18, n19, ... (30 in all)")


@pytest.mark.parametrize(
    ("value", "name", "message"),
    [
        (
            RISE,
            "rise",
            "a method is a value or a name, such as RISE() or 'rise', got the class RISE",
        ),
        (3, "rise", "a method is a value or a name, such as SP() or 'rise', got int"),
        (3, None, "a method is a value, such as SP(), got int"),
    ],
)
def test_class_in_place_of_a_value_is_refused_with_an_example_of_a_value(value, name, message):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        check_is_value(value, "flow", "SP()", noun="method", name=name)


def test_value_with_the_member_is_accepted():
    check_is_value(RISE(), "flow", "SP()", noun="method")
