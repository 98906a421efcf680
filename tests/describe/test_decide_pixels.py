"""The values of pixels come from one place, or from the graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxplain.core.errors import ModelError
from onnxplain.describe.resolve import resolve_spec
from tests.helpers import models
from tests.helpers.described import get_normalisation, make_net, save_and_read

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_mean_of_a_flag_with_std_of_a_file_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_net(tmp_path, net="mean = 127\nstd = 128\nrange = [0, 255]")
    resolve_spec(model, {"mean": 120})
    (warning,) = caplog.messages
    assert "flag --mean goes with the std 128 of net.toml; give --std too" in warning
    caplog.clear()
    resolve_spec(model, {"mean": 0.4, "std": 0.2})
    resolve_spec(model, {})
    assert not caplog.messages


def test_uint8_pixels_are_not_normalised_whatever_the_folder_says(tmp_path: Path) -> None:
    model = save_and_read(models.quantised(models.weights((4, 4))), tmp_path)
    timm = {"pretrained_cfg": {"mean": IMAGENET[0], "std": IMAGENET[1]}}
    (tmp_path / "config.json").write_text(json.dumps(timm))
    assert get_normalisation(resolve_spec(model, {})) == ((0, 255), (0,) * 3, (1,) * 3)
    (tmp_path / "net.toml").write_text("mean = 127")
    with pytest.raises(ModelError, match=r"net\.toml says mean .* but the graph has uint8"):
        resolve_spec(model, {})
