"""Where the real models and photos are that several test files use, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.browser import open_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Collected for doctests like every file here, but its imports are only needed by some tests.
collect_ignore = (
    [] if find_spec("torch") else ["helpers/torch_nets.py", "reference/torch_methods.py"]
)

# Folders of tests that start the command line, other processes or whole studies: most of the time.
SLOW_FOLDERS = {"cli", "cluster", "gpu_fake", "model_zoo", "report", "study", "zoo"}

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole folders as slow, and give them time on a busy machine."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(900))


def shared(path: str) -> Path:
    """Return the path of a real model or photo outside the project; skip the test without it."""
    file = SHARED / path
    if not file.exists():
        pytest.skip(f"needs {path} from the shared models and photos, which are not here")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, open while the tests of one file run; they skip where it is not installed."""
    with open_browser() as opened:
        yield opened
