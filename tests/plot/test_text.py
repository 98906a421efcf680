"""Text fits into its lines, and numbers are those that people read."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.plot import text as texts
from onnxplain.plot.text import (
    break_lines,
    choose_ticks,
    draw_text,
    fit_font,
    format_value,
    load_font,
)


@pytest.mark.parametrize("word", ["coonhound, ", "W" * 500, "日本語 "])
def test_long_text_stays_inside_and_takes_three_lines_at_most(word: str) -> None:
    drawn = draw_text(word * 60, 600, 20)
    assert drawn.shape in [(27, 600, 3), (3 * 27, 600, 3)]  # one word takes one line
    assert (drawn < 128).any()


def test_no_text_is_a_picture_without_rows() -> None:
    assert draw_text("", 600, 20).shape == (0, 600, 3)


def test_text_is_broken_between_words_and_complete_if_it_fits() -> None:
    font = load_font(20)
    lines = break_lines("black and tan coonhound 0.93 · rise", font, 150)
    assert " ".join(lines) == "black and tan coonhound 0.93 · rise"
    assert all(font.getlength(line) <= 150 for line in lines)
    assert len(lines) > 1


def test_long_words_are_broken_behind_hyphens_if_there_may_be_several_lines() -> None:
    font = load_font(20)
    lines = break_lines("grad-cam-elementwise", font, 120)
    assert "".join(lines) == "grad-cam-elementwise"
    assert len(lines) == 2
    assert all(font.getlength(line) <= 120 for line in lines)
    assert break_lines("grad-cam", font, 100) == ["grad-cam"]
    (line,) = break_lines("grad-cam-elementwise", font, 100, most=1)
    assert line.endswith("…")
    assert " " not in line


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-0.31, 0.42, [-0.2, 0.0, 0.2, 0.4]),
        (0.0, 1.0, [0.0, 0.5, 1.0]),
        (3e-5, 8e-5, [4e-5, 6e-5, 8e-5]),
        (0.055, 0.087, [0.06, 0.07, 0.08]),
        (2.0, 2.0, [2.0]),
    ],
)
def test_ticks_are_round_numbers_inside_the_range(
    low: float, high: float, ticks: list[float]
) -> None:
    np.testing.assert_allclose(choose_ticks(low, high), ticks, rtol=1e-9)


@pytest.mark.parametrize("low", [-1e30, -3e-7, 0.0, 0.1, 1e6])
@pytest.mark.parametrize("span", [1e-7, 0.3, 1.0, 7e9])
def test_there_are_two_to_five_ticks_in_any_range(low: float, span: float) -> None:
    if low + span == low:
        pytest.skip("the range is empty in floating point")
    assert 2 <= len(choose_ticks(low, low + span)) <= 5


@pytest.mark.parametrize(
    ("value", "scale", "text"),
    [
        (0.4, 0.31, "0.4"),
        (4.5e-5, 1, "0"),
        (-0.0, 1, "0"),
        (0.12345, 0.2, "0.123"),
        (3e-7, 3e-7, "3e-07"),
    ],
)
def test_values_are_formatted_to_a_hundredth_of_the_scale(
    value: float, scale: float, text: str
) -> None:
    assert format_value(value, scale) == text


@pytest.fixture
def no_system_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "FALLBACKS", ())


def test_plain_names_have_the_font_of_pillow() -> None:
    spelled, font = fit_font("espresso, strong coffee · 0.95 …", 14)
    assert spelled == "espresso, strong coffee · 0.95 …"
    assert font.getname() == load_font(14).getname()


def test_without_other_fonts_letters_lose_accents_and_the_rest_is_marked(
    no_system_fonts: None,
) -> None:
    assert fit_font("Kätzchen žába café", 14)[0] == "Katzchen zaba cafe"
    assert fit_font("猫 cat\0\u202e", 14)[0] == "? cat??"


def test_letters_that_a_font_of_the_system_has_are_shown_by_it() -> None:
    found = [name for name in texts.FALLBACKS[:2] if texts._open(name, 14)]
    if not found:
        pytest.skip("no font of the system is known here")
    spelled, font = fit_font("Kätzchen", 14)
    assert spelled == "Kätzchen"
    assert font.getname() != load_font(14).getname()
    assert bytes(font.getmask("ä")) != bytes(font.getmask(texts.MISSING))


@pytest.mark.parametrize("width", [40, 90, 140])
def test_of_a_line_that_does_not_fit_the_middle_can_be_left_out(width: int) -> None:
    font, name = load_font(14), "0.312 · ILSVRC2012_val_00000001.jpg"
    (line,) = break_lines(name, font, width, most=1, keep_end=True)
    first, last = line.split("…")
    assert name.startswith(first)
    assert name.endswith(last)
    assert last or width == 40
    assert font.getlength(line) <= width
    assert break_lines(name, font, 400, most=1, keep_end=True) == [name]
