"""Everything that can go wrong, as one tree.

::

    OnnxplainError              anything that the user can put right; its text says how
    ├── ImageError              a photo that cannot be read, or a file that is not a photo
    ├── ModelError              an ONNX file that cannot be used as it is described
    │   └── GradientError       a model that cannot be differentiated (`onnxplain.gradient`)
    ├── DeviceError             the requested device or provider is not available
    │   └── OutOfMemory         not even the smallest batch fits (`onnxplain.runtime`)
    ├── ScoreError              a classifier returned something that is not a score
    │   └── GradientUnusable    a classifier returned a gradient that cannot be used
    ├── InpainterError          an inpainter returned something that is not a filled image
    ├── ZooError                a zoo model that cannot be obtained or fails its checks
    ├── LibraryMissing          a library that is not installed, or cannot be loaded
    └── OutputError             a result that cannot be written or read back
        └── DiskFull            no room is left, and none for the next result either

Wrong argument values are ``ValueError`` or ``TypeError``, as everywhere in Python.
"""

from __future__ import annotations


class OnnxplainError(Exception):
    """Base class of every error that the user of the package can put right."""


class ImageError(OnnxplainError):
    """A photo that cannot be read, is not an image, or is too large."""


class ModelError(OnnxplainError):
    """An ONNX file that cannot be loaded, or does not match its description."""


class DeviceError(OnnxplainError):
    """The requested device or execution provider cannot run here."""


class ScoreError(OnnxplainError):
    """A classifier returned scores or gradients that are not finite numbers."""


class GradientUnusable(ScoreError):
    """A gradient that holds NaN or infinite values; scores alone may still work."""


class InpainterError(OnnxplainError):
    """An inpainter returned something that is not a filled image."""


class ZooError(OnnxplainError):
    """A zoo model that is unknown, cannot be fetched, or fails its checks."""


class OutputError(OnnxplainError):
    """A result that cannot be written, or a written result that cannot be read."""


class DiskFull(OutputError):
    """A result that cannot be written because the disk or the user's share of it is full."""


class LibraryMissing(OnnxplainError, ImportError):
    """A library that the package needs and that cannot be loaded here."""


def is_short_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, be it while a library was loaded."""
    if isinstance(error, ImportError):
        text = str(error)
        return "failed to map segment" in text or "annot allocate memory" in text
    return isinstance(error, MemoryError)


def tell_reason(error: Exception) -> str:
    """Return an error's text, that of the system's errors without their number and path."""
    return str((isinstance(error, OSError) and error.strerror) or error)


def format_in_one_line(error: Exception) -> str:
    """Return an error's text in one line, after its type unless the text was written for users."""
    text = " ".join(str(error).split())
    if isinstance(error, OnnxplainError | ValueError):
        return text
    return f"{type(error).__name__}: {text}"
