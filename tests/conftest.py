"""What several test files share: where the real models and photos are."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

# Collected for doctests like every file here, and imports what only some tests need.
collect_ignore = [] if find_spec("torch") else ["reference/torch_methods.py"]

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(path: str) -> Path:
    """A real model or photo that is not part of the project; skips the test without it."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {path} from the shared models and photos, which are not here")
    return found
