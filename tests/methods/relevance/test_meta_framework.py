"""Meta-saliency against a step of PyTorch's autograd, on networks with normalisations."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain import MetaSaliency
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos, spec_of

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.framework

from torch import nn  # noqa: E402

from tests.helpers.torch_nets import CLASSES, SIZE, Plain, Residual, export, settle  # noqa: E402

SPEC, TARGET, RATE = spec_of(size=SIZE, classes=CLASSES), 3, 0.05


class Sum(nn.Module):
    def forward(self, operands: Any) -> Any:
        return operands.sum(dim=-1)


NETS = {"plain": lambda: Plain(nn.SiLU), "residual": lambda: Residual(Sum)}


def step(net: Any, x: Any) -> Any:
    moved = copy.deepcopy(net).double()
    loss = nn.functional.cross_entropy(moved(x), torch.tensor([TARGET]))
    grads = torch.autograd.grad(loss, list(moved.parameters()))
    with torch.no_grad():
        for parameter, grad in zip(moved.parameters(), grads, strict=True):
            parameter -= RATE * grad
    return moved


@pytest.mark.parametrize("kind", NETS)
def test_gradient_after_the_step(kind: str, tmp_path: Path, record_property: Any) -> None:
    """Normalisations are exported as nodes, with the weights that they were trained with."""
    net = settle(NETS[kind]())
    model = export(net, tmp_path / "net.onnx", whole=True)
    assert any(node.op_type == "BatchNormalization" for node in model.graph.node)
    images = photos(2, SIZE)
    found = explain(
        open_model(model, SPEC), MetaSaliency("gradient", rate=RATE), list(images), [TARGET] * 2
    )
    for image, one in zip(images, found, strict=True):
        x = torch.tensor(image.transpose(2, 0, 1)[None].copy(), dtype=torch.float64)
        moved, x = step(net, x), x.requires_grad_()
        (grad,) = torch.autograd.grad(moved(x)[0, TARGET], x)
        expected = grad.abs().amax(dim=1)[0].numpy()
        (plain,) = torch.autograd.grad(net.double()(x)[0, TARGET], x)
        assert (plain.abs().amax(dim=1)[0].numpy() - expected).max() > 1e-3 * expected.max()
        difference = np.abs(one.heatmap - expected).max() / expected.max()
        record_property("difference", difference)
        assert difference < 1e-4
