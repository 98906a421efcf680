"""Meta-saliency (Rebuffi, Fong, Ji & Vedaldi, CVPR 2020).

References
----------
.. [1] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, sec. 4, :arXiv:`2004.02866`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np

from onnxplain.core.data import Attribution, Case, Layer, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param, Parametrised, name_owner
from onnxplain.methods.gradients.deconvnet import DeconvNet
from onnxplain.methods.gradients.gradient import Gradient
from onnxplain.methods.gradients.guided_backprop import GuidedBackprop
from onnxplain.methods.layers.at_layer import LAYER
from onnxplain.methods.layers.cams import (
    GradCAM,
    GradCAMElementwise,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    LinearApprox,
    XGradCAM,
)
from onnxplain.methods.layers.norm_grad import RATE, NormGrad
from onnxplain.methods.relevance.lrp import LRP

Of: TypeAlias = Literal[
    "deconvnet",
    "grad-cam",
    "grad-cam++",
    "grad-cam-elementwise",
    "gradient",
    "guided-backprop",
    "hires-cam",
    "layer-cam",
    "linear-approx",
    "lrp",
    "norm-grad",
    "norm-grad-selective",
    "xgrad-cam",
]
OF: Mapping[Of, Callable[[], Any]] = {
    "deconvnet": DeconvNet,
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "grad-cam-elementwise": GradCAMElementwise,
    "gradient": Gradient,
    "guided-backprop": GuidedBackprop,
    "hires-cam": HiResCAM,
    "layer-cam": LayerCAM,
    "linear-approx": LinearApprox,
    "lrp": LRP,
    "norm-grad": NormGrad,
    "norm-grad-selective": lambda: NormGrad(phase="scaling", aggregate="filter-norm"),
    "xgrad-cam": XGradCAM,
}


@dataclass(frozen=True)
class MetaSaliency(Parametrised):
    """Another method, after one step of training.

    All weights of the network take a step that makes the class more probable for this image, or
    less with a negative rate, and the other method looks at the network they make [1]_.

    Parameters
    ----------
    of : str
        The other method, at its defaults.
    layer : str
        Where it looks (see `onnxplain.gradient.layers`); if empty, where it usually does. Empty
        for methods that look at no layer.
    rate : float
        The learning rate of the step; the authors take 0.0025, for cross-entropy.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The step is made for each image alone, from the weights as they were trained: batch
    normalisations are not merged, and their statistics stay. A call holds one image, and takes
    as much memory as the weights and their gradients.
    """

    name: ClassVar[str] = "meta-saliency"
    no_formula: ClassVar[str] = "it changes the weights for each image"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    of: Annotated[Of, Param("the method that looks at the network after the step")] = "norm-grad"
    layer: Annotated[str, Param(LAYER)] = ""
    rate: Annotated[float, Param("learning rate of the step; negative: away from the class")] = RATE
    found: tuple[Layer, ...] = field(default=(), repr=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check the layer; that of the other method takes the place of an empty one."""
        super().__post_init__()
        usual = getattr(OF[self.of](), "layer", "")
        if self.layer and not usual:
            raise ValueError(f"{name_owner(self)}: {self.of} looks at no layer, got {self.layer!r}")
        object.__setattr__(self, "layer", self.layer or usual)

    @property
    def wants(self) -> Tensors:
        """What its queries ask about the inside."""
        return self._step(self._base.wants)

    @property
    def _base(self) -> Any:
        base = OF[self.of]()
        layer = {"layer": self.layer, "found": self.found}
        return replace(base, **layer) if hasattr(base, "found") else base

    def _step(self, wants: Tensors) -> Tensors:
        return replace(wants, rate=self.rate)

    def at(self, layers: tuple[Layer, ...]) -> MetaSaliency:
        """Return the method with its layer found.

        Raises
        ------
        ValueError
            If the name chooses several layers.
        """
        return replace(self, found=self._base.at(layers).found)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: those of the other method."""
        return int(self._base.evaluations(size))

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case by the other method's queries, about the network after the step."""
        inner = self._base.flow(case, rng)
        query = next(inner)
        while True:
            assert isinstance(query, ImageQuery)
            assert query.wants is not None
            reply = yield replace(query, wants=self._step(query.wants))
            try:
                query = inner.send(reply)
            except StopIteration as stop:
                made: Attribution = stop.value
                return replace(made, details={**made.details, "of": self.of, "rate": self.rate})
