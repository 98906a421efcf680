"""The kinds of inputs by name."""

from __future__ import annotations

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from tests.fuzz import caches, commands, dags, gradients, images, models, texts

Try = Callable[[np.random.Generator, Path], str]

KINDS: dict[str, Try] = {
    "images": images.try_case,
    "models": models.try_case,
    "dags": dags.try_case,
    "gradients": gradients.try_case,
    "texts": texts.try_case,
    "caches": caches.try_case,
    "commands": commands.try_case,
}


def run_case(kind: str, seed: int) -> str:
    """Run the case of a seed in an empty folder with an empty cache; a warning is a fault, too."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(place, "work")
        folder.mkdir()
        cache = mock.patch.dict(os.environ, {"ONNXPLAIN_CACHE": str(Path(place, "cache"))})
        with cache, contextlib.chdir(folder):
            return KINDS[kind](np.random.default_rng([seed, len(kind)]), folder)
