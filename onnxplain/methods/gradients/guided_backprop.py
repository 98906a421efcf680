"""Guided backpropagation (Springenberg, Dosovitskiy, Brox & Riedmiller, ICLR workshop 2015).

References
----------
.. [1] Springenberg, Dosovitskiy, Brox & Riedmiller, Striving for simplicity: The all
   convolutional net, ICLR workshop 2015, fig. 1, :arXiv:`1412.6806`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.methods.gradients.rectified import Rectified


@dataclass(frozen=True)
class GuidedBackprop(Rectified):
    """Positive gradients through active rectifiers.

    At a rectifier that is active the positive part of the gradient passes on [1]_.

    Parameters
    ----------
    score : {'raw', 'contrast', 'probability', 'log-odds', 'logit'}
        The score of the target that is passed back; the authors take the raw one.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number.
    extended : bool
        Whether activations besides rectifiers, for which the paper gives no rule, follow the
        same formula. If not, a model with one is an error.

    Notes
    -----
    It shows edges sharply, and hardly depends on the class or on the weights: the sanity checks
    of Adebayo et al. (2018) are not passed. Take it for looks, not as evidence.
    """

    name: ClassVar[str] = "guided-backprop"
    table: ClassVar[str] = "guided"
