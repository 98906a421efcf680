"""Classifiers from models of Keras, on TensorFlow, PyTorch or JAX, with their gradients."""

from __future__ import annotations

from functools import partial
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.errors import LibraryMissing, ModelError
from onnxplain.describe.fields import SpecSource
from onnxplain.runtime.callable import CallableClassifier
from onnxplain.runtime.function_spec import make_classifier
from onnxplain.runtime.network import Network, Weigh
from onnxplain.runtime.torch_module import TorchNetwork


def from_keras(
    model: Any,
    *,
    size: int | tuple[int, int] | None = None,
    batch_size: int = 32,
    name: str | None = None,
    **description: Any,
) -> CallableClassifier:
    """Make a classifier from a model of Keras; its gradients come from Keras's backend.

    The model is called with ``training=False``, on the device that Keras chooses.

    Parameters
    ----------
    model : keras.Model
        Takes images (N, H, W, C) and returns scores (N, K). Keras 3 with any of TensorFlow,
        PyTorch and JAX as its backend, which TensorFlow 2.16 and newer have as ``tf.keras``.
    size : int or (rows, columns), optional
        Size of the images that it takes, 1 to 4096; needed unless the model's input has a
        fixed size.
    batch_size : int
        Largest number of images per call, at least 1; 32 if not given.
    name : str, optional
        Name of the classifier in results; the model's own name if not given.
    **description
        As for `onnxplain.load`: preprocessing, layout (``nhwc`` if not given), colour, range,
        mean, std, fit, crop, interpolation, head, class_names, labels. How pixels are
        normalised has to be said: ``preprocessing="bytes"`` for models that take 0 to 255,
        as EfficientNet of keras.applications, ``"keras-tf"`` for MobileNet, ``"keras-caffe"``
        for VGG and ResNet. What the scores are is seen if it is not said.

    Returns
    -------
    classifier : CallableClassifier

    Raises
    ------
    LibraryMissing
        If neither keras nor tensorflow is installed.
    ModelError
        If the description is not complete, the model cannot be run on such images, it draws
        at random, or its answers are not scores of classes.
    ValueError, TypeError
        If an argument is out of range, or the model is none.

    Examples
    --------
    >>> import keras, onnxplain  # doctest: +SKIP
    >>> model = keras.applications.MobileNetV2()  # doctest: +SKIP
    >>> classifier = onnxplain.from_keras(model, preprocessing="keras-tf")  # doctest: +SKIP
    >>> classifier.predict("photo.jpg", top=3)  # doctest: +SKIP
    """
    keras = _import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model is a keras.Model, got {type(model).__name__}; onnxplain.load takes ONNX files, "
            f"and onnxplain.from_callable any function"
        )
    name = name or model.name
    return make_classifier(
        _make_network(keras, name, model),
        name=name,
        size=size,
        layout="nhwc",
        batch_size=batch_size,
        found=_read_size(model),
        description=description,
    )


def _import_keras() -> Any:
    try:
        import keras
    except ImportError as error:
        raise LibraryMissing(
            f"from_keras needs keras ({error}); pip install keras, and tensorflow, torch or jax"
        ) from error
    return keras


def _make_network(keras: Any, name: str, model: Any) -> Network:
    backend = keras.backend.backend()
    label = f"keras {keras.__version__} on {backend}"
    call = partial(model, training=False)
    if backend == "torch":
        return TorchNetwork(name, model, call)
    if backend == "tensorflow":
        return _TensorFlowNetwork(name, call, label)
    if backend == "jax":
        return _JaxNetwork(call, label)
    raise ModelError(f"{name}: Keras runs on {backend}, which has no gradients; choose another")


def _read_size(model: Any) -> list[SpecSource]:
    """Return the size of a model's input where it is fixed and the layout plain."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        return []
    fields: dict[str, Any] = {"colour": "grey"} if shape[3] == 1 else {}
    if None not in shape[1:3]:
        fields["size"] = shape[1:3]
    return [SpecSource("the model's input", fields)]


@final
class _TensorFlowNetwork:
    """The `Network` of a function of tensors of TensorFlow."""

    def __init__(self, name: str, call: Any, provider: str) -> None:
        import tensorflow

        self._tensorflow = tensorflow
        self._name = name
        self._call = call
        self.provider = provider

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (N, K) of images in the model's layout."""
        return self._to_array(self._call(self._tensorflow.constant(images)))

    def differentiate(
        self, images: NDArray[np.float32], weigh: Weigh
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores, and the gradient of their weighted sum by the images."""
        tensor = self._tensorflow.constant(images)
        with self._tensorflow.GradientTape() as tape:
            tape.watch(tensor)
            scores = self._call(tensor)
        array = self._to_array(scores)
        weights = self._tensorflow.cast(weigh(array), scores.dtype)
        gradient = tape.gradient(scores, tensor, output_gradients=weights)
        if gradient is None:
            raise ModelError(
                f"{self._name}: TensorFlow has no gradient of its scores by the images"
            )
        return array, self._to_array(gradient)

    def _to_array(self, tensor: Any) -> NDArray[np.float32]:
        array: NDArray[np.float32] = tensor.numpy().astype(np.float32)
        return array


@final
class _JaxNetwork:
    """The `Network` of a function of arrays of JAX."""

    def __init__(self, call: Any, provider: str) -> None:
        import jax

        self._jax = jax
        self._call = call
        self.provider = provider

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return scores (N, K) of images in the model's layout."""
        return np.array(self._call(self._jax.numpy.array(images)), np.float32)

    def differentiate(
        self, images: NDArray[np.float32], weigh: Weigh
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the scores, and the gradient of their weighted sum by the images."""
        scores, pull = self._jax.vjp(self._call, self._jax.numpy.array(images))
        array = np.array(scores, np.float32)
        (gradient,) = pull(self._jax.numpy.asarray(weigh(array), scores.dtype))
        return array, np.array(gradient, np.float32)
