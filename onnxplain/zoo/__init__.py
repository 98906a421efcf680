"""Real classifiers and an inpainter, built or found by name."""

from onnxplain.zoo.catalogue import ZooModel, list_models
from onnxplain.zoo.store import ScorePhoto, build_model

__all__ = ["ScorePhoto", "ZooModel", "build_model", "list_models"]
