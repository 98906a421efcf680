"""Pictures of explanations, drawn with Pillow alone."""

from __future__ import annotations

from onnxplain.plot.colours import Colormap
from onnxplain.plot.figure import USUAL_LOOK, Look, Style, draw_figure

__all__ = ["USUAL_LOOK", "Colormap", "Look", "Style", "draw_figure"]
