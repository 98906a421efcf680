"""Pages in a real browser: Debian's Chromium, driven by Playwright.

A test takes the fixture `browser` (in ``tests/conftest.py``) and opens pages of its own::

    @pytest.mark.browser
    def test_page_is_silent(browser, tmp_path):
        with open_page(browser, tmp_path / "page.html", dark=True) as visit:
            assert visit.page.inner_text("h1") == "Title"
        visit.assert_silent()
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE = 120_000  # milliseconds; machines that run tests are busy


@dataclass
class Visit:
    """A page that is open, and what happened in it since it was.

    Parameters
    ----------
    page : playwright.sync_api.Page
    errors : list of str
        Errors and warnings on the console, exceptions that nobody caught, and what the page's
        policy of contents kept from being loaded.
    requests : list of str
        What it tried to load, besides itself and its own data.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def assert_silent(self) -> None:
        """Assert that nothing went wrong in the page and that it loaded nothing."""
        assert not self.errors, "\n".join(self.errors)
        assert not self.requests, "\n".join(self.requests)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Open Chromium without a window; skip the test where it or Playwright is not installed."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright, which drives the browser, is not installed"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs the program chromium, which is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def open_page(
    browser: Browser,
    path: Path,
    *,
    width: int = 1280,
    height: int = 900,
    dark: bool = False,
    **options: Any,
) -> Iterator[Visit]:
    """Open a file in a fresh profile, wait until it has loaded, and close it afterwards.

    Parameters
    ----------
    browser : playwright.sync_api.Browser
        From `open_browser`.
    path : path
        An HTML file, which is opened from disk.
    width, height : int
        Of the window, in pixels.
    dark : bool
        Whether the reader prefers dark colours.
    **options
        Further options of ``Browser.new_context``.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        **options,
    )
    context.set_default_timeout(PATIENCE)
    visit = Visit(context.new_page())
    url = path.resolve().as_uri()

    def keep_message(message: Any) -> None:
        if message.type in ("error", "warning"):
            visit.errors.append(f"{message.type}: {message.text}")

    def keep_request(request: Any) -> None:
        # What a page holds itself never leaves it.
        if request.url.split("#")[0] != url and not request.url.startswith(("data:", "blob:")):
            visit.requests.append(request.url)

    visit.page.on("console", keep_message)
    visit.page.on("pageerror", lambda error: visit.errors.append(f"uncaught: {error}"))
    visit.page.on("request", keep_request)
    try:
        visit.page.goto(url)
        yield visit
    finally:
        context.close()
