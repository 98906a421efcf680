"""Models are built for real, checked, and kept whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from onnxplain.core.data import Image
from onnxplain.core.errors import ZooError
from onnxplain.core.spec import ModelSpec
from onnxplain.loading import find_model
from onnxplain.zoo import build_model, store
from onnxplain.zoo.catalogue import Recipe

NAME = "efficientnet-lite0"


def read_metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def score(path: Path, photo: Image) -> NDArray[np.float32]:
    """Return probabilities by the model's own metadata, without using the package."""
    spec = json.loads(read_metadata(path)["onnxplain.spec"])
    assert (spec["layout"], spec["colour"], spec["fit"]) == ("nchw", "rgb", "crop")
    assert spec["interpolation"] == "bicubic"
    assert photo.shape == (400, 600, 3)
    edge, size = spec["resize"][0], spec["size"][0]
    assert edge == size + 32
    left, top = (edge * 600 // 400 - size) // 2, 16  # an even number of columns beside each
    pixels = Pillow.fromarray(np.rint(photo * 255).astype(np.uint8))
    large = pixels.resize((edge * 600 // 400, edge), Pillow.Resampling.BICUBIC)
    small = np.asarray(large.crop((left, top, left + size, top + size))) / 255
    low, high = spec["range"]
    x = (low + small * (high - low) - spec["mean"]) / spec["std"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {spec["input"]: x.astype(np.float32).transpose(2, 0, 1)[None]}
    logits = session.run([spec["output"]], feed)[0][0]
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def score_wrongly(path: Path, photo: Image) -> NDArray[np.float32]:
    return np.full(1000, 1e-3, np.float32)


def interrupt(path: Path, photo: Image) -> NDArray[np.float32]:
    raise KeyboardInterrupt


def list_kept(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_every_classifier_is_built_and_gives_its_known_scores(name: str, cache: Path) -> None:
    path = build_model(name, score=score)
    assert path.name == f"{name}.onnx"
    assert list_kept(cache) == [path]
    assert onnx.load(path).graph.name == name


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_every_classifier_passes_the_check_at_loading(name: str, cache: Path) -> None:
    assert find_model(name) == build_model(name)


def test_second_call_returns_the_file_without_a_build(
    cache: Path, only_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build_model(NAME)
    before = path.stat().st_mtime_ns, path.stat().st_ino  # it is read, and not written
    monkeypatch.setenv("PIP_FIND_LINKS", "nowhere")
    assert build_model(NAME) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    with pytest.raises(ZooError, match="cannot be fetched"):
        build_model(NAME, force=True)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_force_builds_the_same_file_again(cache: Path, only_index: Path) -> None:
    path = build_model(NAME)
    content = path.read_bytes()
    path.write_bytes(b"spoilt")
    assert build_model(NAME, force=True).read_bytes() == content


@pytest.mark.parametrize("spoil", [lambda content: b"spoilt", lambda content: content[:-1] + b"!"])
def test_file_that_has_changed_is_built_again_with_a_warning(
    cache: Path,
    only_index: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[bytes], bytes],
) -> None:
    path = build_model(NAME)
    content = path.read_bytes()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    path.write_bytes(spoil(content))
    other = path.parent.with_name("ab" * 16) / path.name
    other.parent.mkdir()
    other.write_bytes(b"of another version, and spoilt")
    assert build_model(NAME) == path
    assert path.read_bytes() == content
    assert list_kept(cache) == [path]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert all("has changed since it was built" in warning for warning in warnings)
    assert build_model(NAME) == path
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 2


def test_built_file_describes_itself(cache: Path, only_index: Path, recipe: Recipe) -> None:
    metadata = read_metadata(build_model(NAME))
    fields = json.loads(metadata["onnxplain.spec"])
    fields = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    assert ModelSpec(**fields) == recipe.spec
    assert metadata["Image.BitmapPixelFormat"] == "Rgb8"
    assert recipe.source.sha256 in metadata["source"]


def test_built_model_takes_any_batch(cache: Path, only_index: Path) -> None:
    session = onnxruntime.InferenceSession(build_model(NAME), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    (together,) = session.run(None, {"image": x})
    alone = np.concatenate([session.run(None, {"image": image[None]})[0] for image in x])
    assert np.ptp(together, axis=0).max() > 0.5
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_model_with_other_scores_is_not_kept(cache: Path, only_index: Path) -> None:
    with pytest.raises(ZooError, match=r"'espresso' 0\.001 .* 0\.951 is known; it was not kept"):
        build_model(NAME, score=score_wrongly)
    assert list_kept(cache) == []


def test_interrupted_build_leaves_nothing(cache: Path, only_index: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_model(NAME, score=interrupt)
    assert list_kept(cache) == []


def test_two_processes_may_build_at_once(cache: Path, only_index: Path) -> None:
    command = [
        sys.executable,
        "-c",
        f"from onnxplain.zoo import build_model; print(build_model({NAME!r}))",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=100)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert answers[0] == answers[1]
    assert list_kept(cache) == [Path(answers[0])]
    onnx.checker.check_model(answers[0])


def test_error_on_a_cache_that_is_not_writable_says_what_to_do(
    only_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZooError, match=r"cannot be kept .* set ONNXPLAIN_CACHE"):
        build_model(NAME)


def test_inpainter_is_found_in_a_checkout_and_in_an_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "onnxplain" / "zoo"
    monkeypatch.setattr(store, "ZOO_FOLDER", package)
    with pytest.raises(ZooError, match="not part of this installation"):
        build_model("inpainter")
    for folder in (tmp_path / "model_zoo" / "inpainter", package):
        folder.mkdir(parents=True)
        path = folder / "inpainter.onnx"
        path.write_bytes(b"")
        assert build_model("inpainter") == path
