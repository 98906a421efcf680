"""MP2: the paper's loop, its sweeps, the mask that it grows, its fills and its queries."""

from onnxplain.methods.masks.mp2.mp2 import MP2

__all__ = ["MP2"]
