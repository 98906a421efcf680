"""DeconvNet (Zeiler & Fergus, ECCV 2014).

References
----------
.. [1] Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014,
   sec. 2.1, :arXiv:`1311.2901`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.methods.gradients.rectified import Rectified


@dataclass(frozen=True)
class DeconvNet(Rectified):
    """Positive gradients through all rectifiers.

    At a rectifier the positive part of the gradient passes on, active or not [1]_.

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
    Of equal values a max-pooling passes the signal to the first, as in the ordinary gradient;
    the map depends on that more than those of other methods do.
    """

    name: ClassVar[str] = "deconvnet"
    table: ClassVar[str] = "deconvnet"
