"""Eigen-CAM (Muhammad & Yeasin, IJCNN 2020).

References
----------
.. [1] Muhammad & Yeasin, Eigen-CAM: Class activation map using principal components, IJCNN 2020,
   sec. III, :arXiv:`2008.00299`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.inside import Tensors
from onnxplain.methods.layers.at_layer import OnLayer, describe_inside, make_attribution
from onnxplain.methods.layers.reduce import eigen_cam

MEANING = Meaning("the pattern that most distinguishes positions of the layer, whatever the class")


@dataclass(frozen=True)
class EigenCAM(OnLayer):
    """First principal component of a layer's values.

    The channels' values at each position, less their mean, are projected on the direction in
    which they vary most [1]_. No class and no gradient is used, so that all classes have one map,
    and quantised models have one too.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The sign of a principal component is arbitrary: here the value of largest magnitude is
    positive. The program grad-cam leaves it as its library returns it, and then hides what is
    negative.
    """

    name: ClassVar[str] = "eigen-cam"
    no_formula: ClassVar[str] = (
        "it takes a singular value decomposition, for which ONNX has no operator"
    )
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = NO_FILL

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside: values alone."""
        # Any score will do; a probability asks for no logits, which some files lack.
        return Tensors(self.found, gradients=False, score="probability")

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=eigen_cam)
        ((signed,),) = reply.layers
        details = describe_inside(self.wants, reply)
        return make_attribution(case, signed, details, relu=False, meaning=MEANING)
