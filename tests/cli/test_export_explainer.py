"""``onnxplain export-explainer`` on a small model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain
from tests.cli.conftest import Run, make_noise


@pytest.mark.parametrize(
    "words",
    [
        ("grad-cam:layer=stage:1",),
        ("gradient:channels=l2,score=probability",),
        ("ig:n_points=4,tolerance=0", "--fill", "colour:rgb=[1, 0, 0.5]"),
    ],
)
def test_file_gives_the_scores_and_the_heatmap_of_explain(
    run: Run, convnet: Path, tmp_path: Path, words: tuple[str, ...]
):
    out = tmp_path / "explainer.onnx"
    result = run("export-explainer", convnet, "--method", *words, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(out)
    classifier = onnxplain.load(convnet, device="cpu", batch_size=1)
    photo = np.asarray(make_noise().resize(classifier.size[::-1]))
    found = onnxplain.explain(
        classifier, photo, words[0], target=1, fill=words[2] if words[1:] else None
    )
    pixels = (photo.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    session = ort.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    feeds = {"image": pixels, "target": np.array([1])}
    scores, heatmap = session.run(["scores", "heatmap"], feeds)
    np.testing.assert_allclose(scores, classifier.scores(pixels.transpose(0, 2, 3, 1)), atol=1e-5)
    scale = np.abs(found.heatmap).max()
    np.testing.assert_allclose(heatmap[0], found.heatmap, atol=1e-4 * scale)
    assert scale > 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("smoothgrad",), "smoothgrad cannot be exported: it draws at random"),
        (("ig",), "choose tolerance=0"),
        (("ig:tolerance=0", "--fill", "blur"), "fills of one colour can be: black"),
        (("grad-camm",), "grad-cam"),
        (("grad-cam:layer=stages",), "grad-cam looks at one layer"),
    ],
)
def test_what_cannot_be_written_is_one_message(
    run: Run, convnet: Path, tmp_path: Path, words: tuple[str, ...], text: str
):
    result = run("export-explainer", convnet, "--method", *words, "-o", tmp_path / "e.onnx")
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())
    assert not (tmp_path / "e.onnx").exists()


def test_model_itself_is_not_overwritten(run: Run, model: Path):
    before = model.read_bytes()
    result = run("export-explainer", model, "--method", "gradient", "-o", model)
    assert result.exit_code == 2
    assert "is the model itself" in " ".join(result.stderr.split())
    assert model.read_bytes() == before


def test_other_ending_is_refused_and_the_file_kept(run: Run, convnet: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"a photo")
    commands = (("export-explainer", "--method", "grad-cam"), ("export-gradient",))
    for command, *options in commands:
        refused = run(command, convnet, *options, "-o", photo)
        assert refused.exit_code == 2
        assert "the graph is a .onnx; give a path with this ending" in refused.stderr
        assert photo.read_bytes() == b"a photo"
