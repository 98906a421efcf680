"""Guided Grad-CAM (Selvaraju et al., ICCV 2017).

References
----------
.. [1] Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based
   localization, ICCV 2017, sec. 3.2, :arXiv:`1610.02391`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.inside import Tensors
from onnxplain.core.params import Param
from onnxplain.methods.gradients.channels import CHANNELS, Channels, join_channels
from onnxplain.methods.gradients.rectified import EXTENDED, make_wants
from onnxplain.methods.layers.at_layer import AtLayer, describe_inside, draw_map
from onnxplain.methods.layers.reduce import grad_cam

MEANING = Meaning("signal that reaches the pixel by the guided rule, times Grad-CAM there")


@dataclass(frozen=True)
class GuidedGradCAM(AtLayer):
    """Guided backpropagation times Grad-CAM.

    Grad-CAM, enlarged to the image, says where, and guided backpropagation adds edges [1]_.

    Parameters
    ----------
    layer : str
        Where Grad-CAM looks (see `onnxplain.gradient.layers`). It works best at the last one.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target; the authors take the raw one.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue of the product become one number.
    extended : bool
        Whether activations besides rectifiers, for which no paper gives a rule, follow the same
        formula. If not, a model with one is an error.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The edges hardly depend on the class or on the weights, so only the part of Grad-CAM is
    evidence (Adebayo et al., Sanity checks for saliency maps, 2018).
    """

    name: ClassVar[str] = "guided-grad-cam"
    no_formula: ClassVar[str] = "it multiplies two maps that are made by different rules"

    channels: Annotated[Channels, Param(CHANNELS)] = "max-abs"
    extended: Annotated[bool, Param(EXTENDED)] = True

    @property
    def wants(self) -> Tensors:
        """What its second query asks: a walk through the whole model, where it fails if at all."""
        return make_wants("guided", self.score, extended=self.extended)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one for each of the two parts."""
        return 2

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        plain = Tensors(self.found, score=self.score)
        cam = yield from draw_map(plain, case, grad_cam, relu=True)
        reply = yield ImageQuery(case.image[None], wants=self.wants)
        assert reply.grads is not None
        heatmap = join_channels(reply.grads[0] * cam.heatmap[..., None], self.channels)
        guided = describe_inside(self.wants, reply, passes=2)
        details = {**cam.details, **guided}
        return Attribution(heatmap, cam.coarse, details=details, meaning=MEANING)
