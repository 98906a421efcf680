"""DICOM files of medicine, read by pydicom where it is installed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Image
from onnxplain.core.errors import ImageError, LibraryMissing


def is_dicom(start: bytes) -> bool:
    """Return whether the first bytes of a file are those of a DICOM file."""
    return start[128:132] == b"DICM"


def read_dicom(content: Path | io.BytesIO, name: str, max_pixels: int) -> Image:
    """Read the first frame of a DICOM file as a viewer shows it first.

    Grey values pass through the modality's rescaling and the first window (VOI) of the file; if
    it has none, their least becomes black and their greatest white. MONOCHROME1 is inverted.

    Parameters
    ----------
    content : Path or BytesIO
        The file.
    name : str
        Its name in error texts.
    max_pixels : int
        Largest number of pixels.

    Returns
    -------
    image : (H, W, 3) ndarray of float32 in [0, 1]

    Raises
    ------
    LibraryMissing
        If pydicom is not installed.
    ImageError
        If the file holds no image, or too large a one.

    References
    ----------
    .. [1] DICOM PS3.3, sections C.7.6.3 (photometric interpretation), C.11.1 (modality LUT) and
       C.11.2 (VOI LUT, with the formulas of windows)
    """
    try:
        import pydicom
        from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
    except ImportError as error:
        raise LibraryMissing(
            f"{name}: is a DICOM file, which needs pydicom ({error}); pip install "
            f"'onnxplain[dicom]', or save the image as PNG"
        ) from error
    dataset = pydicom.dcmread(content)
    if "PixelData" not in dataset:
        raise ImageError(f"{name}: is a DICOM file without an image; give one with pixels")
    if dataset.Rows * dataset.Columns > max_pixels:
        raise ImageError(
            f"{name}: image size ({dataset.Rows * dataset.Columns} pixels) exceeds the limit of "
            f"{max_pixels}; pass a higher --max-pixels, or give a smaller one"
        )
    values: NDArray[Any] = pixel_array(dataset, index=0)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        colours: NDArray[Any] = apply_color_lut(values, dataset)
        return colours.astype(np.float32) / np.float32(np.iinfo(colours.dtype).max)
    if values.ndim == 3:  # pydicom has turned YBR into RGB
        return values.astype(np.float32) / np.float32(2**dataset.BitsStored - 1)
    grey = _show(np.asarray(apply_modality_lut(values, dataset), np.float64), dataset)
    if kind == "MONOCHROME1":
        grey = 1 - grey
    return np.repeat(grey.astype(np.float32)[..., None], 3, axis=2)


def _show(values: NDArray[np.float64], dataset: Any) -> NDArray[np.float64]:
    """Bring grey values to [0, 1] by the file's first window, its VOI table, or their range."""
    centre, width = (_get_first(dataset.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is not None and width is not None:
        return _apply_window(values, centre, width, dataset.get("VOILUTFunction", "LINEAR"))
    if "VOILUTSequence" in dataset:
        from pydicom.pixels import apply_voi_lut

        bits = dataset.VOILUTSequence[0].LUTDescriptor[2]
        shown: NDArray[Any] = apply_voi_lut(values.astype(np.int64), dataset)
        return shown.astype(np.float64) / float(2**bits - 1)
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12)


def _apply_window(
    values: NDArray[np.float64], centre: float, width: float, function: str
) -> NDArray[np.float64]:
    if function == "SIGMOID":
        sigmoid: NDArray[np.float64] = 1 / (1 + np.exp(-4 * (values - centre) / width))
        return sigmoid
    if function == "LINEAR":  # its two ends are the centres of pixel values
        centre, width = centre - 0.5, max(width - 1, 1e-12)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _get_first(value: Any) -> float | None:
    """Return the first of several values, or the only one."""
    if value is None or value == "":
        return None
    return float(value) if isinstance(value, int | float | str) else float(value[0])
