"""Real classifiers and an inpainter, built or found by name."""

from onnxplain.zoo.entries import ZooModel, available
from onnxplain.zoo.store import Score, build

__all__ = ["Score", "ZooModel", "available", "build"]
