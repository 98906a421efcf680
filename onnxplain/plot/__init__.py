"""Pictures of explanations, drawn with Pillow alone."""

from __future__ import annotations

from onnxplain.plot.colours import Colormap
from onnxplain.plot.figure import Style, draw_figure

__all__ = ["Colormap", "Style", "draw_figure"]
