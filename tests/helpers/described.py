"""Small classifiers with files beside them, and what is found out about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from onnxplain.core.spec import ModelSpec
from onnxplain.graph.load import ModelFile, read_model
from tests.helpers import models


def save_and_read(model: onnx.ModelProto, folder: Path) -> ModelFile:
    """Write a model to ``net.onnx`` and read it again."""
    return read_model(models.save(model, folder / "net.onnx"))


def make_net(folder: Path, **files: Any) -> ModelFile:
    """Make a float RGB classifier of five classes, with files beside it.

    ``net`` is the text of ``net.toml``; other keywords are JSON files, as text or content.
    """
    for name, content in files.items():
        suffix = "toml" if name == "net" else "json"
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / f"{name}.{suffix}").write_text(text)
    return save_and_read(models.convnet(), folder)


def make_open_net(folder: Path, **files: Any) -> ModelFile:
    """Make the same classifier with an input of any size."""
    model = make_net(folder, **files)
    for axis in (2, 3):
        model.proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"d{axis}"
    return save_and_read(model.proto, folder)


def get_normalisation(spec: ModelSpec) -> tuple[Any, Any, Any]:
    return spec.range, spec.mean, spec.std
