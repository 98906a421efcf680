"""Classifiers from modules of PyTorch, with gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import DeviceError, LibraryMissing, ModelError
from onnxplain.describe.fields import SpecSource
from onnxplain.runtime.callable import CallableClassifier
from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.function_spec import make_classifier
from onnxplain.runtime.network import Weigh


def from_torch(
    module: Any,
    *,
    size: int | tuple[int, int] | None = None,
    device: str | None = None,
    batch_size: int = 32,
    name: str | None = None,
    **description: Any,
) -> CallableClassifier:
    """Make a classifier from a module of PyTorch; its gradients come from autograd.

    The module runs in evaluation mode, whatever mode it is in, and is left in its mode.

    Parameters
    ----------
    module : torch.nn.Module
        Takes images (N, C, H, W), and returns scores (N, K): a tensor, or an object with the
        attribute ``logits``, as the models of Hugging Face do. The type of its parameters
        decides that of the images.
    size : int or (rows, columns), optional
        Size of the images that it takes, 1 to 4096; needed unless the module is one of timm,
        which says it.
    device : str, optional
        ``cpu``, ``cuda`` or another name of torch: the module is moved there. If not given, it
        runs where its parameters are.
    batch_size : int
        Largest number of images per call, at least 1; 32 if not given.
    name : str, optional
        Name of the classifier in results; the module's class if not given.
    **description
        As for `onnxplain.load`: preprocessing, layout (``nchw`` if not given), colour, range,
        mean, std, fit, crop, interpolation, head, class_names, labels. How pixels are
        normalised has to be said, as by ``preprocessing="torchvision"``, unless the module is
        one of timm. What the scores are is seen if it is not said.

    Returns
    -------
    classifier : CallableClassifier

    Raises
    ------
    LibraryMissing
        If torch is not installed.
    ModelError
        If the description is not complete, the module cannot be run on such images, it draws
        at random, or its answers are not scores of classes.
    DeviceError
        If it cannot be moved to the device.
    ValueError, TypeError
        If an argument is out of range, or the module is none.

    Examples
    --------
    >>> import onnxplain, torchvision  # doctest: +SKIP
    >>> module = torchvision.models.resnet50(weights="DEFAULT")  # doctest: +SKIP
    >>> classifier = onnxplain.from_torch(
    ...     module, size=224, preprocessing="torchvision"
    ... )  # doctest: +SKIP
    >>> onnxplain.explain(classifier, "photo.jpg", "mp2").save("out")  # doctest: +SKIP
    """
    torch = import_torch("from_torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"module is a torch.nn.Module, got {type(module).__name__}; onnxplain.load takes ONNX "
            f"files, and onnxplain.from_callable any function"
        )
    if device is not None:
        try:
            module.to(torch.device(device))
        except (AssertionError, RuntimeError) as error:
            raise DeviceError(f"device {device!r} cannot be used by torch: {error}") from error
    name = name or type(module).__name__
    return make_classifier(
        TorchNetwork(name, module, module),
        name=name,
        size=size,
        layout="nchw",
        batch_size=batch_size,
        found=_read_own_description(module),
        description=description,
    )


def import_torch(needed_by: str) -> Any:
    """Import torch.

    Raises
    ------
    LibraryMissing
        If it is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise LibraryMissing(f"{needed_by} needs torch ({error}); pip install torch") from error
    return torch


@final
class TorchNetwork:
    """The `Network` of a function of tensors.

    Parameters
    ----------
    name : str
        Its name in error texts.
    module : torch.nn.Module
        Holds the parameters, and is in evaluation mode while the function runs.
    function : callable
        Takes and returns tensors; the module itself, or what calls it.
    """

    def __init__(self, name: str, module: Any, function: Callable[[Any], Any]) -> None:
        self._torch = import_torch("a module")
        self._name = name
        self._module = module
        self._function = function

    @property
    def provider(self) -> str:
        """The framework, its version, and where it runs."""
        device, _ = self._find_home()
        return f"torch {self._torch.__version__} on {device}"

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (N, K) of images in the module's layout."""
        with self._translating_memory(), evaluating(self._module), self._torch.no_grad():
            return self._to_array(self._run(self._to_tensor(images)))

    def differentiate(
        self, images: NDArray[np.float32], weigh: Weigh
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores, and the gradient of their weighted sum by the images."""
        torch = self._torch
        with (
            self._translating_memory(),
            evaluating(self._module),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            tensor = self._to_tensor(images).requires_grad_()
            scores = self._run(tensor)
            array = self._to_array(scores)
            weights = torch.from_numpy(weigh(array)).to(scores.device, scores.dtype)
            try:
                (gradient,) = torch.autograd.grad(scores, tensor, weights)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise ModelError(
                    f"{self._name}: autograd has no gradient of its scores by the images: {error}"
                ) from error
        return array, self._to_array(gradient)

    @contextmanager
    def _translating_memory(self) -> Iterator[None]:
        """Raise `OutOfMemory` where torch has no memory left, so that batches become smaller."""
        try:
            yield
        except self._torch.OutOfMemoryError as error:
            raise OutOfMemory(f"{self._name}: out of memory: {error}") from error

    def _run(self, tensor: Any) -> Any:
        answer = self._function(tensor)
        answer = getattr(answer, "logits", answer)
        if not isinstance(answer, self._torch.Tensor):
            raise ModelError(
                f"{self._name}: returns {type(answer).__name__}; wrap it in a module that returns "
                f"a tensor of scores (N, K)"
            )
        return answer

    def _find_home(self) -> tuple[Any, Any]:
        """Return the device and the type of the first parameter with real numbers."""
        for parameter in (*self._module.parameters(), *self._module.buffers()):
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
        return self._torch.device("cpu"), self._torch.float32

    def _to_tensor(self, images: NDArray[np.float32]) -> Any:
        device, dtype = self._find_home()
        # A copy: the array's memory is used again for the next batch.
        return self._torch.tensor(images, device=device, dtype=dtype)

    def _to_array(self, tensor: Any) -> NDArray[np.float32]:
        array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
        return array


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Keep a module in evaluation mode, and give its parts their modes back."""
    training = [part for part in module.modules() if part.training]
    if training:
        module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _read_own_description(module: Any) -> list[SpecSource]:
    """Return what a module of timm or Hugging Face says of itself."""
    from onnxplain.describe.framework_configs import read_id2label, read_timm

    found = []
    config = getattr(module, "pretrained_cfg", None)
    if isinstance(config, Mapping):
        found.append(replace(read_timm({"pretrained_cfg": config}), name="pretrained_cfg"))
    labels = getattr(getattr(module, "config", None), "id2label", None)
    if isinstance(labels, Mapping):
        found.append(SpecSource("id2label", read_id2label({"id2label": labels}, "id2label")))
    return found
