"""The description of a classifier file."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from onnxplain.core.data import Preprocessing
from onnxplain.core.spec import ModelSpec

SPEC = ModelSpec(
    input="image",
    output="scores",
    layout="nchw",
    colour="rgb",
    dtype="float32",
    range=(0.0, 1.0),
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    size=(12, 16),
    fit="pad",
    resize=(14, 18),
    interpolation="bicubic",
    border=(114, 114, 114),
    centre="floor",
    head="logits",
    output_scale=(1.0, 0.0),
    class_names=("cat", "dog"),
    sources={"mean": "--mean"},
)


@pytest.mark.parametrize(("colour", "channels"), [("rgb", 3), ("bgr", 3), ("grey", 1)])
def test_number_of_channels_follows_from_the_colour(colour, channels):
    assert replace(SPEC, colour=colour).channels == channels


def test_preprocessing_is_the_part_of_the_spec_about_photos():
    assert SPEC.preprocessing == Preprocessing(
        fit="pad",
        resize=(14, 18),
        interpolation="bicubic",
        border=(114, 114, 114),
        centre="floor",
    )


def test_description_holds_every_field_but_the_class_names():
    described = SPEC.describe()
    assert set(described) == {field.name for field in fields(ModelSpec)} - {"class_names"}
    assert described["sources"] == {"mean": "--mean"}
    assert described["size"] == (12, 16)
