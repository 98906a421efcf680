"""Methods that left it open use gradients if the classifier has any."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxplain.core.errors import ModelError
from onnxplain.engine.settle import fit_methods, settle_method, settle_methods
from onnxplain.methods import FIDO, MP, MP2, RISE, SP, FullGrad, GradCAM, Gradient, ScoreCAM
from tests.helpers.inside import add_softmax, open_convnet, open_model
from tests.helpers.models import convnet
from tests.helpers.nets import CurvedGradients, Net, curved
from tests.helpers.specs import spec_of

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


def test_evaluations_that_depend_on_the_layer_are_said_before_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        settle_methods([ScoreCAM(), GradCAM()], open_convnet((16, 16)))
    (said,) = [record.getMessage() for record in caplog.records if "evaluations" in record.msg]
    assert said == "score-cam: 9 evaluations per image, by the layer's channels"


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


def test_methods_of_layers_get_theirs_and_what_they_want_is_made_ready() -> None:
    classifier = open_convnet(SIZE)
    (method,), gradients = settle_methods([GradCAM()], classifier)
    assert [layer.tensor for layer in method.found] == ["r2"]
    assert gradients is None
    with pytest.raises(ModelError, match=r"no layer 'r22'.*nearest names are 'r2'"):
        settle_method(GradCAM(layer="r22"), classifier)
    with pytest.raises(ValueError, match="looks at one layer, and 'stages' are 2: r1, r2; choose"):
        settle_method(GradCAM(layer="stages"), classifier)


def test_classifiers_without_layers_are_refused_for_methods_that_look_inside() -> None:
    net = make_net(differentiable=True)
    with pytest.raises(ModelError, match="grad-cam looks inside the classifier, and this one has"):
        settle_method(GradCAM(), net)
    assert settle_method(Gradient(score="log-odds"), net) == (
        Gradient(score="log-odds"),
        GRADIENTS,
    )


def test_models_without_gradients_are_refused_with_methods_that_need_none() -> None:
    model = convnet(SIZE)
    model.graph.node[-1].output[0] = "z"
    model.graph.node.append(helper.make_node("Round", ["z"], ["scores"]))
    classifier = open_model(model, spec_of(size=SIZE, classes=5))
    with pytest.raises(
        ModelError, match=r"grad-cam: .*; methods that need no gradients: "
    ) as raised:
        settle_method(GradCAM(), classifier)
    advised = str(raised.value).rpartition(": ")[2].split(", ")
    assert "rise" in advised
    assert not {"grad-cam", "gradient"} & set(advised)
    with pytest.raises(ModelError, match=r"gradient: .*; methods that need no gradients: .*rise"):
        settle_method(Gradient(), make_net(differentiable=False))


def test_files_without_logits_are_refused_for_the_raw_score_alone() -> None:
    model = add_softmax(convnet(SIZE))
    model.graph.node[-1].output[0] = "p"
    model.graph.node.append(helper.make_node("Abs", ["p"], ["scores"]))
    classifier = open_model(model, spec_of(size=SIZE, classes=5, head="probabilities"))
    with pytest.raises(ModelError, match=r"'scores' comes from Abs; choose the score logit"):
        settle_method(GradCAM(), classifier)
    settle_method(GradCAM(score="probability"), classifier)


def test_advice_is_given_where_the_input_holds_integers() -> None:
    model = convnet(SIZE)
    graph = model.graph
    first = next(node for node in graph.node if graph.input[0].name in node.input)
    graph.node.insert(
        0, helper.make_node("Cast", [graph.input[0].name], ["real"], to=TensorProto.FLOAT)
    )
    first.input[0] = "real"
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    spec = replace(spec_of(size=SIZE, classes=5), dtype="uint8")
    with pytest.raises(ModelError, match=r"fullgrad: .*uint8.*; methods that need no gradients: "):
        settle_method(FullGrad(), open_model(model, spec))
