"""Arrays are read within the bounds that the files set."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from onnxplain.core.arrays import read_npy, read_npz


def make_npy(shape: tuple[int, ...], content: bytes = b"") -> bytes:
    """Make a file whose header may promise more than it holds."""
    stream = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


def test_arrays_are_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    arrays = {"a": rng.random((3, 4)), "b": np.asfortranarray(rng.random((5, 2), np.float32))}
    np.savez(tmp_path / "a.npz", **arrays)
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    for name in ("a.npz", "b.npz"):
        read = read_npz(tmp_path / name)
        assert set(read) == {"a", "b"}
        for key, array in arrays.items():
            np.testing.assert_array_equal(read[key], array)
    np.save(tmp_path / "a.npy", arrays["b"])
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), arrays["b"])


def test_archive_that_expands_far_beyond_its_size_is_refused(tmp_path: Path):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, heatmap=np.zeros(1 << 23, np.float32))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="expands far beyond its size"):
        read_npz(path)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 20, 1 << 20), (3,)])
def test_header_that_promises_too_much_is_refused(tmp_path: Path, shape: tuple[int, ...]):
    content = make_npy(shape, b"12345678")[:-100] if shape == (3,) else make_npy(shape)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("heatmap.npy", content)
    with pytest.raises(ValueError, match=r".+"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r".+"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_pipes_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_npy, read_npz):
        with pytest.raises(OSError, match="a device or a pipe"):
            read(tmp_path / "pipe")


def test_pickles_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="plain array"):
        read_npy(tmp_path / "a.npy")
