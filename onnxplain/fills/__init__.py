"""What stands in for removed pixels: f of ``x_bar = x * (1 - m) + f * m``.

A fill that paints the same whatever is removed becomes one picture an image. The ones that
look at what is left (`Telea`, `NavierStokes`, `Biharmonic`, `Inpaint`) paint for every mask
anew; they need to know which pixels are missing, and take those with a mask of 0.5 or more.
"""

from __future__ import annotations

from onnxplain.fills.blur import Blur
from onnxplain.fills.classic import Biharmonic, NavierStokes, Telea
from onnxplain.fills.constant import Black, Colour, DatasetMean, White
from onnxplain.fills.folded import FoldedBlur
from onnxplain.fills.inpaint import Inpaint
from onnxplain.fills.mean import ChannelMean, LocalMean, SegmentMean
from onnxplain.fills.noise import GaussianNoise, UniformNoise

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
    "SegmentMean",
    "Telea",
    "UniformNoise",
    "White",
]
