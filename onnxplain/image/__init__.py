"""Photos in and out, and the geometry between a photo and a classifier's input.

This is the only place that calls OpenCV and reads image files. Sizes are ``(rows, columns)``
everywhere; the ``(width, height)`` of OpenCV and Pillow does not leave this package.

OpenCV's number of threads belongs to the whole process and is left alone: two workers that
enlarged masks side by side were as fast with all of OpenCV's threads as with one.
"""

from __future__ import annotations

from onnxplain.image.decoding import scale_deep
from onnxplain.image.finding import PHOTO_SUFFIXES, find_photos, list_files
from onnxplain.image.frame import Frame, bring_back, is_same_part, place_frame, scale_box
from onnxplain.image.photo_files import (
    MAX_PIXELS,
    check_file,
    encode_jpeg,
    encode_png,
    load_example_photo,
    read_image,
    read_pillow,
    write_png,
)
from onnxplain.image.process import (
    Classical,
    SequentialColours,
    box_blur,
    gaussian_blur,
    inpaint_classical,
    list_colours,
    trace_contours,
)
from onnxplain.image.resample import resize

__all__ = [
    "MAX_PIXELS",
    "PHOTO_SUFFIXES",
    "Classical",
    "Frame",
    "SequentialColours",
    "box_blur",
    "bring_back",
    "check_file",
    "encode_jpeg",
    "encode_png",
    "find_photos",
    "gaussian_blur",
    "inpaint_classical",
    "is_same_part",
    "list_colours",
    "list_files",
    "load_example_photo",
    "place_frame",
    "read_image",
    "read_pillow",
    "resize",
    "scale_box",
    "scale_deep",
    "trace_contours",
    "write_png",
]
