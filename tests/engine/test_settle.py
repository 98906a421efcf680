"""Methods that left it open use gradients if the classifier has any."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from onnxplain.core.errors import ModelError
from onnxplain.engine.settle import fit_methods, settle_method, settle_methods
from onnxplain.methods import FIDO, MP, MP2, RISE, SP
from tests.helpers.nets import CurvedGradients, Net, curved

SIZE = (6, 8)
WEIGHTS = (np.random.default_rng(0).standard_normal((*SIZE, 3, 2)) * 0.1).astype(np.float32)
GRADIENTS = CurvedGradients(WEIGHTS)


def make_net(*, differentiable: bool) -> Net:
    return Net(curved(WEIGHTS), SIZE, slopes=GRADIENTS if differentiable else None)


def test_open_methods_use_the_gradients_of_the_classifier() -> None:
    methods, gradients = settle_methods([MP(), MP2(), RISE()], make_net(differentiable=True))
    assert methods == [MP(estimator="gradient"), MP2(gain="gradient"), RISE()]
    assert gradients is GRADIENTS


def test_open_methods_do_without_gradients_where_there_are_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        methods, gradients = settle_methods([MP2(), FIDO()], make_net(differentiable=False))
    assert methods == [MP2(gain="difference"), FIDO(estimator="score-function")]
    assert gradients is None
    assert "fido, mp2: running without gradients: a net has no gradients" in caplog.text


def test_methods_that_avoid_gradients_never_ask_for_them() -> None:
    class Undifferentiated(Net):
        def gradients(self):
            raise AssertionError("nobody wants them")

    net = Undifferentiated(curved(WEIGHTS), SIZE)
    method = MP(estimator="spsa")
    assert settle_methods([RISE(), method], net) == ([RISE(), method], None)


def test_missing_gradients_are_an_error_that_says_how_each_method_does_without() -> None:
    methods = [FIDO(), MP2(gain="gradient"), MP(estimator="gradient")]
    with pytest.raises(ModelError) as raised:
        settle_methods(methods, make_net(differentiable=False))
    assert str(raised.value) == (
        "a net has no gradients; explain it with scores alone: "
        "mp with estimator=spsa, mp2 with gain=difference"
    )


def test_error_keeps_the_type_that_the_classifier_raised() -> None:
    class Undifferentiable(ModelError):
        pass

    class Refusing(Net):
        def gradients(self):
            raise Undifferentiable("node 'relu'")

    with pytest.raises(Undifferentiable, match="node 'relu'; explain it with scores alone: mp2"):
        settle_method(MP2(gain="gradient"), Refusing(curved(WEIGHTS), SIZE))


def test_defaults_that_do_not_fit_small_images_are_made_smaller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As of MNIST; what somebody set stays, and fails with its own message."""
    set_by_somebody = [RISE(), FIDO(grid=40), SP(patch=30), SP(patch=29), MP(grid=28)]
    methods = [SP(), replace(MP(), n_steps=3), MP2(), FIDO(), *set_by_somebody]
    assert fit_methods(methods, (20, 28)) == [
        *(SP(patch=3), MP(grid=20, n_steps=3), MP2(grid=20), FIDO(grid=20)),
        *set_by_somebody,
    ]
    assert "sp: patch is 3, as its default of 29 does not fit images of 20 x 28" in caplog.text
    assert fit_methods(methods, (224, 224)) == methods
    assert fit_methods([SP()], (29, 29)) == [SP()]
