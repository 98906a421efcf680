"""The built classifiers are as accurate on real, labelled photos as published."""

from __future__ import annotations

import csv

import numpy as np
import onnxruntime
import pytest
from PIL import Image as Pillow

from onnxplain.zoo import build_model
from tests.conftest import shared


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "top_1"),
    [("efficientnet-lite0", 0.78), ("efficientnet-lite1", 0.79), ("efficientnet-lite2", 0.79)],
)
def test_top_1_accuracy_is_not_less_than_known(name: str, top_1: float) -> None:
    """On 251 photos .797, .805 and .801; wrong labels or normalisation cost 7 points or more."""
    folder = shared("data/eval")
    with (folder / "labels.csv").open(newline="") as file:
        labels = {row["file"]: int(row["class_index"]) for row in csv.DictReader(file)}
    session = onnxruntime.InferenceSession(build_model(name), providers=["CPUExecutionProvider"])
    size = session.get_inputs()[0].shape[2]
    predicted = []
    for file_name in labels:
        photo = Pillow.open(folder / "images" / file_name).convert("RGB")
        width, height = ((size + 32) * side // min(photo.size) for side in photo.size)
        large = photo.resize((width, height), Pillow.Resampling.BICUBIC)
        left, top = round((width - size) / 2), round((height - size) / 2)
        centre = np.asarray(large.crop((left, top, left + size, top + size)), np.float32)
        x = ((centre - 127) / 128).transpose(2, 0, 1)[None]
        predicted.append(int(session.run(None, {"image": x})[0].argmax()))
    assert np.mean(np.array(predicted) == list(labels.values())) >= top_1
