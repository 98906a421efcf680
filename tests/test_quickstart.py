"""The quick-start notebook runs from top to bottom, and shows what its text says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOK = EXAMPLES / "quickstart.ipynb"


def list_code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = list_code_cells(json.loads(NOTEBOOK.read_text()))
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 20 s on two free cores
@pytest.mark.filterwarnings("default")  # of the packages that run notebooks
def test_the_notebook_runs(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks")
    pytest.importorskip("ipykernel", reason="ipykernel runs the cells of notebooks")
    import nbformat

    for name in ("coffee.jpg", "cat.jpg"):
        shutil.copy(EXAMPLES / name, tmp_path)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    shown = [find_result(cell) for cell in list_code_cells(notebook)]
    card, classes, figure, *sheets_and_curves, study = shown
    assert "OnnxClassifier: efficientnet-lite0.onnx" in card["text/html"]
    assert "espresso" in classes["text/plain"]
    assert "image/png" in figure
    assert len(sheets_and_curves) == 6
    assert all("image/png" in result for result in sheets_and_curves)
    assert "insertion" in study["text/html"]
    assert "grad-cam" in study["text/html"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cat.jpg", "coffee.jpg"]


def find_result(cell: Any) -> Any:
    """Return what a cell shows, by its type."""
    (result,) = (output for output in cell["outputs"] if output["output_type"] == "execute_result")
    return result["data"]
