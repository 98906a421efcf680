"""ONNX Runtime sessions: the device asked for is the device that runs, or an error says why."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import DeviceError
from onnxplain.runtime.device import PROVIDERS, Device, find_obstacle, suggest_fix
from onnxplain.runtime.failures import translating_errors
from onnxplain.runtime.ort import (
    import_runtime,
    list_providers,
    make_options,
    preload_cuda,
    silencing,
)

log = logging.getLogger(__name__)

DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output: name, shape (None where it may vary), element type (None: other)."""

    name: str
    shape: tuple[int | None, ...]
    dtype: type[np.generic] | None


class DevicePlace(NamedTuple):
    """A tensor in the memory of a device."""

    address: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


Rows: TypeAlias = NDArray[Any] | DevicePlace  # a batch, on the host or on the device


@final
class Session:
    """A loaded model on a device; several threads may call it at once."""

    def __init__(self, raw: Any, device: Device, name: str, *, tf32: bool) -> None:
        self._raw = raw
        self.device = device
        self.name = name
        self.tf32 = tf32
        self.inputs = tuple(_describe_tensor(argument) for argument in raw.get_inputs())
        self.outputs = tuple(_describe_tensor(argument) for argument in raw.get_outputs())

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, the preferred one first."""
        return tuple(self._raw.get_providers())

    @property
    def placement(self) -> Mapping[str, int]:
        """Number of nodes of the optimised graph that each provider runs."""
        counts: dict[str, int] = {}
        for subgraph in self._raw.get_provider_graph_assignment_info():
            nodes = len(subgraph.get_nodes())
            counts[subgraph.ep_name] = counts.get(subgraph.ep_name, 0) + nodes
        return counts

    def run(self, feeds: Mapping[str, Rows], outputs: Sequence[str]) -> list[NDArray[Any]]:
        """Compute the named outputs.

        Parameters
        ----------
        feeds : mapping
            A value for each input: an array, or a place on the session's device.
        outputs : sequence of str
            Names of the outputs.

        Raises
        ------
        OutOfMemory
            If the device has too little memory; the session stays usable.
        ModelError
            If the model cannot be run on these inputs.
        """
        with translating_errors(self.name, self.device, "run"):
            answers: list[NDArray[Any]]
            if not any(isinstance(value, DevicePlace) for value in feeds.values()):
                answers = self._raw.run(list(outputs), dict(feeds))
                return answers
            binding = self._bind(feeds)
            for output in outputs:
                binding.bind_output(output, "cpu")
            self._raw.run_with_iobinding(binding)
            answers = [value.numpy() for value in binding.get_outputs()]
            return answers

    def run_into(self, inputs: Mapping[str, Any], output: str, place: DevicePlace) -> None:
        """Compute an output and write it to a place on the device.

        Parameters
        ----------
        inputs : mapping
            Arrays, which are copied to the device; results of `upload`; or places.
        output : str
            Name of the output.
        place : DevicePlace
            Where it is written.

        Raises
        ------
        OutOfMemory, ModelError
            As `run`.
        """
        kind, index = self._memory
        with translating_errors(self.name, self.device, "run"):
            binding = self._bind(inputs)
            binding.bind_output(output, kind, index, place.dtype, place.shape, place.address)
            self._raw.run_with_iobinding(binding)

    def upload(self, array: NDArray[Any]) -> Any:
        """Copy an array to the memory of the session's device."""
        kind, index = self._memory
        with translating_errors(self.name, self.device, "run"):
            return import_runtime().OrtValue.ortvalue_from_numpy(array, kind, index)

    def _bind(self, inputs: Mapping[str, Any]) -> Any:
        """Bind inputs that may be on the device already."""
        kind, index = self._memory
        binding = self._raw.io_binding()
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, np.ascontiguousarray(value))
            elif isinstance(value, DevicePlace):
                binding.bind_input(name, kind, index, value.dtype, value.shape, value.address)
            else:
                binding.bind_ortvalue_input(name, value)
        return binding

    @property
    def _memory(self) -> tuple[str, int]:
        """Kind and index of the memory that the device works in."""
        return ("cpu" if self.device.where == "cpu" else "cuda"), self.device.index


def open_session(
    model: bytes | Path,
    device: Device,
    *,
    name: str,
    folder: Path | None = None,
    threads: int = 1,
    tf32: bool = True,
) -> Session:
    """Load a model on a device.

    Parameters
    ----------
    model : bytes or Path
        The file's content, or its path.
    device : Device
        ``auto`` takes CUDA where it is available, and logs which device it took.
    name : str
        Name of the model in error texts.
    folder : Path, optional
        Folder of the external data of a model that is given by its content.
    threads : int
        Threads within one run, on CPU. One, with a worker thread per core, is the fastest.
    tf32 : bool
        On CUDA: multiply with 10 bits of mantissa, where the hardware can.

    Raises
    ------
    DeviceError
        If the device is not available; there is no silent fallback.
    ModelError
        If ONNX Runtime cannot load the model.
    """
    load = partial(_open, model, name=name, folder=folder, threads=threads, tf32=tf32)
    if device.where != "auto":
        return load(device)
    cuda = Device("cuda")
    if why := find_obstacle(cuda, import_runtime().get_available_providers()):
        log.info("device auto: cpu (%s)", why)
        return load(Device("cpu"))
    try:
        session = load(cuda)
    except DeviceError as error:
        log.warning("device auto: cpu (%s)", error)
        return load(Device("cpu"))
    log.info("device auto: cuda")
    return session


def _open(
    model: bytes | Path,
    device: Device,
    *,
    name: str,
    folder: Path | None,
    threads: int,
    tf32: bool,
) -> Session:
    """Load a model on a device that is not ``auto``."""
    ort = import_runtime()
    if why := find_obstacle(device, ort.get_available_providers()):
        raise DeviceError(f"--device {device} is not available: {why}")
    complaints = "" if device.where == "cpu" else preload_cuda()
    source = model if isinstance(model, bytes) else os.fspath(model)
    with translating_errors(name, device, "load"), silencing(ort):
        raw = ort.InferenceSession(
            source,
            make_options(ort, threads, folder),
            providers=list_providers(device, tf32=tf32),
            enable_fallback=0,
        )
    # Only a created session shows it: a provider that fails to load is left out silently.
    if raw.get_providers()[0] != PROVIDERS[device.where]:
        reason = "; ".join(filter(None, (suggest_fix(device), complaints)))
        raise DeviceError(f"--device {device} is not available: {reason}")
    return Session(raw, device, name, tf32=tf32 and device.where != "cpu")


def _describe_tensor(argument: Any) -> TensorInfo:
    """Describe an input or output of ONNX Runtime's session."""
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    return TensorInfo(argument.name, shape, DTYPES.get(argument.type))
