"""Excitation backprop (Zhang et al., ECCV 2016).

References
----------
.. [1] Zhang, Lin, Brandt, Shen & Sclaroff, Top-down neural attention by excitation backprop,
   ECCV 2016, sec. 3, :arXiv:`1608.00507`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import NO_FILL, Flow, ImageQuery
from onnxplain.core.formulas import ClosedForm
from onnxplain.core.inside import RuleTable, Tensors
from onnxplain.core.params import Param
from onnxplain.methods.layers.at_layer import (
    LAYER,
    OnLayer,
    describe_inside,
    make_attribution,
)
from onnxplain.methods.layers.reduce import hires_cam

WINNING = {"conv": "excitation", "dense": "excitation", "start": "one"}
MEANING = Meaning("probability that the position is where a walk down from the class arrives")
CONTRAST = Meaning("the same probability less that of a walk down from all but the class")


@dataclass(frozen=True)
class Excitation(OnLayer):
    """The flow of both methods.

    Parameters
    ----------
    layer : str
        Where the map is read (see `onnxplain.gradient.layers`).
    found : tuple of Layer
        The layer of that name, which the classifier finds.
    """

    adaptive: ClassVar[bool] = True  # the walk begins at one target
    usual_fill: ClassVar[str] = NO_FILL
    closed_form: ClassVar[ClosedForm]
    meaning: ClassVar[Meaning]
    options: ClassVar[dict[str, Any]]

    layer: Annotated[str, Param(LAYER)] = "before-last"

    @property
    def wants(self) -> Tensors:
        """What its query asks about the inside."""
        table = RuleTable("relevance", tuple(sorted(self.options.items())), yields="relevance")
        return Tensors(self.found, rules=table)

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one."""
        return 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case."""
        form = self.closed_form
        reply = yield ImageQuery(case.image[None], wants=self.wants, reduce=form.formula)
        ((signed,),) = reply.layers
        details = {
            **describe_inside(self.wants, reply),
            "relevance": float(signed.sum(dtype=np.float64)),
        }
        return make_attribution(case, signed, details, relu=form.relu, meaning=self.meaning)


@dataclass(frozen=True)
class MWP(Excitation):
    """Where a random walk from the class arrives.

    The walk goes from a neuron to one that excites it, with a probability in proportion to its
    value times its positive weight: marginal winning probability [1]_.

    Parameters
    ----------
    layer : str
        Where the map is read (see `onnxplain.gradient.layers`); the authors read it one
        resolution before the last.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The values of a layer have to be 0 or more, as behind rectifiers; others excite nothing. The
    map sums to 1 unless the walk ends at a neuron that nothing excites.
    """

    name: ClassVar[str] = "mwp"
    closed_form: ClassVar[ClosedForm] = ClosedForm(hires_cam)
    meaning: ClassVar[Meaning] = MEANING
    options: ClassVar[dict[str, Any]] = WINNING


@dataclass(frozen=True)
class ContrastiveMWP(Excitation):
    """The walk of mwp, less that from other classes.

    The walk that is taken off begins at a neuron whose weights are those of the class with the
    other sign [1]_. The map shows only what is positive; the signed one is kept beside it.

    Parameters
    ----------
    layer : str
        Where the map is read (see `onnxplain.gradient.layers`); the authors read it one
        resolution before the last.
    found : tuple of Layer
        The layer of that name, which the classifier finds.

    Notes
    -----
    The values of a layer have to be 0 or more, as behind rectifiers; others excite nothing.
    """

    name: ClassVar[str] = "cmwp"
    closed_form: ClassVar[ClosedForm] = ClosedForm(hires_cam, relu=True)
    meaning: ClassVar[Meaning] = CONTRAST
    options: ClassVar[dict[str, Any]] = {**WINNING, "last": "contrastive"}
