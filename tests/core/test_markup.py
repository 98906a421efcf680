"""HTML of foreign texts shows them and does nothing."""

from __future__ import annotations

from html.parser import HTMLParser

from onnxplain.core.markup import escape_html, format_html_table

HOSTILE = "<script>alert(1)</script>\"'&\udcff"


class Reader(HTMLParser):
    """Collects the tags and the texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_texts_come_back_as_they_were_and_make_no_tags() -> None:
    shown = Reader(format_html_table([HOSTILE], [[HOSTILE]], title=HOSTILE, note=HOSTILE))
    assert set(shown.tags) <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert shown.texts == [HOSTILE.replace("\udcff", "?")] * 4


def test_numbers_have_four_digits_and_none_is_empty() -> None:
    shown = Reader(format_html_table(["a", "b", "c", "d"], [[0.123456, 7, None, True]]))
    assert shown.texts == ["a", "b", "c", "d", "0.1235", "7", "True"]
    assert shown.tags.count("td") == 4


def test_names_of_columns_may_be_left_out() -> None:
    assert "thead" not in Reader(format_html_table(["", ""], [["a", 1]])).tags


def test_escaped_text_is_valid_utf8() -> None:
    assert escape_html("a\udcff").encode() == b"a?"
