"""Scores of one class from the raw outputs of a model."""

import itertools
import re
from typing import get_args

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from onnxplain.core.data import Case, Outputs
from onnxplain.core.errors import ScoreError
from onnxplain.core.scores import (
    are_probabilities,
    compute_target_scores,
    differentiate_target_scores,
    find_fault,
    is_multilabel,
    is_predicted,
    to_probabilities,
)

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


@given(LOGITS)
def test_probabilities_of_labels_equal_scipys_sigmoid(raw):
    p = to_probabilities(raw, "multilabel-logits")
    np.testing.assert_allclose(p, scipy.special.expit(raw.astype(float)), rtol=1e-12)
    of_target = compute_target_scores(raw, 1, outputs="multilabel-logits")
    np.testing.assert_array_equal(of_target, p[:, 1])
    np.testing.assert_array_equal(to_probabilities(p, "multilabel-probabilities"), p)


@pytest.mark.parametrize("kind", ["log-odds", "logit"])
@given(LOGITS)
def test_log_odds_of_a_label_are_its_logit_whatever_the_others(kind, raw):
    scores = compute_target_scores(raw, 1, outputs="multilabel-logits", kind=kind)
    np.testing.assert_array_equal(scores, raw[:, 1].astype(float))
    p = scipy.special.expit(raw.astype(float))
    of_p = compute_target_scores(p, 1, outputs="multilabel-probabilities", kind=kind)
    sure = (p[:, 1] > 1e-6) & (p[:, 1] < 1 - 1e-6)
    expected = scipy.special.logit(p[:, 1])
    np.testing.assert_allclose(of_p[sure], expected[sure], rtol=1e-9, atol=1e-9)
    assert np.isfinite(of_p).all()


@pytest.mark.parametrize(
    ("multilabel", "n_classes", "chance"),
    [(False, 4, 0.25), (False, None, None), (True, 4, 0.5), (True, 2, 0.5), (True, None, 0.5)],
)
def test_chance_level_of_a_label_does_not_depend_on_the_number_of_labels(
    multilabel, n_classes, chance
):
    image = np.zeros((2, 2, 3), np.float32)
    case = Case("photo", image, 0, n_classes=n_classes, multilabel=multilabel)
    assert case.chance == chance


def test_several_labels_are_predicted_and_one_class():
    p = np.array([0.9, 0.6, 0.5, 0.1])
    labels = [is_predicted(p, target, multilabel=True) for target in range(4)]
    classes = [is_predicted(p, target, multilabel=False) for target in range(4)]
    assert (labels, classes) == ([True, True, False, False], [True, False, False, False])


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ("logits", False),
        ("probabilities", False),
        ("multilabel-logits", True),
        ("multilabel-probabilities", True),
    ],
)
def test_outputs_tell_whether_classes_are_labels(outputs, expected):
    assert is_multilabel(outputs) is expected


@pytest.mark.parametrize(
    ("row", "outputs", "fault"),
    [
        ([0.9, 0.9, 0.1], "probabilities", "sum to 1.9, .*--head multilabel-probabilities"),
        ([0.9, 0.9, 0.1], "multilabel-probabilities", None),
        ([0.3, 0.2, 0.1], "probabilities", None),  # some of the classes
        ([1 / 255] * 365, "probabilities", None),  # 1 / 365 each, in 8 bits
        ([2.5, 0.0, 0.0], "multilabel-probabilities", r"lie in \[0, 2.5\]; they are logits"),
        ([2.5, 0.0, 0.0], "probabilities", r"lie in \[0, 2.5\]; they are logits"),
        ([2.5, 9.0, 0.0], "logits", None),
        ([2.5, 9.0, 0.0], "multilabel-logits", None),
    ],
)
def test_probabilities_that_cannot_be_any_are_found(row, outputs, fault):
    even = np.full(len(row), 1 / len(row))
    found = find_fault(np.array([even, row], np.float32), outputs)
    assert (found is None) if fault is None else re.search(fault, found)


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


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        *itertools.product(get_args(Outputs), ["probability", "log-odds", "logit"]),
        ("logits", "raw"),
        ("logits", "contrast"),
        ("multilabel-logits", "raw"),
    ],
)
def test_slopes_are_those_of_differences(outputs, kind):
    raw = np.random.default_rng(0).normal(size=(4, 5))
    if outputs in ("probabilities", "multilabel-probabilities"):
        raw = scipy.special.softmax(raw, axis=1)
    targets, step = np.array([0, 4, 2, 2]), 1e-6
    slopes = differentiate_target_scores(raw, targets, outputs=outputs, kind=kind)
    for row, target in enumerate(targets):
        moved = raw[row] + step * np.concatenate([np.eye(5), -np.eye(5)])
        ahead, behind = compute_target_scores(moved, target, outputs=outputs, kind=kind).reshape(
            2, 5
        )
        np.testing.assert_allclose(slopes[row], (ahead - behind) / (2 * step), atol=1e-6)


def test_clipped_probabilities_have_no_slope_and_others_no_infinite_one():
    raw = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    slopes = differentiate_target_scores(
        raw, np.array([0, 0, 0]), outputs="probabilities", kind="log-odds"
    )
    np.testing.assert_allclose(slopes, [[0, 0], [0, 0], [4, 0]])


def test_contrast_is_the_weighted_gap_to_the_three_nearest_classes():
    z = np.array([[4.0, 3.0, 3.5, -2.0, 6.0, 0.0]])
    near, own = [1, 2, 4], 4.0
    p = np.exp(z[0, near])
    expected = (p * (own - z[0, near])).sum() / p.sum()
    score = compute_target_scores(z, 0, outputs="logits", kind="contrast")
    np.testing.assert_allclose(score, [expected], rtol=1e-12)
    two = compute_target_scores(z[:, :2], 0, outputs="logits", kind="contrast")
    np.testing.assert_allclose(two, [1.0], rtol=1e-12)


def test_independent_labels_have_no_contrast():
    with pytest.raises(ScoreError, match="independent labels; choose the score raw"):
        compute_target_scores(np.eye(2), 0, outputs="multilabel-logits", kind="contrast")


@pytest.mark.parametrize("kind", ["raw", "contrast"])
def test_scores_of_logits_are_refused_where_there_are_probabilities(kind):
    with pytest.raises(ScoreError, match=f"{kind}.*returns probabilities; choose"):
        compute_target_scores(np.eye(2), 0, outputs="probabilities", kind=kind)
