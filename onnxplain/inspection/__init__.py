"""Inspect a model file: which input it takes, what it predicts, and how fast it runs here."""

from onnxplain.inspection.inspecting import Inspection, inspect_model
from onnxplain.inspection.predictions import N_BEST, Prediction

__all__ = ["N_BEST", "Inspection", "Prediction", "inspect_model"]
