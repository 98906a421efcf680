"""onnxruntime-web in Chromium: a page that runs ONNX files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.core.errors import OnnxplainError
from onnxplain.report.live import ort_web
from onnxplain.report.live.packing import FOLDER, pack_file
from tests.helpers.browser import Visit, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
{files}<script>{script}
const runtime = openRuntime();
async function runFile(packed, name, numbers, shape, target) {{
  const ort = await runtime;
  const session = await openGraph(ort, decode(packed));
  const outputs = await runGraph(ort, session, name, numbers, shape, target);
  await session.release();
  return outputs;
}}
</script>"""


@cache
def find_ort_web() -> ort_web.OrtWeb | OnnxplainError:
    """Find the runtime, or why there is none, once."""
    try:
        return ort_web.find_ort_web()
    except OnnxplainError as error:
        return error


def need_ort_web() -> ort_web.OrtWeb:
    """Return the runtime; skip the test where it cannot be had."""
    found = find_ort_web()
    if isinstance(found, OnnxplainError):
        pytest.skip(f"needs onnxruntime-web: {found}")
    return found


@contextmanager
def open_ort_page(browser: Browser, folder: Path) -> Iterator[Visit]:
    """Open a page that holds the runtime, for `run_file`."""
    runtime = need_ort_web()
    files = pack_file("ort-module", runtime.module) + pack_file("ort-binary", runtime.binary)
    script = (FOLDER / "engine.js").read_text("utf-8")
    page = folder / "ort.html"
    page.write_text(PAGE.format(files=files, script=script), "utf-8")
    with open_page(browser, page) as visit:
        yield visit


def run_file(
    visit: Visit, model: bytes, name: str, images: NDArray[Any], target: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """Run an ONNX file in the page on images as they enter it; return its outputs, flat."""
    given = [
        base64.b64encode(model).decode(),
        name,
        images.ravel().tolist(),
        list(images.shape),
        target,
    ]
    outputs = visit.page.evaluate("given => runFile(...given)", given)
    return {key: np.array(values) for key, values in outputs.items()}
