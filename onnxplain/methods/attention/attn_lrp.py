"""AttnLRP: relevance propagation through attention (Achtibat et al., ICML 2024).

References
----------
.. [1] Achtibat et al., AttnLRP: Attention-aware layer-wise relevance propagation for transformers,
   ICML 2024, prop. 3.1 to 3.4, :arXiv:`2402.05602`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.methods.attention.handed_to_pixels import HandedToPixels


@dataclass(frozen=True)
class AttnLRP(HandedToPixels):
    """LRP for transformers, also through attention.

    A product of attention weights and values gives a half of its relevance to each, and the
    softmax hands down that of the weights as its gradient does; a product of queries and keys
    again gives each a half. The deviations of normalisations are held fixed [1]_.

    Parameters
    ----------
    gamma : float
        How much positive contributions are favoured in dense layers; 0 for not at all.
    conv_gamma : float
        The same in convolutions, such as that which cuts the image into patches.
    score : {'raw', 'contrast'}
        The score of the target that is handed down.

    Notes
    -----
    The defaults are those of the authors' program for vision transformers, which itself takes
    `cp-lrp` for them. The softmax does not conserve relevance: what it hands down sums to less or
    more than it got, as a constant does that is added.
    """

    name: ClassVar[str] = "attn-lrp"
    through_attention: ClassVar[bool] = True
