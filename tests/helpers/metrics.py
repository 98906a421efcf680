"""What the tests of the metrics share: running one flow on the engine."""

from __future__ import annotations

from onnxplain.core.data import Case, make_rng
from onnxplain.engine.run import Job, run
from tests.helpers.nets import Net, Picture


def judged(metric, function, image, heatmap, *, boxes=(), fill=None, batch_size=4, target=1):
    """The score of a metric for a NumPy classifier."""
    case = Case("photo", image, target, boxes=tuple(boxes))
    flow = metric.flow(case, heatmap, make_rng(0, "photo", metric.name))
    net = Net(function, case.size, batch_size=batch_size)
    (outcome,) = run(net, [Job((case,), (flow,), fill or Picture(0.0))])
    if outcome.error:
        raise outcome.error
    (score,) = outcome.values
    assert outcome.evaluations <= metric.evaluations(case.size)
    return score
