"""Explanation methods: one paper, one file."""

from onnxplain.methods.fido import FIDO
from onnxplain.methods.lime import LIME
from onnxplain.methods.mp import MP
from onnxplain.methods.mp2 import MP2
from onnxplain.methods.rise import RISE
from onnxplain.methods.sp import SP

__all__ = ["FIDO", "LIME", "MP", "MP2", "RISE", "SP"]
