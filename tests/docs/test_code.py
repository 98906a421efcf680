"""The Python of README and the pages runs as it stands there, on real photos."""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain import metrics
from tests.docs.test_pages import FENCE, README, ROOT, WRITTEN, name_page

# What a block is left out for, where it is not installed.
NEEDS = {
    "torch": r"\btorch\.|\bmodule\b",
    "keras": r"\bmodel, |\bmodel\.",
    "timm": r"\btimm\.",
    "pandas": r"to_pandas",
    "ray": r"onnxplain\.Ray\(",
    "shapiq": r"\bshapiq\.",
    "submitit": r"\bsubmitit\.",
}
PARTS = ("pandas",)  # only the line is left out
# Files that a reader is told to have.
FILES = r"lama\.onnx|net\.onnx|model\.onnx"
LABELS = """file,class_name,xmin,ymin,xmax,ymax,width,height
coffee.jpg,espresso,200,20,450,240,600,400
cat.jpg,tiger cat,50,10,400,290,451,300
"""


def list_blocks(path: Path) -> list[str]:
    """Return the Python of a page that can run here."""
    blocks = []
    for kind, text in FENCE.findall(path.read_text()):
        missing = [name for name in NEEDS if find_spec(name) is None]
        for name in set(missing).intersection(PARTS):
            text = "\n".join(line for line in text.splitlines() if not re.search(NEEDS[name], line))
        whole = [NEEDS[name] for name in missing if name not in PARTS]
        if kind == "python" and not re.search("|".join([FILES, *whole]), text):
            blocks.append(text)
    return blocks


def score_colours(images: np.ndarray) -> np.ndarray:
    """Return the shares of red and of the other colours."""
    means = images.mean(axis=(1, 2)) + 1e-3
    red = means[:, 0] / means.sum(axis=1)
    return np.stack([red, 1 - red], axis=1).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages name."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "examples", tmp_path / "photos", ignore=shutil.ignore_patterns("*.png"))
    shutil.copy(ROOT / "examples" / "cat.jpg", tmp_path / "photo.jpg")
    shutil.copy(ROOT / "examples" / "coffee.jpg", tmp_path / "coffee.jpg")
    (tmp_path / "labels.csv").write_text(LABELS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [page for page in (README, *WRITTEN) if list_blocks(page)], ids=name_page
)
def test_python_runs(path: Path, folder: Path):
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {
        "onnxplain": onnxplain,
        "metrics": metrics,
        "classifier": onnxplain.load("efficientnet-lite0"),
        "predict": score_colours,
        "image": rng.random((32, 32, 3), dtype=np.float32),
        "heatmap": rng.random((32, 32), dtype=np.float32),
        "my_model": lambda images: images[:, 0, 0, :1].repeat(1000, axis=1),
        "my_preprocessing": lambda images: images,
    }
    for block in list_blocks(path):
        exec(compile(block, name_page(path), "exec", dont_inherit=True), names)
    for test in [value for name, value in names.items() if name.startswith("test_")]:
        test()  # a page may show a test


def test_blocks_are_found():
    assert sum(len(list_blocks(page)) for page in (README, *WRITTEN)) >= 8
