"""Runs of ONNX Runtime whose inputs or outputs lie in the memory of a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.runtime.device import Device
from onnxplain.runtime.ort import import_runtime
from onnxplain.runtime.tensors import DTYPES, DevicePlace, Rows


@final
class DeviceMemory(NamedTuple):
    """The memory that a device works in, as ONNX Runtime names it."""

    kind: str
    number: int

    @classmethod
    def of(cls, device: Device) -> DeviceMemory:
        """Return the memory of a device."""
        return cls("cpu" if device.where == "cpu" else "cuda", device.index)

    def upload(self, array: NDArray[Any]) -> DevicePlace:
        """Copy an array to the device."""
        value = import_runtime().OrtValue.ortvalue_from_numpy(array, *self)
        return DevicePlace(value.data_ptr(), array.dtype, array.shape, value)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DevicePlace:
        """Take room on the device, with any values in it."""
        make = import_runtime().OrtValue.ortvalue_from_shape_and_type
        value = make(shape, dtype.type, *self)
        return DevicePlace(value.data_ptr(), dtype, shape, value)

    def run(
        self,
        raw: Any,
        options: Any,
        feeds: Mapping[str, Rows],
        outputs: Sequence[str],
        places: Mapping[str, DevicePlace],
    ) -> list[NDArray[Any]]:
        """Run ONNX Runtime's session `raw`; see `Session.run`."""
        binding = self._bind(raw, feeds)
        for output in outputs:
            binding.bind_output(output, "cpu")
        for output, place in places.items():
            binding.bind_output(output, *self, place.dtype, place.shape, place.address)
        raw.run_with_iobinding(binding, options)
        return [value.numpy() for value in binding.get_outputs()[: len(outputs)]]

    def leave(
        self, raw: Any, options: Any, feeds: Mapping[str, Rows], outputs: Sequence[str]
    ) -> list[DevicePlace]:
        """Run ONNX Runtime's session `raw` and leave outputs on the device."""
        binding = self._bind(raw, feeds)
        for output in outputs:
            binding.bind_output(output, *self)
        raw.run_with_iobinding(binding, options)
        return [_describe(value) for value in binding.get_outputs()]

    def _bind(self, raw: Any, feeds: Mapping[str, Rows]) -> Any:
        """Bind inputs that may be on the device already."""
        binding = raw.io_binding()
        for name, value in feeds.items():
            if isinstance(value, DevicePlace):
                binding.bind_input(name, *self, value.dtype, value.shape, value.address)
            else:
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
        return binding


def _describe(value: Any) -> DevicePlace:
    """Describe where ONNX Runtime's value lies."""
    dtype = np.dtype(DTYPES[value.data_type()])
    return DevicePlace(value.data_ptr(), dtype, tuple(value.shape()), value)
