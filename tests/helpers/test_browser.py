"""What a page does in the browser is seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.browser import open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


def write_page(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(f"<!doctype html><link rel=icon href=data:,><h1>Title</h1>{body}", "utf-8")
    return path


def test_silent_page_is_read(browser: Browser, tmp_path: Path):
    page = write_page(tmp_path, "<img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
    with open_page(browser, page, dark=True) as visit:
        assert visit.page.inner_text("h1") == "Title"
        assert visit.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    visit.assert_silent()


@pytest.mark.parametrize(
    ("body", "error", "request_"),
    [
        ("<script>nothing()</script>", "uncaught: nothing is not defined", ""),
        ("<script>console.error('bad')</script>", "error: bad", ""),
        ("<script src='http://localhost:9/x.js'></script>", "error: ", "http://localhost:9/x.js"),
        (
            "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">"
            "<img src='data:,'>",
            "Content Security Policy",
            "",
        ),
    ],
)
def test_noise_is_heard(browser: Browser, tmp_path: Path, body: str, error: str, request_: str):
    with open_page(browser, write_page(tmp_path, body)) as visit:
        pass
    assert any(error in text for text in visit.errors), visit.errors
    assert visit.requests == ([request_] if request_ else [])
    with pytest.raises(AssertionError):
        visit.assert_silent()
