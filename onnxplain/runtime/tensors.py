"""Tensors that go into models and come out: what they are, and where they lie."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: name, shape (None where it may vary), element type (None: other)."""

    name: str
    shape: tuple[int | None, ...]
    dtype: type[np.generic] | None


class DevicePlace(NamedTuple):
    """A tensor in the memory of a device, which it keeps alive."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    owner: Any  # what the memory belongs to

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def cut(self, start: int, stop: int) -> DevicePlace:
        """Return the rows from `start` to `stop`."""
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        shape = (stop - start, *self.shape[1:])
        return DevicePlace(self.address + start * row_bytes, self.dtype, shape, self.owner)

    def join(self, other: DevicePlace) -> DevicePlace | None:
        """Return both as one place, if the other's rows follow in the same memory."""
        end = self.address + math.prod(self.shape) * self.dtype.itemsize
        if other.owner is not self.owner or other.address != end:
            return None
        shape = (self.n_rows + other.n_rows, *self.shape[1:])
        return DevicePlace(self.address, self.dtype, shape, self.owner)


def join_places(places: Iterable[DevicePlace]) -> list[DevicePlace]:
    """Join neighbours that follow one another in memory."""
    joined: list[DevicePlace] = []
    for place in places:
        both = joined[-1].join(place) if joined else None
        if both is None:
            joined.append(place)
        else:
            joined[-1] = both
    return joined


Rows: TypeAlias = NDArray[Any] | DevicePlace  # a batch, on the host or on the device


def describe_tensor(argument: Any) -> TensorInfo:
    """Describe an input or output of ONNX Runtime's session."""
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    return TensorInfo(argument.name, shape, DTYPES.get(argument.type))
