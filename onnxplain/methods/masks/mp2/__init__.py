"""MP2: the paper's loop, its sweeps, the mask it grows, its fills and its questions."""

from onnxplain.methods.masks.mp2.mp2 import MP2

__all__ = ["MP2"]
