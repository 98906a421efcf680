"""MP2: the loop, its sweeps, and the mask that it grows."""

from onnxplain.methods.masks.mp2.mp2 import MP2

__all__ = ["MP2"]
