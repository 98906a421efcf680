"""CP-LRP and AttnLRP as slopes of a network of which parts are held fixed, and as plain LRP."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain import CPLRP, LRP, AttnLRP
from tests.helpers.chains import BOUNDS, SPEC, draw_weights, make_net, make_steps, to_values
from tests.helpers.chains import CLASSES as CHAIN_CLASSES
from tests.helpers.chains import SIZE as CHAIN_SIZE
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos
from tests.helpers.transformers import Form, Vit, open_vit
from tests.helpers.transformers import draw_weights as draw_vit
from tests.reference import relevance, transformers

VIT = Vit(grid=(2, 2), blocks=2)
METHODS = {False: CPLRP, True: AttnLRP}
TARGET = 1


@pytest.mark.parametrize("form", ["split", "turned", "fused"])
@pytest.mark.parametrize("through_attention", METHODS)
def test_without_gamma_maps_are_slopes_with_parts_held_fixed(
    through_attention: bool, form: Form
) -> None:
    image = photos(1, VIT.size)[0]
    expected = transformers.hand_down(
        VIT, draw_vit(VIT), image.astype(float), TARGET, through_attention=through_attention
    )
    method = METHODS[through_attention](gamma=0.0, conv_gamma=0.0)
    (found,) = explain(open_vit(VIT, form), method, [image], [TARGET])
    np.testing.assert_allclose(found.heatmap, expected, atol=1e-5 * np.abs(expected).max())


def test_layers_of_weights_have_the_rule_of_their_kind() -> None:
    """In a chain of convolutions and dense layers, against the slow definition."""
    weights, image = draw_weights(), photos(1, CHAIN_SIZE)[0]
    steps, x = make_steps(weights), to_values(image)
    start = np.zeros(CHAIN_CLASSES)
    start[TARGET] = relevance.run(steps, x)[-1][TARGET]
    rules = {"conv": "gamma", "dense": "epsilon"}
    numbers = relevance.Numbers(epsilon=1e-12, gamma=0.3)
    handed = relevance.hand_down(steps, x, start, rules, BOUNDS, numbers)
    expected = handed.reshape(3, *CHAIN_SIZE).sum(axis=0)
    classifier = open_model(make_net(weights), SPEC)
    (found,) = explain(classifier, CPLRP(gamma=0.0, conv_gamma=0.3), [image], [TARGET])
    np.testing.assert_allclose(found.heatmap, expected, atol=1e-5 * np.abs(expected).max())
    (plain,) = explain(classifier, LRP("gamma", gamma=0.3), [image], [TARGET])
    (other,) = explain(classifier, CPLRP(gamma=0.3, conv_gamma=0.3), [image], [TARGET])
    np.testing.assert_allclose(other.heatmap, plain.heatmap, atol=1e-6)


def test_records_say_what_was_held_fixed_and_how_much_arrives() -> None:
    image = photos(1, VIT.size)[0]
    fixed, shared = (
        explain(open_vit(VIT), method(), [image], [TARGET])[0].details
        for method in (CPLRP, AttnLRP)
    )
    assert fixed["stops"] == {"attention": 2, "gate": 2}
    assert shared["stops"] == {"gate": 2}
    assert fixed["layer_rules"] == {"gamma": 14}
    assert np.isfinite([fixed["conserved"], shared["conserved"]]).all()
