"""What a framework's model has to do: answer images, and differentiate its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Takes answers (N, K), and returns their weights.
Weigh: TypeAlias = Callable[[NDArray[Any]], NDArray[np.float32]]


class Network(Protocol):
    """A function of images as the model takes them, with or without its gradient."""

    @property
    def provider(self) -> str:
        """What runs it, for the record of a result."""
        ...

    def answer(self, images: NDArray[np.float32]) -> Any:
        """Return answers (N, K), as an array or tensor of any framework."""
        ...

    def differentiate(self, images: NDArray[np.float32], weigh: Weigh) -> tuple[Any, Any]:
        """Return the answers, and the gradient of ``(weigh(answers) * answers).sum()`` by images.

        Raises
        ------
        ModelError
            If there is no gradient.
        """
        ...


def convert_to_array(answer: Any) -> NDArray[Any]:
    """Convert the answer of a function of any framework to an array."""
    if hasattr(answer, "detach"):  # a tensor of PyTorch, which may have a gradient or a device
        answer = answer.detach().cpu()
    return np.asarray(answer)
