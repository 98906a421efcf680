"""DICOM images are shown as the standard says, and whoever lacks pydicom is told so."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain.core.errors import ImageError, LibraryMissing
from onnxplain.image import read_image


def write_image(path: Path, values: Any, **elements: Any) -> Path:
    """Write a DICOM file of 16-bit grey values, or of 8-bit RGB."""
    pydicom = pytest.importorskip("pydicom")
    colour = values.ndim == 3
    bits = 8 * values.dtype.itemsize
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # PS3.3 C.11.2.1.2: centre 50, width 101; LINEAR is (x - 49.5) / 100 + 0.5.
        ("LINEAR", [0, 0, 0.005, 0.505, 1, 1]),
        # (x - 50) / 101 + 0.5
        ("LINEAR_EXACT", [0, 0.5 - 50 / 101, 0.5 - 49 / 101, 0.5 + 1 / 101, 1, 1]),
        ("SIGMOID", [1 / (1 + np.exp(-4 * (x - 50) / 101)) for x in (-20, 0, 1, 51, 101, 999)]),
    ],
)
def test_first_window_is_applied_after_rescaling(
    tmp_path: Path, function: str, expected: list[float]
) -> None:
    stored = np.array([[-20, 0, 1, 51, 101, 999]], np.int16) + 100
    if function == "LINEAR":
        expected = [0, 0.005, 0.015, 0.515, 1, 1]
    path = write_image(
        tmp_path / "scan.dcm",
        stored.astype(np.int16),
        RescaleSlope="1",
        RescaleIntercept="-100",
        WindowCenter=["50", "400"],
        WindowWidth=["101", "40"],
        VOILUTFunction=function,
    )
    image = read_image(path)
    assert image.shape == (1, 6, 3)
    np.testing.assert_allclose(image[0, :, 1], expected, atol=1e-6)


def test_without_a_window_the_range_is_shown_and_monochrome1_is_inverted(tmp_path: Path) -> None:
    values = np.array([[100, 200, 300]], np.uint16)
    plain = read_image(write_image(tmp_path / "a.dcm", values))
    np.testing.assert_allclose(plain[0, :, 0], [0, 0.5, 1], atol=1e-6)
    other = write_image(tmp_path / "b.dcm", values, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_image(other)[0, :, 0], [1, 0.5, 0], atol=1e-6)


def test_colours_are_kept(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    path = write_image(tmp_path / "colour.dcm", values)
    np.testing.assert_allclose(read_image(path.read_bytes()), values / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_real_files_are_shown_as_pydicom_shows_them(name: str) -> None:
    """pydicom brings its windows to another range, from which ours differs by an affine map."""
    pydicom = pytest.importorskip("pydicom")
    path = pytest.importorskip("pydicom.data").get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} is not part of this pydicom")
    dataset = pydicom.dcmread(path)
    values = pydicom.pixels.apply_modality_lut(dataset.pixel_array, dataset)
    shown = np.asarray(pydicom.pixels.apply_voi_lut(values, dataset), np.float64)
    image = read_image(path)[..., 0]
    assert image.std() > 0.05
    slope, offset = np.polyfit(shown.ravel(), image.ravel(), 1)
    np.testing.assert_allclose(slope * shown + offset, image, atol=1e-5)


def test_images_that_are_too_large_or_none_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "scan.dcm", np.zeros((4, 6), np.uint16))
    with pytest.raises(ImageError, match=r"scan\.dcm: .*24 pixels.* limit of 23"):
        read_image(path, max_pixels=23)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=r"scan\.dcm"):
        read_image(path)


def test_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(LibraryMissing, match=r"scan: is a DICOM.*'onnxplain\[dicom\]'"):
        read_image(bytes(128) + b"DICM", name="scan")
