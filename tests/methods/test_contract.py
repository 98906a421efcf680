"""What every registered method must keep; no method is listed by hand."""

import dataclasses

import numpy as np
import pytest

from onnxplain.core.data import Case
from onnxplain.core.flow import NO_FILL, ByGradient, WhiteBox
from onnxplain.core.params import list_parameters
from onnxplain.engine import run as engine
from onnxplain.engine.run import make_jobs
from onnxplain.engine.settle import settle_method
from onnxplain.registry import FILLS, METHODS
from tests.helpers.nets import CurvedGradients, Net, Picture, ShiftedWhereRemoved, curved
from tests.helpers.small_methods import make_small
from tests.helpers.transformers import open_net_for

RNG = np.random.default_rng(6)
SIZE = (20, 24)
IMAGES = RNG.random((3, *SIZE, 3), np.float32)
WEIGHTS = (RNG.standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)


def run(method, indices, seed=0, fill=Picture(0.5), **net):  # noqa: B008  (a frozen value)
    jobs, classifier = [], Net(curved(WEIGHTS), SIZE, **net)
    if isinstance(method, WhiteBox):
        classifier = open_net_for(method.name, SIZE, batch_size=net.get("batch_size", 4))
        method, _ = settle_method(method, classifier)
    for i in indices:
        case = Case(f"photo{i}", IMAGES[i], 1, n_classes=2)
        jobs += make_jobs(method, [case], fill, seed)
    gradients = CurvedGradients(WEIGHTS)
    outcomes = list(engine.run(classifier, jobs, gradients=gradients))
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
    return {outcome.job.cases[0].name: outcome for outcome in outcomes}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("fill", [Picture(0.5), ShiftedWhereRemoved()], ids=["picture", "by mask"])
def test_the_heatmap_is_finite_float32_of_the_images_size_for_any_fill(name, fill):
    before = IMAGES.copy()
    outcome = run(make_small(name), [0], fill=fill)["photo0"]
    heatmap = outcome.values[0].heatmap
    assert heatmap.shape == SIZE
    assert heatmap.dtype == np.float32
    assert np.isfinite(heatmap).all()
    np.testing.assert_array_equal(IMAGES, before)


@pytest.mark.parametrize("name", METHODS)
def test_evaluations_are_announced_exactly_or_bounded_if_adaptive(name):
    method = make_small(name)
    if isinstance(method, ByGradient):
        method = method.settled(gradients=False)
    if isinstance(method, WhiteBox):  # how many there are may depend on the layer
        method, _ = settle_method(method, open_net_for(name, SIZE))
    evaluations = run(method, [0])["photo0"].evaluations
    expected = method.evaluations(SIZE)
    assert evaluations <= expected if method.adaptive else evaluations == expected


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_map_in_any_order_batch_and_company(name):
    method = make_small(name)
    alone = run(method, [1])["photo1"].values[0].heatmap
    together = run(method, [2, 1, 0], batch_size=7, workers=2)["photo1"].values[0].heatmap
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_frozen_values_with_their_registered_name_and_a_reference(name):
    method = make_small(name)
    assert method.name == name
    assert method.usual_fill in {*FILLS, NO_FILL}
    assert method == dataclasses.replace(method)
    assert hash(method) == hash(dataclasses.replace(method))
    module = __import__(type(method).__module__, fromlist=["_"])
    assert "References" in module.__doc__
    assert "Parameters" in type(method).__doc__


@pytest.mark.parametrize("name", METHODS)
def test_every_declared_parameter_has_help_and_is_described(name):
    for parameter in list_parameters(METHODS[name]):
        assert parameter.param.help
        assert parameter.name in METHODS[name].__doc__


@pytest.mark.parametrize("name", METHODS)
def test_every_bound_is_enforced(name):
    for parameter in list_parameters(METHODS[name]):
        bounds = parameter.param
        low = bounds.ge if bounds.ge is not None else bounds.gt
        if low is not None and parameter.type in (int, float):
            with pytest.raises(ValueError, match=parameter.name):
                METHODS[name](**{parameter.name: parameter.type(low - 1)})


@pytest.mark.parametrize(
    "name", [name for name in METHODS if isinstance(make_small(name), ByGradient)]
)
def test_a_method_that_can_use_gradients_settles_for_what_there_is(name):
    method = make_small(name)
    assert method.wants_gradients
    assert not method.needs_gradients
    assert method.settled(gradients=True).needs_gradients
    assert not method.settled(gradients=False).wants_gradients
    settled = method.settled(gradients=True)
    assert settled.settled(gradients=False) == settled
    left_open = run(method, [0])["photo0"].values[0].heatmap
    without = run(method.settled(gradients=False), [0])["photo0"].values[0].heatmap
    np.testing.assert_array_equal(left_open, without)
