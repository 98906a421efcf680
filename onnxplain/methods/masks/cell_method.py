"""The members that methods with a mask of cells share: its size, and the choice of gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Self

from onnxplain.core.data import Size
from onnxplain.core.params import Parametrised, shrink_default


class CellMethod(Parametrised):
    """Base of the methods that find a mask of cells, by gradients or by scores alone.

    They declare `grid`, the cells per side, and a parameter that says how slopes of the score are
    found: ``auto``, the value in `without_gradients`, or one that needs gradients.
    """

    __slots__ = ()

    without_gradients: ClassVar[str]  # such as "estimator=spsa"

    @property
    def wants_gradients(self) -> bool:
        """Whether the method uses gradients where the classifier has them."""
        name, alone = self.without_gradients.split("=")
        return bool(getattr(self, name) != alone)

    @property
    def needs_gradients(self) -> bool:
        """Whether the method cannot run without gradients."""
        name, alone = self.without_gradients.split("=")
        return getattr(self, name) not in ("auto", alone)

    def fitted(self, size: Size) -> Self:
        """Return the same method with one cell per pixel, if the default has more."""
        return shrink_default(self, "grid", min(size), min(size))

    def settled(self, *, gradients: bool) -> Self:
        """Return this method with ``auto`` resolved."""
        name, alone = self.without_gradients.split("=")
        if getattr(self, name) != "auto":
            return self
        own: Any = self  # a dataclass, which the base class is not
        settled: Self = replace(own, **{name: "gradient" if gradients else alone})
        return settled
