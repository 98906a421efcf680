"""Class activation maps: the channels of a layer, weighed by what they do for the target.

References
----------
.. [1] Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based
   localization, ICCV 2017, eq. 1 and 2, :arXiv:`1610.02391`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.methods.layers import reduce
from onnxplain.methods.layers.at_layer import AtLayer, describe_inside, make_attribution


@dataclass(frozen=True)
class GradCAM(AtLayer):
    """Channels weighed by their mean gradient [1]_: ``relu(sum_c mean_u(G_c) A_c)``.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). It works best at the last one.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    name: ClassVar[str] = "grad-cam"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = NO_FILL

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=reduce.grad_cam)
        ((signed,),) = reply.layers
        return make_attribution(case, signed, describe_inside(self.wants, reply), relu=True)
