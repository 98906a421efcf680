"""Entries of the cache that somebody damaged: they are ignored, and the answer is the same."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import onnxplain
from onnxplain.cache import get_cache_dir
from tests.fuzz.mutations import encode, mutate_bytes, mutate_text, mutate_value, pick, to_json
from tests.helpers import models

Rng = np.random.Generator

IMAGES = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)


@cache
def make_entries() -> dict[str, bytes]:
    """Return what a first run leaves in the cache, and the files that it needs."""
    _load_all(Path.cwd())
    kept = get_cache_dir()
    return {
        path.relative_to(kept).as_posix(): path.read_bytes()
        for path in kept.rglob("*")
        if path.is_file()
    }


@cache
def get_answer() -> tuple[Any, ...]:
    return _load_all(Path.cwd())


def _load_all(folder: Path) -> tuple[Any, ...]:
    """Return what a classifier and an inpainter answer that are loaded from files."""
    path = folder / "model.onnx"
    models.save(models.convnet((8, 8)), path)
    path.with_suffix(".toml").write_text("range = [0, 1]\nmean = [0]\nstd = [1]\n")
    painter = folder / "painter.onnx"
    models.save(models.inpainter("mean", (8, 8)), painter)
    # Measuring takes seconds, and is not what is tried; its entry is read all the same.
    with mock.patch("onnxplain.runtime.tuning.measure_batch_size", return_value=(2, True)):
        classifier = onnxplain.load(path, device="cpu")
    inpainter = onnxplain.load_inpainter(painter, device="cpu")
    hole = np.zeros((2, 8, 8), np.float32)
    hole[:, 2:5, 3:6] = 1
    return classifier.scores(IMAGES), inpainter.inpaint(IMAGES, hole)


def try_case(rng: Rng, folder: Path) -> str:
    entries, wanted = make_entries(), get_answer()
    place = get_cache_dir()
    for name, content in entries.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for name in entries:
        if rng.random() < 0.6:
            _damage(rng, place / name)
    got = _load_all(folder)
    for new, old in zip(got, wanted, strict=True):
        np.testing.assert_allclose(new, old, rtol=1e-5, atol=1e-6)
    return "right"


def _damage(rng: Rng, path: Path) -> None:
    content = path.read_bytes()
    if rng.random() < 0.6:
        facts = json.loads(content)
        key = facts.pop("key")
        changed = facts
        for _ in range(int(rng.integers(1, 3))):
            changed = mutate_value(rng, changed)
        if isinstance(changed, dict):
            changed["key"] = key
        path.write_bytes(to_json(changed).encode("utf-8", "replace"))
        return
    match int(rng.integers(4)):
        case 0:
            path.write_bytes(mutate_bytes(rng, content))
        case 1:
            path.write_bytes(encode(rng, mutate_text(rng, content.decode())))
        case 2:
            path.unlink()
            path.mkdir()
        case _:
            path.unlink()
            if hasattr(os, "mkfifo") and pick(rng, (True, False)):
                os.mkfifo(path)
