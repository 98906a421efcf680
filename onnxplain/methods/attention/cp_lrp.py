"""CP-LRP: relevance propagation with attention held fixed (Ali et al., ICML 2022).

References
----------
.. [1] Ali et al., XAI for transformers: Better explanations through conservative propagation,
   ICML 2022, sec. 4, :arXiv:`2202.07304`
.. [2] Achtibat et al., AttnLRP: Attention-aware layer-wise relevance propagation for transformers,
   ICML 2024, app. B, :arXiv:`2402.05602`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.methods.attention.handed_to_pixels import HandedToPixels


@dataclass(frozen=True)
class CPLRP(HandedToPixels):
    """LRP for transformers, with attention held fixed.

    Attention weights and the deviations of normalisations are held fixed, so that what is left is
    linear, and relevance is conserved [1]_. Dense layers and convolutions share out what they get
    by contributions, of which positive ones are favoured: that makes maps of vision transformers
    less noisy [2]_.

    Parameters
    ----------
    gamma : float
        How much positive contributions are favoured in dense layers; 0, as in the first paper,
        for not at all.
    conv_gamma : float
        The same in convolutions, such as that which cuts the image into patches.
    score : {'raw', 'contrast'}
        The score of the target that is handed down.

    Notes
    -----
    It also explains transformers whose attention cannot be followed, such as Swin. The record
    says how much of the score arrives (``conserved``); biases keep the rest.
    """

    name: ClassVar[str] = "cp-lrp"
    through_attention: ClassVar[bool] = False
