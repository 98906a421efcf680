"""Relevance propagation against Zennit 0.5.1, rule by rule and by its composites."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain import LRP, DeepTaylor
from onnxplain.core.errors import ModelError
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos, spec_of

torch = pytest.importorskip("torch")
pytest.importorskip("zennit")
pytestmark = pytest.mark.framework

from torch import nn  # noqa: E402
from torch.nn.utils.fusion import fuse_conv_bn_eval  # noqa: E402
from zennit import rules  # noqa: E402
from zennit.attribution import Gradient  # noqa: E402
from zennit.composites import (  # noqa: E402
    EpsilonAlpha2Beta1,
    EpsilonAlpha2Beta1Flat,
    EpsilonGammaBox,
    EpsilonPlus,
    EpsilonPlusFlat,
    LayerMapComposite,
    layer_map_base,
)
from zennit.core import Composite  # noqa: E402
from zennit.layer import Sum as ZennitSum  # noqa: E402
from zennit.types import AvgPool, Linear  # noqa: E402

from tests.helpers.torch_nets import CLASSES, SIZE, Plain, Residual, export, settle  # noqa: E402

MEAN, STD, TARGET = (0.5, 0.4, 0.6), (0.5, 0.6, 0.4), 3
SPEC = spec_of(size=SIZE, classes=CLASSES, mean=MEAN, std=STD)
NETS = {
    "plain": lambda: Plain(),
    "silu": lambda: Plain(nn.SiLU),
    "residual": lambda: Residual(ZennitSum),
}
# Zennit adds a stabiliser of its own to sums and poolings, which is made negligible.
BASE = [(ZennitSum, rules.Norm(1e-14)), (AvgPool, rules.Norm(1e-14))]
LOW, HIGH = (torch.tensor((end - np.array(MEAN)) / STD)[None, :, None, None] for end in (0, 1))


def merge(net: Any) -> Any:
    """Merge normalisations into the convolutions before them, their epsilon included."""
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(module, nn.Sequential | nn.ModuleList):
            for place in range(len(module) - 1):
                if isinstance(module[place + 1], nn.BatchNorm2d):
                    module[place] = fuse_conv_bn_eval(module[place], module[place + 1])
                    module[place + 1] = nn.Identity()
    return net.double()


def run_zennit(net: Any, composite: Any, images: np.ndarray, dtype: Any) -> np.ndarray:
    x = torch.tensor((images - MEAN) / STD).permute(0, 3, 1, 2).to(dtype)
    with Gradient(model=merge(net).to(dtype), composite=composite) as attributor:
        scores = attributor.model(x)
        start = torch.zeros_like(scores)
        start[:, TARGET] = scores[:, TARGET].detach()
        _, relevance = attributor(x, start)
    return relevance.sum(1).numpy().astype(np.float64)


def differ(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference as a share of the largest value."""
    assert np.abs(expected).max() > 0
    return float(np.abs(found - expected).max() / np.abs(expected).max())


COMPOSITES = {
    "epsilon-plus": (LRP("epsilon-plus"), lambda: EpsilonPlus(layer_map=BASE)),
    "epsilon-plus-flat": (LRP(), lambda: EpsilonPlusFlat(layer_map=BASE)),
    "epsilon-alpha2-beta1": (
        LRP("epsilon-alpha2-beta1"),
        lambda: EpsilonAlpha2Beta1(layer_map=BASE),
    ),
    "epsilon-alpha2-beta1-flat": (
        LRP("epsilon-alpha2-beta1-flat"),
        lambda: EpsilonAlpha2Beta1Flat(layer_map=BASE),
    ),
    "epsilon-gamma-box": (
        LRP("epsilon-gamma-box"),
        lambda: EpsilonGammaBox(low=LOW, high=HIGH, layer_map=BASE),
    ),
    "epsilon-plus, no bias": (
        LRP("epsilon-plus", zero_bias=True),
        lambda: EpsilonPlus(layer_map=BASE, zero_params="bias"),
    ),
    "epsilon-gamma-box, no bias": (
        LRP("epsilon-gamma-box", zero_bias=True),
        lambda: EpsilonGammaBox(low=LOW, high=HIGH, layer_map=BASE, zero_params="bias"),
    ),
    "gamma 1": (LRP("gamma", gamma=1.0), lambda: everywhere(rules.Gamma(1.0))),
    "epsilon .1": (LRP("epsilon", epsilon=0.1), lambda: everywhere(rules.Epsilon(0.1))),
}


def everywhere(rule: Any) -> Any:
    return LayerMapComposite([*BASE, *layer_map_base(), (Linear, rule)])


@pytest.fixture(scope="module", params=NETS)
def net(request: Any) -> Any:
    return settle(NETS[request.param]())


@pytest.fixture(scope="module")
def classifier(net: Any, tmp_path_factory: Any) -> Any:
    return open_model(export(net, tmp_path_factory.mktemp("net") / "net.onnx"), SPEC)


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites_are_those_of_zennit(
    net: Any, classifier: Any, name: str, record_property: Any
) -> None:
    """To 1e-5, or, where denominators come near to 0, as near as Zennit is to itself in float32."""
    method, make = COMPOSITES[name]
    images = photos(3, SIZE)
    found = explain(classifier, method, list(images), [TARGET] * 3)
    expected, rounded = (run_zennit(net, make(), images, d) for d in (torch.double, torch.float))
    for one, right, single in zip(found, expected, rounded, strict=True):
        difference = differ(one.heatmap, right)
        record_property("difference", difference)
        assert difference < max(1e-5, 3 * differ(single, right))
        if "no bias" not in name:
            assert difference < 1e-5


class DeepTaylorOfZennit(Composite):  # type: ignore[misc]
    """Positive contributions, a box at the image, and squares of weights at the end."""

    def __init__(self, net: Any) -> None:
        names = [name for name, part in net.named_modules() if isinstance(part, Linear)]

        def choose(_: Any, name: str, module: Any) -> Any:
            if name == names[0]:
                return rules.ZBox(low=LOW, high=HIGH, zero_params="bias")
            if name == names[-1]:
                return rules.WSquare(zero_params="bias")
            if isinstance(module, Linear):
                return rules.ZPlus(zero_params="bias")
            kinds = [*BASE, *layer_map_base()]
            return next((rule for kind, rule in kinds if isinstance(module, kind)), None)

        super().__init__(module_map=choose)


def test_deep_taylor_is_that_of_zennit(net: Any, classifier: Any) -> None:
    """To 1e-5, or as near as Zennit is to itself in float32, as above."""
    if any(isinstance(part, nn.SiLU) for part in net.modules()):
        pytest.skip("it is for rectifiers")
    images = photos(3, SIZE)
    found = explain(classifier, DeepTaylor(), list(images), [TARGET] * 3)
    expected, rounded = (
        run_zennit(net, DeepTaylorOfZennit(net), images, d) for d in (torch.double, torch.float)
    )
    scores = classifier.scores(images)
    for one, right, single, score in zip(found, expected, rounded, scores, strict=True):
        if score[TARGET] <= 0:
            assert not one.heatmap.any()
            continue
        assert differ(one.heatmap, right) < max(1e-5, 3 * differ(single, right))


@pytest.mark.parametrize("method", [LRP(), LRP("epsilon-gamma-box"), DeepTaylor()], ids=repr)
def test_both_exporters_give_one_map(
    net: Any, classifier: Any, method: Any, tmp_path: Path
) -> None:
    images = list(photos(2, SIZE))
    newer = open_model(export(net, tmp_path / "newer.onnx", dynamo=True), SPEC)
    if isinstance(method, DeepTaylor) and any(isinstance(part, nn.SiLU) for part in net.modules()):
        for one in (classifier, newer):
            with pytest.raises(ModelError, match="networks of rectifiers alone; choose lrp"):
                explain(one, method, images, [TARGET] * 2)
        return
    old = explain(classifier, method, images, [TARGET] * 2)
    # Deep Taylor divides by means without biases, one of them 2e-4 of its terms in the residual
    # net. The files' weights, rounded each in its way, and float32 itself each move the maps of
    # Zennit by up to 3.3e-5 from those in float64 as well, where the files differ by 8e-7.
    tolerance = 1e-4 if isinstance(method, DeepTaylor) else 1e-5
    for one, other in zip(explain(newer, method, images, [TARGET] * 2), old, strict=True):
        assert differ(one.heatmap, other.heatmap) < tolerance
        assert one.details["layer_rules"] == other.details["layer_rules"]
