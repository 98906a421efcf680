"""MP2: the paper's loop, its sweeps, the mask that it grows, and what it asks about it."""

from onnxplain.methods.masks.mp2.mp2 import MP2

__all__ = ["MP2"]
