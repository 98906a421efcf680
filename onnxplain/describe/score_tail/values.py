"""What can be known of a tensor without running the model."""

from __future__ import annotations

from dataclasses import dataclass

TINY = 1e-3  # a constant below this keeps a logarithm or a division finite, and no more


@dataclass(frozen=True, slots=True)
class Values:
    """What is known of a tensor.

    Parameters
    ----------
    kind : str
        ``distribution``: rows of probabilities with a sum of `total`. ``labels``: numbers from 0
        to `total` that a sigmoid makes, each of its own. ``unit``: other probabilities from 0 to
        `total`, such as those of some of the classes. ``logits``: any numbers. ``bent``: the
        result of a function such as tanh, which may mean anything. Three are no scores of
        classes: ``softmax of another axis``, ``top values`` and ``logarithms of labels``.
    total : float
        See above.
    """

    kind: str
    total: float = 1.0

    @property
    def are_probabilities(self) -> bool:
        """Whether they are probabilities, up to a factor."""
        return self.kind in ("distribution", "labels", "unit")

    @property
    def are_logits(self) -> bool:
        """Whether they are numbers of any size."""
        return self.kind == "logits"

    @property
    def have_no_factor(self) -> bool:
        """Whether `total` is 1."""
        return abs(self.total - 1) < TINY


DISTRIBUTION = Values("distribution")
LABELS = Values("labels")
UNIT = Values("unit")
LOGITS = Values("logits")
BENT = Values("bent")
SOFTMAX_OF_ANOTHER_AXIS = Values("softmax of another axis")
TOP_VALUES = Values("top values")
LOGARITHMS_OF_LABELS = Values("logarithms of labels")
