"""Photos in and out, and the geometry between a photo and a classifier's input.

The only place that calls OpenCV and that reads image files. Sizes are ``(rows, columns)``
everywhere; the ``(width, height)`` of OpenCV and Pillow does not leave this package.

OpenCV's own threads are left as the process has them: it uses them for pictures of more
than 256 x 256 pixels or so, while the pieces that the engine's workers resize are smaller.
"""

from __future__ import annotations

from onnxplain.image.files import read, write_png
from onnxplain.image.resample import Interpolation, resize

__all__ = ["Interpolation", "read", "resize", "write_png"]
