"""What can go wrong, as one tree.

::

    OnnxplainError          anything a user can put right; its text says how
    ├── ImageError          a photo that cannot be read, or is not one
    ├── ModelError          an ONNX file that cannot be used as it is described
    │   └── GradientError   one that cannot be differentiated (`onnxplain.gradient`)
    ├── DeviceError         the asked-for device or provider is not there
    │   └── OutOfMemory     not even the smallest batch fits on it (`onnxplain.runtime`)
    ├── ScoreError          a classifier answered with what is no score, or no gradient
    ├── InpainterError      an inpainter that answers wrongly
    ├── ZooError            a zoo model that cannot be had or does not check out
    └── OutputError         a result that cannot be written or read back

Wrong argument values are ``ValueError`` or ``TypeError``, as everywhere in Python.
"""

from __future__ import annotations

BY_SCORES = (
    "explain it with scores alone (gain=difference of mp2, estimator=spsa of mp, "
    "estimator=score-function of fido)"
)


class OnnxplainError(Exception):
    """Base of every error that the user of the package can put right."""


class ImageError(OnnxplainError):
    """A photo that cannot be read, is not an image, or is too large."""


class ModelError(OnnxplainError):
    """An ONNX file that cannot be loaded, or is not what it is said to be."""


class DeviceError(OnnxplainError):
    """The device or execution provider asked for cannot run here."""


class ScoreError(OnnxplainError):
    """A classifier answered with scores that are not finite numbers."""


class InpainterError(OnnxplainError):
    """An inpainter answered with something that is not the image, filled."""


class ZooError(OnnxplainError):
    """A zoo model that is unknown, cannot be fetched, or fails its checks."""


class OutputError(OnnxplainError):
    """A result that cannot be written, or a written one that cannot be read."""


def format_in_one_line(error: Exception) -> str:
    """An error in one line; one that is not made for users with its type."""
    text = " ".join(str(error).split())
    if isinstance(error, OnnxplainError | ValueError):
        return text
    return f"{type(error).__name__}: {text}"
