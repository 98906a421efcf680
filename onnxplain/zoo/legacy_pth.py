"""Read a state dict in the format of PyTorch before 1.6, without PyTorch.

Such a file is five pickles (magic number, protocol, machine, the dict, the keys of its
storages), then for each key a 64-bit count and that many raw little-endian elements. A
pickle can run code, so only the names that a state dict needs are resolved, each to
something harmless, and every offset, shape and stride is checked against the data.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import ZooError

StateDict: TypeAlias = dict[str, NDArray[Any]]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class Storage(NamedTuple):
    """The elements behind one or more tensors: the name of their type, their key and number."""

    type: str
    key: str
    length: int


class StoredTensor(NamedTuple):
    """A strided view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(data: bytes) -> StateDict:
    """Return arrays by name, as ``torch.load`` would.

    Parameters
    ----------
    data : bytes
        The whole file. Check its hash before: no code in it runs, but a hostile pickle can
        still ask for much memory.

    Returns
    -------
    state : dict of ndarray
        Copies that own their memory, of the element type in the file.

    Raises
    ------
    ZooError
        If the data is not such a file, holds anything but tensors, or is damaged.
    """
    stream = io.BytesIO(data)
    _require(_unpickle(stream) == MAGIC, "it does not start with the format's magic number")
    _require(_unpickle(stream) == PROTOCOL, "it is of another protocol version")
    machine = _unpickle(stream)
    _require(
        isinstance(machine, dict) and machine.get("little_endian") is True,
        "it was not written on a little-endian machine",
    )
    tensors = _check_state(_unpickle(stream))
    keys = _unpickle(stream)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    _require(
        isinstance(keys, list) and len(keys) == len(storages) and set(keys) == set(storages),
        "its storages are not those of its tensors",
    )
    elements = {key: _read_elements(stream, storages[key]) for key in keys}
    _require(not stream.read(1), "there is more data after the last storage")
    return {
        name: _copy_tensor(tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()
    }


class _Unpickler(pickle.Unpickler):
    """An unpickler that resolves only the names that a state dict is made of."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a harmless stand-in for a name, or raise an error."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: Any) -> Storage:
        """Return the storage that a persistent id describes."""
        _require(isinstance(pid, tuple) and len(pid) == 6, "a storage is not described")
        tag, type_name, key, _location, length, view = pid
        _require(
            tag == "storage"
            and type_name in STORAGES
            and isinstance(key, str)
            and isinstance(length, int)
            and length >= 0
            and view is None,
            f"the storage {pid!r:.80} is of an unknown kind",
        )
        return Storage(type_name, key, length)


def _rebuild_tensor(
    storage: object, offset: object, shape: object, strides: object, *_gradient: object
) -> StoredTensor:
    """Return the tensor that torch's function would make from the same arguments."""
    _require(
        isinstance(storage, Storage) and _is_extent((offset,)) and _is_extent(shape, strides),
        "a tensor is not described by a storage, an offset, a shape and strides",
    )
    return StoredTensor(storage, offset, shape, strides)  # type: ignore[arg-type]  # just checked


def _is_extent(*parts: object) -> bool:
    """Return whether all parts are tuples of integers >= 0, of equal length."""
    return (
        all(
            isinstance(part, tuple) and all(isinstance(side, int) and side >= 0 for side in part)
            for part in parts
        )
        and len({len(part) for part in parts if isinstance(part, tuple)}) == 1
    )


def _unpickle(stream: io.BytesIO) -> Any:
    try:
        return _Unpickler(stream).load()
    except ZooError:
        raise
    except Exception as error:  # damaged pickles raise nearly anything
        raise ZooError(f"not a readable state dict: {error}") from error


def _check_state(state: object) -> dict[str, StoredTensor]:
    """Return the tensors by name, or raise an error if there is anything else."""
    _require(isinstance(state, dict), "it holds no dict")
    assert isinstance(state, dict)
    for name, value in state.items():
        _require(
            isinstance(name, str) and isinstance(value, StoredTensor),
            f"its entry {name!r:.80} is not a named tensor",
        )
    return dict(state)


def _read_elements(stream: io.BytesIO, storage: Storage) -> NDArray[Any]:
    """Read the raw elements of the next storage."""
    dtype = np.dtype(STORAGES[storage.type])
    count = int.from_bytes(stream.read(8), "little", signed=True)
    _require(
        count == storage.length, f"storage {storage.key} has {count} elements, not {storage.length}"
    )
    raw = stream.read(count * dtype.itemsize)
    _require(len(raw) == count * dtype.itemsize, f"it ends within storage {storage.key}")
    return np.frombuffer(raw, dtype)


def _copy_tensor(tensor: StoredTensor, elements: NDArray[Any]) -> NDArray[Any]:
    """Copy a tensor's elements, which may neither leave their storage nor outnumber it."""
    last = tensor.offset + sum(
        (side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    size = math.prod(tensor.shape)
    _require(
        size == 0 or (last < len(elements) and size <= len(elements)),
        f"a tensor of shape {tensor.shape} leaves its storage of {len(elements)} elements",
    )
    if size == 0:
        return np.zeros(tensor.shape, elements.dtype)
    strides = [stride * elements.itemsize for stride in tensor.strides]
    view = np.lib.stride_tricks.as_strided(
        elements[tensor.offset :], tensor.shape, strides, writeable=False
    )
    return view.copy()


def _require(condition: bool, reason: str) -> None:
    """Raise an error for `reason` unless a condition holds."""
    if not condition:
        raise ZooError(f"not a readable state dict: {reason}")
