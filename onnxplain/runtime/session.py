"""ONNX Runtime sessions: the device asked for is the device that runs, or an error says why."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import DeviceError
from onnxplain.runtime.binding import DeviceMemory
from onnxplain.runtime.device import PROVIDERS, Device, find_obstacle, suggest_packages
from onnxplain.runtime.driver import read_driver
from onnxplain.runtime.failures import OutOfMemory, translating_errors
from onnxplain.runtime.ort import (
    get_cudnn_version,
    import_runtime,
    list_providers,
    make_options,
    make_shrinking_options,
    preload_cuda,
    read_build,
    silencing,
)
from onnxplain.runtime.placement import Placement, check_placement, read_placement
from onnxplain.runtime.raw_sessions import RawSessions
from onnxplain.runtime.tensors import DevicePlace, Rows, describe_tensor

T = TypeVar("T")

NOWHERE: Mapping[str, DevicePlace] = {}

log = logging.getLogger(__name__)


@final
class Session:
    """A loaded model on a device; several threads may call it at once.

    Parameters
    ----------
    raws : RawSessions
        ONNX Runtime's own.
    device : Device
        Where it runs.
    name : str
        Of the model, in error texts.
    tf32 : bool
        Whether CUDA may multiply with 10 bits of mantissa.
    placement : Placement
        Which provider runs which nodes.
    """

    def __init__(
        self, raws: RawSessions, device: Device, name: str, *, tf32: bool, placement: Placement
    ) -> None:
        self._raws = raws
        self.device = device
        self.name = name
        self.tf32 = tf32
        self._placement = placement
        self._memory = DeviceMemory.of(device)
        self.inputs = tuple(map(describe_tensor, raws.first.get_inputs()))
        self.outputs = tuple(map(describe_tensor, raws.first.get_outputs()))

    @property
    def providers(self) -> tuple[str, ...]:
        """The execution providers in use, the preferred one first."""
        return tuple(self._raws.first.get_providers())

    @property
    def placement(self) -> Mapping[str, int]:
        """Number of nodes of the optimised graph that each provider runs."""
        return self._placement.nodes

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What ran the model, for the record of a result."""
        record: dict[str, Any] = {
            "device": str(self.device),
            "provider": self.providers[0],
            "tf32": self.tf32,
            "onnxruntime": str(import_runtime().__version__),
        }
        driver = read_driver() if self.device.where != "cpu" else None
        if driver is None:
            return record
        return record | {
            "gpu": driver.gpus[self.device.index].name,
            "driver": "CUDA {}.{}".format(*driver.cuda),
            "cuda": read_build().cuda,
            "cudnn": get_cudnn_version(),
            "placement": dict(self.placement),
            "heavy_on_cpu": dict(self._placement.heavy_on_cpu),
        }

    def run(
        self,
        feeds: Mapping[str, Rows],
        outputs: Sequence[str] = (),
        *,
        places: Mapping[str, DevicePlace] = NOWHERE,
    ) -> list[NDArray[Any]]:
        """Compute the named outputs.

        Parameters
        ----------
        feeds : mapping
            A value for each input: an array, or a place on the session's device.
        outputs : sequence of str
            Names of the outputs that are returned.
        places : mapping
            Places on the device for other outputs, which are written there.

        Raises
        ------
        OutOfMemory
            If the device has too little memory; the session stays usable.
        ModelError
            If the model cannot be run on these inputs.
        """

        def run(raw: Any, options: Any) -> list[NDArray[Any]]:
            if places or any(isinstance(value, DevicePlace) for value in feeds.values()):
                return self._memory.run(raw, options, feeds, outputs, places)
            answers: list[NDArray[Any]] = raw.run(list(outputs), dict(feeds), options)
            return answers

        return self._run(feeds, run)

    def run_on_device(self, feeds: Mapping[str, Rows], outputs: Sequence[str]) -> list[DevicePlace]:
        """Compute outputs and leave them on the device; see `run`."""
        return self._run(
            feeds, lambda raw, options: self._memory.leave(raw, options, feeds, outputs)
        )

    def upload(self, array: NDArray[Any]) -> DevicePlace:
        """Copy an array to the memory of the session's device."""
        with translating_errors(self.name, self.device, "run"):
            return self._memory.upload(array)

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DevicePlace:
        """Take room in the memory of the session's device, with any values in it."""
        with translating_errors(self.name, self.device, "run"):
            return self._memory.allocate(shape, dtype)

    def _run(self, feeds: Mapping[str, Rows], run: Callable[[Any, Any], T]) -> T:
        """Run ONNX Runtime's session for the shapes of some inputs."""
        shapes = tuple((name, value.shape) for name, value in feeds.items())
        raw = self._raws.get(shapes)
        try:
            with translating_errors(self.name, self.device, "run"):
                return run(raw, None)
        except OutOfMemory:
            if self.device.where == "cpu":
                raise
        # What the run took before it failed stays with ONNX Runtime, in pieces that may suit
        # smaller batches badly. After another run it is given back, whether that fails or not.
        with translating_errors(self.name, self.device, "run"):
            return run(raw, make_shrinking_options(self.device))


def open_session(
    model: bytes | Path,
    device: Device,
    *,
    name: str,
    folder: Path | None = None,
    threads: int = 1,
    tf32: bool = False,
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
        On CUDA: multiply with 10 bits of mantissa, where the hardware can. All calls should then
        have one shape, so that scores that are compared come from the same kernels.

    Raises
    ------
    DeviceError
        If the device is not available, or would run nothing of the model; there is no silent
        fallback.
    ModelError
        If ONNX Runtime cannot load the model.
    """
    load = partial(_open, model, name=name, folder=folder, threads=threads, tf32=tf32)
    if device.where != "auto":
        try_device(device)
        return load(device)
    cuda = Device("cuda")
    if why := find_obstacle(cuda, read_build()):
        log.info("device auto: cpu (%s)", why)
        return load(Device("cpu"))
    try:
        try_device(cuda)
        session = load(cuda)
    except DeviceError as error:
        log.warning("device auto: cpu (%s)", error)
        return load(Device("cpu"))
    log.info("device auto: cuda")
    return session


@cache
def try_device(device: Device) -> None:
    """Run one convolution on a GPU: sessions load without cuDNN, and fail when they run.

    Raises
    ------
    DeviceError
        If the device is not available, or CUDA or cuDNN fails.
    """
    if device.where == "cpu":
        return
    from onnxplain.graph.trial_graph import build_trial_graph  # it imports onnx, which takes 0.2 s

    session = _open(build_trial_graph(), device, name="a trial of the device")
    session.run({"x": np.zeros((1, 1, 3, 3), np.float32)}, ["y"])


def _open(
    model: bytes | Path,
    device: Device,
    *,
    name: str,
    folder: Path | None = None,
    threads: int = 1,
    tf32: bool = False,
) -> Session:
    """Load a model on a device that is not ``auto``."""
    ort = import_runtime()
    if why := find_obstacle(device, read_build()):
        raise DeviceError(f"--device {device} is not available: {why}")
    complaints = "" if device.where == "cpu" else preload_cuda()

    def open_raw() -> Any:
        with translating_errors(name, device, "load"), silencing(ort, device):
            return ort.InferenceSession(
                model if isinstance(model, bytes) else os.fspath(model),
                make_options(ort, device, threads=threads, folder=folder),
                providers=list_providers(device, tf32=tf32),
                enable_fallback=0,
            )

    raw = open_raw()
    # Only a created session shows it: a provider that fails to load is left out silently.
    if raw.get_providers()[0] != PROVIDERS[device.where]:
        reason = "; ".join(filter(None, (suggest_packages(), complaints)))
        raise DeviceError(f"--device {device} is not available: {reason}")
    placement = read_placement(raw)
    on_cpu = device.where == "cpu"
    if not on_cpu and (left := check_placement(placement, name, device)):
        log.warning("%s", left)
    raws = RawSessions(raw, open_raw, most=2 if placement.plans_shapes and not on_cpu else 1)
    return Session(raws, device, name, tf32=tf32 and not on_cpu, placement=placement)
