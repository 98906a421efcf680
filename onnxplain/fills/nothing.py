"""The fill of methods that remove nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Image
from onnxplain.core.flow import NO_FILL
from onnxplain.core.params import Parametrised


@dataclass(frozen=True)
class Nothing(Parametrised):
    """No fill at all: the method removes nothing, so there is nothing to fill."""

    name: ClassVar[str] = NO_FILL

    def prepare(self, image: Image, rng: np.random.Generator) -> Image:
        """Raise a `ValueError`: there is no fill."""
        raise ValueError("the method removes nothing, so it has no fill; name one, such as blur")
