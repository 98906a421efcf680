"""The only place that imports ONNX Runtime: classifiers, inpainters, distances, features."""

from onnxplain.runtime.callable import CallableClassifier, from_callable
from onnxplain.runtime.classifier import OnnxClassifier
from onnxplain.runtime.distance import OnnxDistance, load_distance
from onnxplain.runtime.features import OnnxFeatures, load_features
from onnxplain.runtime.inpainters.model import OnnxInpainter, load_inpainter
from onnxplain.runtime.opening import load_classifier, open_classifier

__all__ = [
    "CallableClassifier",
    "OnnxClassifier",
    "OnnxDistance",
    "OnnxFeatures",
    "OnnxInpainter",
    "from_callable",
    "load_classifier",
    "load_distance",
    "load_features",
    "load_inpainter",
    "open_classifier",
]
