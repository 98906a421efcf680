"""Pictures of several explanations, of how a mask grew, of curves, and of fills.

Each verb returns a Pillow image, which a notebook shows and ``save`` writes.
"""

from __future__ import annotations

from onnxplain.drawing.curves import draw_curves
from onnxplain.drawing.fills import draw_fills
from onnxplain.drawing.removal import draw_removal
from onnxplain.drawing.sheet import USUAL_SHEET, SheetLook, draw_sheet

__all__ = [
    "USUAL_SHEET",
    "SheetLook",
    "draw_curves",
    "draw_fills",
    "draw_removal",
    "draw_sheet",
]
