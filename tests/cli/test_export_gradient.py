"""``onnxplain export-gradient`` on a small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from tests.cli.conftest import Run


def test_exported_graph_gives_scores_and_their_slope_by_the_image(
    run: Run, model: Path, tmp_path: Path
):
    out = tmp_path / "gradient.onnx"
    result = run("export-gradient", model, "-o", out, "--score", "logit")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out)
    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    image, target = session.get_inputs()
    assert target.name == "target"
    rng = np.random.default_rng(0)
    shape = [side if isinstance(side, int) else 2 for side in image.shape]
    pixels = rng.random(shape, np.float32)
    feeds = {image.name: pixels, "target": np.ones(len(pixels), np.int64)}
    value, slope = session.run(["target_score", f"d_score/d_{image.name}"], feeds)
    direction = rng.standard_normal(shape).astype(np.float32)
    step = 1e-3
    moved = [
        session.run(["target_score"], {**feeds, image.name: pixels + sign * step * direction})[0]
        for sign in (1, -1)
    ]
    numeric = (moved[0] - moved[1]) / (2 * step)
    along = (slope * direction).reshape(len(pixels), -1).sum(axis=1)
    assert np.isfinite(value).all()
    np.testing.assert_allclose(numeric, along, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("head", ["sigmoid", "multilabel-logits", "logits"])
@pytest.mark.parametrize("score", ["probability", "log-odds", "logit"])
def test_gradient_of_a_label_does_not_see_the_other_labels(
    run: Run, model: Path, tmp_path: Path, head: str, score: str
):
    out = tmp_path / "gradient.onnx"
    result = run("export-gradient", model, "-o", out, "--score", score, "--head", head)
    assert result.exit_code == 0, result.stderr
    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    image, _ = session.get_inputs()
    pixels = np.random.default_rng(0).random((1, *image.shape[1:]), np.float32)
    feeds = {image.name: pixels, "target": np.array([1])}
    z = ort.InferenceSession(str(model)).run(None, {image.name: pixels})[0][0].astype(float)
    others = np.log(np.exp(z[[0, 2]]).sum()) if head == "logits" else 0.0
    odds = z[1] - others
    expected = {"probability": 1 / (1 + np.exp(-odds)), "log-odds": odds, "logit": z[1]}[score]
    assert session.run(["target_score"], feeds)[0] == pytest.approx(expected, abs=1e-5)


def test_file_that_cannot_be_written_is_one_message(run: Run, model: Path, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    result = run("export-gradient", model, "-o", tmp_path / "file" / "gradient.onnx")
    assert result.exit_code == 1
    assert "cannot be written" in result.stderr


def test_model_itself_is_not_overwritten(run: Run, model: Path):
    before = model.read_bytes()
    Path("link.onnx").symlink_to(model)
    for name in (model, "link.onnx"):
        result = run("export-gradient", model, "-o", name)
        assert result.exit_code == 2
        assert f"{name}: is the model itself" in " ".join(result.stderr.split())
    assert model.read_bytes() == before


def test_unknown_layer_is_an_error_that_names_it(run: Run, model: Path, tmp_path: Path):
    result = run("export-gradient", model, "-o", tmp_path / "g.onnx", "--layer", "no_such_tensor")
    assert result.exit_code != 0
    assert "no_such_tensor" in result.stderr
    assert not (tmp_path / "g.onnx").exists()


def test_exported_graph_gives_slopes_by_a_coarse_mask(run: Run, model: Path, tmp_path: Path):
    out = tmp_path / "gradient.onnx"
    result = run("export-gradient", model, "-o", out, "--score", "logit", "--mask", "3")
    assert result.exit_code == 0, result.stderr
    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    image, *others = session.get_inputs()
    assert {port.name for port in others} == {"target", "fill", "mask"}
    rng = np.random.default_rng(0)
    photo, fill = (rng.random((1, *image.shape[1:]), np.float32) for _ in range(2))
    feeds = {image.name: photo, "fill": fill, "target": np.ones(9, np.int64)}
    half = np.full((9, 3, 3), 0.5, np.float32)
    step = 0.01 * np.eye(9, dtype=np.float32).reshape(9, 3, 3)
    value, slope = session.run(["target_score", "d_score/d_mask"], {**feeds, "mask": half})
    up, down = (
        session.run(["target_score"], {**feeds, "mask": half + sign * step})[0] for sign in (1, -1)
    )
    assert np.isfinite(value).all()
    np.testing.assert_allclose((up - down) / 0.02, slope[0].ravel(), rtol=0.02, atol=1e-3)


def test_mask_finer_than_the_image_is_an_error(run: Run, model: Path, tmp_path: Path):
    result = run("export-gradient", model, "-o", tmp_path / "g.onnx", "--mask", "999")
    assert result.exit_code == 2
    assert "cells per side, got 999" in result.stderr
