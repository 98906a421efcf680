"""The only place that imports ONNX Runtime: sessions, classifiers, inpainters."""

from onnxplain.runtime.callable import CallableClassifier, from_callable
from onnxplain.runtime.classifier import OnnxClassifier
from onnxplain.runtime.inpainter import OnnxInpainter, load_inpainter
from onnxplain.runtime.load import load_classifier, open_classifier

__all__ = [
    "CallableClassifier",
    "OnnxClassifier",
    "OnnxInpainter",
    "from_callable",
    "load_classifier",
    "load_inpainter",
    "open_classifier",
]
