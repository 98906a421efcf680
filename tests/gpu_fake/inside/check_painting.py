"""What is copied when an inpainter's pictures are composed where they were painted."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain
from onnxplain.core.data import Case, Images, Mask
from onnxplain.core.flow import MaskQuery
from onnxplain.core.protocols import Inpainter
from onnxplain.engine import run
from onnxplain.engine.jobs import Job
from onnxplain.masks.families import PatchMasks
from onnxplain.runtime import OnnxClassifier, load_classifier
from onnxplain.runtime.inpainters import model as inpainter_model
from tests.gpu_fake.device import Counts, read_counts
from tests.helpers import models
from tests.helpers.specs import photos

SIZE = (64, 64)
IMAGE_BYTES = 64 * 64 * 3 * 4
N = 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inpainter_model, "MOST", N)
    yield
    gc.collect()


@dataclass
class Elsewhere:
    """An inpainter that gives its pictures to the host, as those of other frameworks do."""

    inpainter: Inpainter
    provenance: Any = None
    batch_size: int = N

    def inpaint(self, images: Images, masks: Mask) -> Images:
        return self.inpainter.inpaint(images, masks)


def load(folder: Path) -> OnnxClassifier:
    path = models.save(models.convnet(SIZE), folder / "net.onnx")
    return load_classifier(path, device="cuda", batch_size=N, flags={"preprocessing": "unit"})


def score(classifier: OnnxClassifier, inpainter: Inpainter, n_batches: int) -> None:
    """Score batches of patches, each with a picture of its own."""
    image, fill = photos(1, SIZE)[0], onnxplain.Inpaint(inpainter)
    corners = np.stack(np.divmod(np.arange(n_batches * N), 40), axis=1)

    def flow() -> Any:
        return (yield MaskQuery(PatchMasks(corners, 20, SIZE))).scores

    run.collect_values(classifier, [Job((Case("photo", image, 0),), (flow(),), fill)])


def count(classifier: OnnxClassifier, inpainter: Inpainter) -> Counts:
    """What one batch costs; what an image costs once drops out."""
    done = []
    for n_batches in (3, 3, 3, 1, 3):  # memory is laid out as the first runs have used it
        before = read_counts()
        score(classifier, inpainter, n_batches)
        done.append(read_counts().since(before))
    return Counts(*((more - less) // 2 for more, less in zip(done[-1], done[-2], strict=True)))


def test_pictures_are_composed_where_they_were_painted(tmp_path: Path) -> None:
    """Per batch, before and after: no picture comes down or goes up; more short waits."""
    classifier, painter = load(tmp_path), onnxplain.load_inpainter(device="cuda")
    on_host, on_device = (count(classifier, it) for it in (Elsewhere(painter), painter))
    batch, holes = N * IMAGE_BYTES, N * IMAGE_BYTES // 12
    scores = N * 5 * 4
    # The image and 4 bytes per pixel of mask for the inpainter, and the composed image.
    assert on_host.upload_bytes == 2 * batch + 4 * holes
    assert on_host.download_bytes == batch + scores
    assert (on_host.uploads, on_host.downloads, on_host.syncs) == (3, 2, 4)
    # The holes, a byte per pixel, for two graphs, and the corners of patches; whether all numbers
    # are finite.
    assert on_device.upload_bytes == 2 * holes + N * 8
    assert on_device.download_bytes == scores + 4
    assert (on_device.uploads, on_device.downloads, on_device.syncs) == (3, 2, 10)
    assert on_device.mallocs == 0


def test_pictures_kept_on_the_device_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60 MiB that are painted, two batches are kept; the rest is room between them."""
    monkeypatch.setattr(run, "_CACHE_BYTES", 2 * N * IMAGE_BYTES)
    classifier, painter = load(tmp_path), onnxplain.load_inpainter(device="cuda")
    for _ in range(3):
        score(classifier, painter, 6)
    before = read_counts()
    score(classifier, painter, 160)
    assert read_counts().since(before).live_bytes < 16 * 2**20
