"""PatternNet and PatternAttribution (Kindermans et al., ICLR 2018).

References
----------
.. [1] Kindermans et al., Learning how to explain neural networks: PatternNet and
   PatternAttribution, ICLR 2018, sec. 4, :arXiv:`1705.05598`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from onnxplain.core.data import Meaning
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.core.params import Param
from onnxplain.core.pattern_files import PatternsFile
from onnxplain.methods.gradients.at_image import AtImage
from onnxplain.methods.gradients.channels import CHANNELS, Channels

Kind: TypeAlias = Literal["relu", "linear", "filter"]
FILE = "the file that onnxplain patterns made for the model"
ESTIMATOR = "how patterns are estimated; filter needs no file"
SIGNAL = Meaning("size of the part of the pixel that the class's neurons react to")
SHARE = Meaning("how much the part of the pixel that carries signal adds to the score")


@dataclass(frozen=True)
class Patterned(AtImage):
    """The parameters and the flow of both methods.

    Parameters
    ----------
    patterns : str
        The file of patterns.
    estimator : {'relu', 'linear', 'filter'}
        How they are estimated.
    """

    attribution: ClassVar[bool]

    patterns: Annotated[str, Param(FILE, is_file=True)] = ""
    estimator: Annotated[Kind, Param(ESTIMATOR)] = "relu"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        options = (
            ("attribution", self.attribution),
            ("estimator", self.estimator),
            ("file", PatternsFile.at(self.patterns)),
        )
        made: Literal["relevance", "signal"] = "relevance" if self.attribution else "signal"
        return Tensors(image=True, rules=RuleTable("patterns", options, yields=made))

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        return "sum"


@dataclass(frozen=True)
class PatternNet(Patterned):
    """The signal that makes the class's neurons react.

    The score is handed down through the patterns of neurons: what their inputs have in common
    with their output [1]_. Weights also have to cancel what distracts, and so show less of it.

    Parameters
    ----------
    patterns : str
        The file that ``onnxplain patterns MODEL PHOTOS -o FILE`` made for the model.
    estimator : {'relu', 'linear', 'filter'}
        How patterns are estimated: from the inputs at which the rectifier behind a neuron is
        active, from all inputs, or as the weights themselves, for which no file is needed.
    channels : {'max-abs', 'sum', 'l2', 'sum-abs'}
        How red, green and blue become one number.

    Notes
    -----
    Batch normalisations are merged into the layer before. Sums and average poolings keep the
    ordinary gradient, for which the paper has no rule.
    """

    name: ClassVar[str] = "pattern-net"
    attribution: ClassVar[bool] = False
    meaning: ClassVar[Meaning] = SIGNAL

    channels: Annotated[Channels, Param(CHANNELS)] = "l2"

    @property
    def joined(self) -> Channels:
        """How red, green and blue become one number."""
        return self.channels


@dataclass(frozen=True)
class PatternAttribution(Patterned):
    """What the signal in each pixel adds to the score.

    The score is handed down through the products of weights and patterns [1]_: deep Taylor
    decomposition around points that hold no signal, which were learned from photos.

    Parameters
    ----------
    patterns : str
        The file that ``onnxplain patterns MODEL PHOTOS -o FILE`` made for the model.
    estimator : {'relu', 'linear', 'filter'}
        How patterns are estimated: from the inputs at which the rectifier behind a neuron is
        active, from all inputs, or as the weights themselves, for which no file is needed.

    Notes
    -----
    Batch normalisations are merged into the layer before. Sums and average poolings keep the
    ordinary gradient, for which the paper has no rule.
    """

    name: ClassVar[str] = "pattern-attribution"
    attribution: ClassVar[bool] = True
    meaning: ClassVar[Meaning] = SHARE
