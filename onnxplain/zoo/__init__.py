"""Real classifiers and an inpainter by name: built on first use, or shipped as a file."""

from onnxplain.zoo.catalogue import ZooModel, list_models
from onnxplain.zoo.store import ScorePhoto, build_model

__all__ = ["ScorePhoto", "ZooModel", "build_model", "list_models"]
