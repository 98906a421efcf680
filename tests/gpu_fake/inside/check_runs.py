"""What the real CUDA provider copies, plans and allocates when the package runs models on it."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

import onnxplain
from onnxplain.cache import remember
from onnxplain.core.errors import DeviceError, OnnxplainError
from onnxplain.core.protocols import Part
from onnxplain.loading import find_model
from onnxplain.registry import METHODS
from onnxplain.runtime import OnnxClassifier, load_classifier, tuning
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.inpainters import model as inpainter_model
from tests.gpu_fake.device import (
    count_plans,
    failing_launches,
    limiting_memory,
    read_counts,
)
from tests.helpers import models
from tests.helpers.masks import make_families
from tests.helpers.specs import photos
from tests.methods.test_contract import make_small

SIZE = (64, 64)
IMAGE_BYTES = 64 * 64 * 3 * 4
MIB = 2**20


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tuning, "SECONDS", 0.005)
    monkeypatch.setattr(tuning, "AGREEMENT", 0.0)
    monkeypatch.setattr(inpainter_model, "MOST", 16)  # the fake device's memory is this machine's
    yield tmp_path / "cache"
    gc.collect()


def load(folder: Path, model: ModelProto | None = None, **options: Any) -> OnnxClassifier:
    path = models.save(models.convnet(SIZE) if model is None else model, folder / "net.onnx")
    return load_classifier(path, device="cuda", flags={"preprocessing": "unit"}, **options)


def make_part(classifier: OnnxClassifier, family: str, n: int) -> Part:
    image, fill = photos(2, SIZE)
    return Part(classifier.planes(image, fill), make_families(n, SIZE)[family], 0, n)


@pytest.mark.parametrize("family", ["patch", "grid", "segment", "bits", "rank"])
def test_a_batch_sends_codes_and_fetches_scores(tmp_path: Path, family: str) -> None:
    classifier = load(tmp_path, batch_size=64)
    part = make_part(classifier, family, 64)
    for _ in range(2):  # the second run lays out its memory as the first one has used it
        classifier.masked_scores([part])
    before = read_counts()
    classifier.masked_scores([part])
    done = read_counts().since(before)
    assert done.upload_bytes < 64 * 64  # a few numbers per mask, and no image
    assert done.uploads <= 3
    assert done.downloads == 1
    assert done.download_bytes == 64 * 5 * 4
    assert done.syncs <= 4
    assert done.mallocs == 0


def test_parts_of_one_family_and_image_are_composed_in_one_run(tmp_path: Path) -> None:
    """Each run waits for the device twice: 16 parts of 8 masks waited 34 times."""
    classifier = load(tmp_path, batch_size=128)
    planes = classifier.planes(*photos(2, SIZE))
    parts = [Part(planes, make_families(8, SIZE, seed)["bits"], 0, 8) for seed in range(16)]
    for _ in range(2):
        classifier.masked_scores(parts)
    before = read_counts()
    classifier.masked_scores(parts)
    done = read_counts().since(before)
    assert (done.syncs, done.uploads, done.downloads) == (4, 1, 1)


def test_device_buffers_are_kept_from_one_explanation_to_the_next(tmp_path: Path) -> None:
    classifier = load(tmp_path, batch_size=64)
    method = onnxplain.RISE(n_masks=256)
    image = photos(1, SIZE)[0]
    for _ in range(2):
        onnxplain.explain(classifier, image, method)
    before = read_counts()
    onnxplain.explain(classifier, image, method)
    done = read_counts().since(before)
    # The image and its fill, the narrow batch of the first prediction, and codes.
    assert done.upload_bytes < 2 * IMAGE_BYTES + 8 * IMAGE_BYTES + 256 * 256
    assert done.mallocs == 0


def test_gradients_plan_their_convolutions_for_two_widths_only(tmp_path: Path) -> None:
    """Without padding, MP2 asks for 1, 2 and 3 images in turn: 20 changes in 50 calls."""
    classifier = load(tmp_path, batch_size=16)
    gradients = classifier.gradients()
    images, targets = photos(16, SIZE), np.arange(16) % 5

    def ask(n: int) -> None:
        gradients.score_grads(images[:n], targets[:n], "log-odds")

    ask(1)
    few = count_plans()
    for n in (2, 3, 1, 8, 2):
        ask(n)
    assert count_plans() == few
    ask(16)
    both = count_plans()
    for n in (9, 1, 16, 3, 12, 2):
        ask(n)
    assert count_plans() == both


def test_scores_plan_their_convolutions_for_two_widths_only(tmp_path: Path) -> None:
    classifier = load(tmp_path, batch_size=32)
    images = photos(40, SIZE)
    for n in (1, 32):
        classifier.scores(images[:n])
    planned = count_plans()
    for n in (40, 3, 1, 20, 9, 40):
        classifier.scores(images[:n])
    assert count_plans() == planned


def test_with_tf32_all_calls_have_one_width(tmp_path: Path) -> None:
    classifier = load(tmp_path, batch_size=32, tf32=True)
    assert classifier.provenance["tf32"] is True
    images = photos(32, SIZE)
    classifier.scores(images[:1])
    planned = count_plans()
    for n in (32, 3):
        classifier.scores(images[:n])
    assert count_plans() == planned


def test_inpainter_and_features_plan_for_two_widths_only(tmp_path: Path) -> None:
    painter = onnxplain.load_inpainter(device="cuda")
    path = models.save(models.convnet(SIZE), tmp_path / "net.onnx")
    features = onnxplain.load_features(path, device="cuda", preprocessing="unit")
    images, masks = photos(8, SIZE), np.zeros((8, *SIZE), np.float32)
    masks[:, 20:40, 20:40] = 1

    def ask(n: int) -> None:
        painter.inpaint(images[:n], masks[:n])
        features(images[:n])

    ask(8)
    planned = count_plans()
    for n in (1, 5, 8, 2):
        ask(n)
    assert count_plans() == planned


def test_the_batch_is_chosen_up_to_512_by_calls_after_the_first(
    tmp_path: Path, cache: Path
) -> None:
    """First calls, which plan convolutions, are slow here as on a GPU: they are not counted."""
    measured, remembered = (load(tmp_path).batch_size for _ in range(2))
    assert measured == remembered
    (file,) = (cache / "batch-size").iterdir()
    assert "Fake GPU" in file.read_text()
    rates = load(tmp_path).measure(seconds=0.01)
    assert [rate.batch_size for rate in rates] == [8, 16, 32, 64, 128, 256, 512]


def test_the_batch_of_an_inpainter_is_chosen_as_that_of_a_classifier(
    cache: Path,
) -> None:
    painter = onnxplain.load_inpainter(device="cuda")
    (file,) = (cache / "batch-size").iterdir()
    assert json.loads(file.read_text())["batch_size"] == painter.batch_size
    assert "Fake GPU" in file.read_text()
    remember("batch-size", json.loads(file.read_text())["key"], {"batch_size": 24})
    assert onnxplain.load_inpainter(device="cuda").batch_size == 24
    described = inpainter_model.load_inpainter(
        find_model("inpainter"), device="cuda", flags={"batch": 4}
    )
    assert described.batch_size == 4


def test_what_measuring_takes_is_given_back(tmp_path: Path) -> None:
    before = read_counts()
    given = load(tmp_path, batch_size=8)
    usual = read_counts().since(before).live_bytes
    before = read_counts()
    measured = load(tmp_path)  # it has run batches of 512 images
    assert read_counts().since(before).live_bytes <= usual + MIB
    assert given.provenance["gpu"] == measured.provenance["gpu"]


def test_measuring_moves_no_images(tmp_path: Path) -> None:
    classifier = load(tmp_path, batch_size=64)
    classifier.measure((64,), seconds=0.01)
    before = read_counts()
    (rate,) = classifier.measure((64,), seconds=0.2)
    done = read_counts().since(before)
    assert rate.per_second * 0.2 > 64  # more than one call
    assert done.upload_bytes <= 64 * IMAGE_BYTES


def test_when_memory_runs_out_the_largest_batch_that_fits_is_found_and_not_remembered(
    tmp_path: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = load(tmp_path).batch_size
    del caplog.records[:]
    remembered = [path.read_text() for path in (cache / "batch-size").iterdir()]
    large, fits = load(tmp_path, batch_size=256), find_what_fits(tmp_path)
    with limiting_memory(ROOM):
        assert large.scores(photos(256, SIZE)).shape == (256, 5)
    assert large.batch_size == fits
    assert "going on with batches of 128" in caplog.text
    assert [path.read_text() for path in (cache / "batch-size").iterdir()] == remembered
    assert load(tmp_path).batch_size == chosen


ROOM = 20 * MIB


def find_what_fits(folder: Path) -> int:
    """The largest halving of 256 that a classifier of its own runs with this much memory."""
    size = 256
    while size:
        gc.collect()
        classifier = load(folder, batch_size=size)
        with limiting_memory(ROOM):
            classifier.scores(photos(size, SIZE))
        if classifier.batch_size == size:
            return size
        size //= 2
    raise AssertionError("nothing fits")


def test_a_single_image_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    classifier = load(tmp_path, batch_size=1)
    with limiting_memory(0), pytest.raises(OutOfMemory, match=r"is the smallest .* --device cpu"):
        classifier.scores(photos(1, SIZE))
    assert classifier.scores(photos(1, SIZE)).shape == (1, 5)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_methods_leave_nothing_heavy_to_the_cpu(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever graphs a method has built; their numbers are of no account here."""
    classifier = load(tmp_path, batch_size=16)
    with contextlib.suppress(OnnxplainError):  # scores that are all alike
        onnxplain.explain(classifier, photos(1, SIZE)[0], make_small(name))
    assert "run on the CPU" not in caplog.text


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (209, "no kernel image is available.*; install an onnxruntime-gpu that holds code"),
        (35, "driver version is insufficient.*; update the NVIDIA driver"),
        (700, "illegal memory access was encountered$"),
        (2, "out of memory on cuda: .*is the smallest"),
    ],
)
def test_failing_kernels_are_device_errors_with_fitting_advice(
    tmp_path: Path, number: int, says: str
) -> None:
    classifier = load(tmp_path, batch_size=1)
    with failing_launches(number), pytest.raises(DeviceError, match=says) as caught:
        classifier.scores(photos(1, SIZE))
    assert "pip install" not in str(caught.value)
