"""Scores of one class from the raw outputs of a model."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxplain.core.errors import ScoreError
from onnxplain.core.scores import are_probabilities, compute_target_scores, to_probabilities

LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 6)),
    elements=st.floats(-50, 50, width=32),
)


@given(LOGITS)
def test_probabilities_of_logits_equal_scipys_softmax(raw):
    np.testing.assert_allclose(
        to_probabilities(raw, "logits"),
        scipy.special.softmax(raw.astype(float), axis=1),
        rtol=1e-12,
    )


@given(LOGITS)
def test_log_odds_of_logits_and_of_their_probabilities_agree(raw):
    from_logits = compute_target_scores(raw, 1, outputs="logits", kind="log-odds")
    p = to_probabilities(raw, "logits")
    from_probabilities = compute_target_scores(p, 1, outputs="probabilities", kind="log-odds")
    sure = (p[:, 1] > 1e-6) & (p[:, 1] < 1 - 1e-6)
    np.testing.assert_allclose(from_logits[sure], from_probabilities[sure], rtol=1e-6, atol=1e-6)


def test_log_odds_differ_where_the_probability_has_stopped_moving():
    raw = np.array([[60.0, 0.0], [61.0, 0.0]], np.float32)
    assert np.diff(compute_target_scores(raw, 0, outputs="logits"))[0] == 0
    assert np.diff(compute_target_scores(raw, 0, outputs="logits", kind="log-odds"))[
        0
    ] == pytest.approx(1)


def test_log_odds_of_a_saturated_probability_are_finite():
    raw = np.array([[0.0, 1.0]], np.float32)
    for target in (0, 1):
        scores = compute_target_scores(raw, target, outputs="probabilities", kind="log-odds")
        assert np.isfinite(scores).all()


def test_logit_is_the_models_own_or_the_logarithm_of_a_probability():
    raw = np.array([[0.25, 0.75]], np.float32)
    assert compute_target_scores(raw, 1, outputs="logits", kind="logit")[0] == 0.75
    scores = compute_target_scores(raw, 1, outputs="probabilities", kind="logit")
    assert scores[0] == pytest.approx(np.log(0.75))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0], True),
        ([-0.009, 1.009], True),  # rounded by float16 or quantisation
        ([0.5, 1.02], False),
        ([-0.02, 0.5], False),
        ([0.5, float("nan")], False),
    ],
)
def test_probabilities_lie_in_0_to_1_up_to_rounding(values, expected):
    assert are_probabilities(np.array(values)) is expected


def test_contrast_is_the_weighted_gap_to_the_three_nearest_classes():
    z = np.array([[4.0, 3.0, 3.5, -2.0, 6.0, 0.0]])
    near, own = [1, 2, 4], 4.0
    p = np.exp(z[0, near])
    expected = (p * (own - z[0, near])).sum() / p.sum()
    score = compute_target_scores(z, 0, outputs="logits", kind="contrast")
    np.testing.assert_allclose(score, [expected], rtol=1e-12)
    two = compute_target_scores(z[:, :2], 0, outputs="logits", kind="contrast")
    np.testing.assert_allclose(two, [1.0], rtol=1e-12)


@pytest.mark.parametrize("kind", ["raw", "contrast"])
def test_scores_of_logits_are_refused_where_there_are_probabilities(kind):
    with pytest.raises(ScoreError, match=f"{kind}.*returns probabilities; choose"):
        compute_target_scores(np.eye(2), 0, outputs="probabilities", kind=kind)
