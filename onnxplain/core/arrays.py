"""Arrays in ``.npy`` and ``.npz`` files, read within the bounds that the files' sizes set."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from onnxplain.core.files import open_regular

MAX_BYTES = 1 << 30  # of the arrays of one file
FREE_BYTES = 16 << 20  # to which a small file may expand; beyond, no more than twice its size

_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: Path) -> NDArray[Any]:
    """Read the array of an ``.npy`` file.

    Raises
    ------
    ValueError
        If the file holds no plain array, or its header promises more than the file holds.
    OSError
        If it cannot be read.
    """
    with open_regular(path) as file:
        return _read_array(file, path.stat().st_size)


def read_npz(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, NDArray[Any]]:
    """Read the arrays of an ``.npz`` file, by name.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int
        Of all arrays together.

    Raises
    ------
    ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError
        If the file is no archive of plain arrays, or expands far beyond its size.
    OSError
        If it cannot be read.
    """
    limit = min(max_bytes, max(FREE_BYTES, 2 * path.stat().st_size))
    with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > limit:
            raise ValueError("it expands far beyond its size")
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = _read_array(file, member.file_size)
    return arrays


def _read_array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Read an array, unless its header asks for more memory than the file has bytes."""
    start = file.tell()
    version = npy.read_magic(file)
    if version not in _HEADER_READERS:
        raise ValueError("it is not a plain array of numbers")
    shape, _, dtype = _HEADER_READERS[version](file)
    if dtype.hasobject or dtype.itemsize * math.prod(shape) > size:
        raise ValueError("it is not a plain array of numbers, or is cut off")
    file.seek(start)
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return np.asarray(array)
