"""The only place that imports ONNX Runtime: sessions, classifiers, inpainters."""

from onnxplain.runtime.callable import CallableClassifier, from_callable
from onnxplain.runtime.classifier import OnnxClassifier
from onnxplain.runtime.load import load_classifier

__all__ = ["CallableClassifier", "OnnxClassifier", "from_callable", "load_classifier"]
