"""The only place that imports ONNX Runtime: classifiers, inpainters, distances, features."""

from onnxplain.runtime.callable import CallableClassifier
from onnxplain.runtime.classifier import OnnxClassifier
from onnxplain.runtime.distance import OnnxDistance, load_distance
from onnxplain.runtime.features import OnnxFeatures, load_features
from onnxplain.runtime.inpainters.model import OnnxInpainter, load_inpainter
from onnxplain.runtime.keras_model import from_keras
from onnxplain.runtime.opening import (
    DescribedClassifier,
    describe_file,
    load_classifier,
    open_classifier,
)
from onnxplain.runtime.plain_function import from_callable
from onnxplain.runtime.torch_module import from_torch

__all__ = [
    "CallableClassifier",
    "DescribedClassifier",
    "OnnxClassifier",
    "OnnxDistance",
    "OnnxFeatures",
    "OnnxInpainter",
    "describe_file",
    "from_callable",
    "from_keras",
    "from_torch",
    "load_classifier",
    "load_distance",
    "load_features",
    "load_inpainter",
    "open_classifier",
]
