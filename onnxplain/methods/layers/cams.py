"""Class activation maps: the channels of a layer, weighed by what they do for the target.

A are the values of the layer and G the gradients of the score by them, c is a channel and u a
position.

References
----------
.. [1] Selvaraju et al., Grad-CAM: Visual explanations from deep networks via gradient-based
   localization, ICCV 2017, eq. 1 and 2, :arXiv:`1610.02391`
.. [2] Draelos & Carin, Use HiResCAM instead of Grad-CAM for faithful explanations of
   convolutional neural networks, 2020, :arXiv:`2011.08891`
.. [3] Rebuffi, Fong, Ji & Vedaldi, There and back again: Revisiting backpropagation saliency
   methods, CVPR 2020, :arXiv:`2004.02866`
.. [4] Chattopadhay, Sarkar, Howlader & Balasubramanian, Grad-CAM++: Generalized gradient-based
   visual explanations for deep convolutional networks, WACV 2018, eq. 19, :arXiv:`1710.11063`
.. [5] Fu et al., Axiom-based Grad-CAM: Towards accurate visualization and explanation of CNNs,
   BMVC 2020, eq. 9, :arXiv:`2008.02312`
.. [6] Jiang, Zhang, Hou, Cheng & Wei, LayerCAM: Exploring hierarchical class activation maps for
   localization, IEEE TIP 2021, eq. 6 and 7, :doi:`10.1109/TIP.2021.3089943`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case
from onnxplain.core.flow import Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.methods.layers import reduce
from onnxplain.methods.layers.at_layer import (
    AtLayer,
    describe_inside,
    draw_map,
    make_attribution,
)


@dataclass(frozen=True)
class ClassActivationMap(AtLayer):
    """The flow that these methods share: a formula of the values and gradients of one layer.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated.
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    closed_form: ClassVar[ClosedForm]

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        form = self.closed_form
        return (yield from draw_map(self.wants, case, form.formula, relu=form.relu))


@dataclass(frozen=True)
class GradCAM(ClassActivationMap):
    """Channels weighed by their mean gradient.

    The map is ``relu(sum_c mean_u(G_c) A_c)`` [1]_.

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
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.grad_cam, relu=True)


@dataclass(frozen=True)
class HiResCAM(ClassActivationMap):
    """Sums of values times gradients, if positive.

    The map is ``relu(sum_c G_c A_c)`` [2]_.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    If all that follows the layer is one linear map, the map is what each position adds to the
    score, and equal to Grad-CAM's up to the number of positions.
    """

    name: ClassVar[str] = "hires-cam"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.hires_cam, relu=True)


@dataclass(frozen=True)
class LinearApprox(ClassActivationMap):
    """Sums of values times their own gradients.

    The map is ``sum_c G_c A_c`` [3]_.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). It also works at early layers.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    name: ClassVar[str] = "linear-approx"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.hires_cam)


@dataclass(frozen=True)
class GradCAMPlusPlus(ClassActivationMap):
    """Channels weighed by their positive gradients.

    Gradients count more where few positions have them [4]_.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The closed form of the weights holds for the exponential of the score; as in the public
    programs, the gradients are those of the score itself. The denominator is moved away from 0
    by 1e-6; ``crossed`` in the record counts where it is not positive.
    """

    name: ClassVar[str] = "grad-cam++"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.weigh_by_positive, relu=True)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        reply = yield ImageQuery(
            case.image[None], wants=self.wants, reduce=reduce.grad_cam_plus_plus
        )
        (((signed, crossed),),) = reply.layers
        details = {**describe_inside(self.wants, reply), "crossed": int(crossed.sum())}
        return make_attribution(case, signed, details, relu=True)


@dataclass(frozen=True)
class XGradCAM(ClassActivationMap):
    """Channels weighed by the gradients at their values.

    The weight is the sum of values times gradients over that of the values [5]_.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The weight of a channel is ``sum_u(G A) / sum_u(A)``; the sum of a channel is moved away from
    0 by 1e-7, whatever its sign.
    """

    name: ClassVar[str] = "xgrad-cam"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.xgrad_cam, relu=True)


@dataclass(frozen=True)
class LayerCAM(ClassActivationMap):
    """Values times their own positive gradients.

    The map is ``relu(sum_c G_c+ A_c)`` [6]_.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`). It also works at early layers.
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    name: ClassVar[str] = "layer-cam"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.layer_cam, relu=True)


@dataclass(frozen=True)
class GradCAMElementwise(ClassActivationMap):
    """Positive products of values and gradients.

    The map is ``sum_c (G_c A_c)+``.

    Parameters
    ----------
    layer : str
        Where it looks (see `onnxplain.gradient.layers`).
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is differentiated; the authors take the raw one.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    As in the program grad-cam (GradCAMElementWise); no paper defines it.
    """

    name: ClassVar[str] = "grad-cam-elementwise"
    closed_form: ClassVar[ClosedForm] = ClosedForm(reduce.grad_cam_elementwise)
