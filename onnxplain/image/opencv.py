"""OpenCV, or an error that says which package is missing."""

from __future__ import annotations

from onnxplain.core.errors import LibraryMissing, is_short_of_memory

__all__ = ["cv2"]

# Both packages share a folder: where one is removed, the other is no longer whole.
HEADLESS = (
    "pip uninstall -y opencv-python opencv-python-headless, then pip install opencv-python-headless"
)


def _suggest_package(error: ImportError) -> str:
    """Return what to install, by the library that the system's loader did not find."""
    text = str(error)
    for library, package in (("libGL", "libgl1"), ("libgthread", "libglib2.0-0")):
        if library in text:
            return f"{HEADLESS}, which needs no display, or apt-get install {package}"
    return HEADLESS


try:
    import cv2
except ImportError as error:
    if is_short_of_memory(error):
        raise
    raise LibraryMissing(f"OpenCV cannot be loaded ({error}); {_suggest_package(error)}") from error
