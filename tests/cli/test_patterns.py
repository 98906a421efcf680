"""``onnxplain patterns`` writes a file that pattern-net and pattern-attribution read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from tests.cli.conftest import Run, parse_lines


def test_patterns_are_estimated_and_used(run: Run, convnet: Path, tmp_path: Path) -> None:
    folder, output = tmp_path / "photos", tmp_path / "patterns.npz"
    folder.mkdir()
    rng = np.random.default_rng(2)
    for place in range(6):
        pixels = rng.integers(0, 256, (20, 20, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{place}.png")
    made = run("patterns", convnet, folder, "--limit", 5, "-o", output)
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == str(output)
    assert "layers: 3, photos: 5; " in made.stderr
    for method in ("pattern-net", "pattern-attribution"):
        words = ("explain", folder / "0.png", "-m", convnet, "--json", "-o", tmp_path / "out")
        shown = run(*words, "--method", f"{method}:patterns={output}")
        assert shown.exit_code == 0, shown.stderr
        assert parse_lines(shown.stdout)[0]["method"] == method
    missing = run(*words, "--method", "pattern-net")
    assert missing.exit_code == 1
    assert "onnxplain patterns MODEL PHOTOS -o patterns.npz" in missing.stderr


def test_wrong_files_are_told_and_nothing_is_replaced(
    run: Run, convnet: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    PIL.Image.new("RGB", (20, 20)).save(photo)
    before = photo.read_bytes()
    refused = run("patterns", convnet, photo, "-o", photo)
    assert refused.exit_code == 2
    assert "the file of patterns is a .npz; give a path with this ending" in refused.stderr
    assert photo.read_bytes() == before
    for patterns, reason in (("nowhere.npz", "cannot be read"), (photo, "is no file of patterns")):
        failed = run(
            "explain", photo, "-m", convnet, "--method", f"pattern-net:patterns={patterns}"
        )
        assert failed.exit_code == 1
        assert reason in failed.stderr
        assert "no gradients" not in failed.stderr
