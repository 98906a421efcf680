"""Fills: what replaces removed pixels, the f of ``x_bar = x * (1 - m) + f * m``.

A fill that does not depend on the mask makes one picture per image. The fills that depend on
the pixels that are left (`Telea`, `NavierStokes`, `Biharmonic`, `PatchMatch`, `Inpaint`) paint a
picture for every mask; they treat pixels with a mask of 0.5 or more as missing.
"""

from __future__ import annotations

from onnxplain.fills.blur import Blur
from onnxplain.fills.classic import Biharmonic, NavierStokes, Telea
from onnxplain.fills.constant import Black, Colour, DatasetMean, White
from onnxplain.fills.folded import FoldedBlur
from onnxplain.fills.inpaint import Inpaint
from onnxplain.fills.mean import ChannelMean, LocalMean, SegmentMean
from onnxplain.fills.noise import GaussianNoise, UniformNoise
from onnxplain.fills.patchmatch import PatchMatch

__all__ = [
    "Biharmonic",
    "Black",
    "Blur",
    "ChannelMean",
    "Colour",
    "DatasetMean",
    "FoldedBlur",
    "GaussianNoise",
    "Inpaint",
    "LocalMean",
    "NavierStokes",
    "PatchMatch",
    "SegmentMean",
    "Telea",
    "UniformNoise",
    "White",
]
