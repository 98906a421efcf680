"""Read a PyTorch state dict of the format before 1.6, without PyTorch.

Such a file is five pickles (magic number, protocol, machine, the dict, the keys of its
storages), then for each key a 64-bit count and that many raw little-endian elements. A
pickle can run code, so only the three names that a state dict needs are resolved, each to
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
    """The elements behind one or more tensors: their type's name, key and number."""

    type: str
    key: str
    length: int


class Tensor(NamedTuple):
    """A strided view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(data: bytes) -> StateDict:
    """Arrays by name, as ``torch.load`` would give them.

    Parameters
    ----------
    data : bytes
        The whole file. Its hash should be known: no code in it runs, but a hostile pickle can
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
    tensors = _tensors(_unpickle(stream))
    keys = _unpickle(stream)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    _require(
        isinstance(keys, list) and len(keys) == len(storages) and set(keys) == set(storages),
        "its storages are not those of its tensors",
    )
    elements = {key: _elements(stream, storages[key]) for key in keys}
    _require(not stream.read(1), "there is more data after the last storage")
    return {name: _view(tensor, elements[tensor.storage.key]) for name, tensor in tensors.items()}


class _Unpickler(pickle.Unpickler):
    """Resolves only what a state dict is made of."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no state dict needs")

    def persistent_load(self, pid: Any) -> Storage:
        _require(isinstance(pid, tuple) and len(pid) == 6, "a storage is not described")
        tag, kind, key, _location, length, view = pid
        _require(
            tag == "storage"
            and kind in STORAGES
            and isinstance(key, str)
            and isinstance(length, int)
            and length >= 0
            and view is None,
            f"the storage {pid!r:.80} is of an unknown kind",
        )
        return Storage(kind, key, length)


def _tensor(
    storage: object, offset: object, shape: object, strides: object, *_gradient: object
) -> Tensor:
    """Stands in for torch's function of the same arguments."""
    _require(
        isinstance(storage, Storage) and _is_extent((offset,)) and _is_extent(shape, strides),
        "a tensor is not described by a storage, an offset, a shape and strides",
    )
    return Tensor(storage, offset, shape, strides)  # type: ignore[arg-type]  # just checked


def _is_extent(*parts: object) -> bool:
    """Whether these are tuples of equal length of integers >= 0."""
    return (
        all(
            isinstance(part, tuple) and all(isinstance(n, int) and n >= 0 for n in part)
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


def _tensors(state: object) -> dict[str, Tensor]:
    _require(isinstance(state, dict), "it holds no dict")
    assert isinstance(state, dict)
    for name, value in state.items():
        _require(
            isinstance(name, str) and isinstance(value, Tensor),
            f"its entry {name!r:.80} is not a named tensor",
        )
    return dict(state)


def _elements(stream: io.BytesIO, storage: Storage) -> NDArray[Any]:
    """The next storage's raw elements."""
    dtype = np.dtype(STORAGES[storage.type])
    count = int.from_bytes(stream.read(8), "little", signed=True)
    _require(
        count == storage.length, f"storage {storage.key} has {count} elements, not {storage.length}"
    )
    raw = stream.read(count * dtype.itemsize)
    _require(len(raw) == count * dtype.itemsize, f"it ends within storage {storage.key}")
    return np.frombuffer(raw, dtype)


def _view(tensor: Tensor, elements: NDArray[Any]) -> NDArray[Any]:
    """A copy of the tensor's elements; a view may neither leave its storage nor outgrow it."""
    last = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    size = math.prod(tensor.shape)
    _require(
        size == 0 or (last < len(elements) and size <= len(elements)),
        f"a tensor of shape {tensor.shape} leaves its storage of {len(elements)} elements",
    )
    if size == 0:
        return np.zeros(tensor.shape, elements.dtype)
    strides = [step * elements.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(
        elements[tensor.offset :], tensor.shape, strides, writeable=False
    )
    return view.copy()


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ZooError(f"not a readable state dict: {otherwise}")
