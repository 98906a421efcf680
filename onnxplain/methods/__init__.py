"""Explanation methods: one paper, one file."""

from onnxplain.methods.lime import LIME
from onnxplain.methods.rise import RISE
from onnxplain.methods.sp import SP

__all__ = ["LIME", "RISE", "SP"]
