"""Gradients of small networks against torch's own, exported by both of its exporters."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain.core.data import ScoreKind
from onnxplain.core.spec import Head
from onnxplain.gradient import SCORE, GradientRequest, build_gradient, gradient_name
from onnxplain.runtime.measure import RuntimeMeasure
from tests.helpers.gradients import PlainMeasure, ints

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.framework, pytest.mark.slow]

nn = torch.nn
SIDE = 12


class Residual(nn.Module):
    """As in ResNet: max-pooling, batch normalisation, a strided shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(3, 2, 1))
        self.a = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12))
        self.b = nn.Sequential(nn.Conv2d(12, 12, 3, 1, 1, bias=False), nn.BatchNorm2d(12))
        self.short = nn.Sequential(nn.Conv2d(8, 12, 1, 2, bias=False), nn.BatchNorm2d(12))

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        return torch.relu(self.b(torch.relu(self.a(x))) + self.short(x)).mean((2, 3))


class Inverted(nn.Module):
    """As in MobileNetV3: a kernel per channel, squeeze and excitation, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(3, 12, 1), nn.Hardswish())
        self.depth = nn.Sequential(nn.Conv2d(12, 12, 5, 2, 2, groups=12), nn.SiLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(12, 4, 1), nn.ReLU6(), nn.Conv2d(4, 12, 1),
            nn.Hardsigmoid(),
        )  # fmt: skip
        self.narrow = nn.Conv2d(12, 12, 1)

    def forward(self, x: Any) -> Any:
        x = self.depth(self.widen(x))
        return self.narrow(x * self.gate(x)).flatten(2).amax(2)


class Dense(nn.Module):
    """As in DenseNet: concatenation, average pooling, dilation, reflection."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
        self.b = nn.Conv2d(7, 5, 3, padding=2, dilation=2)
        self.pool = nn.AvgPool2d(3, 2, 1)

    def forward(self, x: Any) -> Any:
        x = torch.cat([x, nn.functional.elu(self.a(x))], 1)
        x = torch.cat([x, torch.tanh(self.b(x))], 1)
        x = nn.functional.interpolate(self.pool(x), scale_factor=2.0, mode="bilinear")
        return x.square().mean((2, 3)).sqrt()


class Attention(nn.Module):
    """As in a vision transformer: patches, a class token, two heads, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 12))
        self.place = nn.Parameter(torch.randn(1, 10, 12))
        self.norm, self.qkv = nn.LayerNorm(12), nn.Linear(12, 36)
        self.mlp = nn.Sequential(nn.LayerNorm(12), nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        n = x.shape[0]
        q, k, v = self.qkv(self.norm(x)).reshape(n, 10, 3, 2, 6).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + mixed.transpose(1, 2).reshape(n, 10, 12)
        return (x + self.mlp(x))[:, 0]


class Shifted(nn.Module):
    """As in Swin: shifted windows, merging of patches by strided slices."""

    def __init__(self) -> None:
        super().__init__()
        self.lift, self.merge = nn.Conv2d(3, 8, 1), nn.Linear(32, 12)

    def forward(self, x: Any) -> Any:
        x = torch.roll(self.lift(x).permute(0, 2, 3, 1), (-1, -2), (1, 2))
        n = x.shape[0]
        parts = x.reshape(n, 3, 4, 3, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, 8)
        mixed = torch.softmax(parts @ parts.transpose(1, 2), -1) @ parts
        x = mixed.reshape(n, 3, 3, 4, 4, 8).permute(0, 1, 3, 2, 4, 5).reshape(n, 12, 12, 8)
        corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return self.merge(torch.cat(corners, -1)).mean((1, 2))


NETWORKS = [Residual, Inverted, Dense, Attention, Shifted]


def make_network(kind: type) -> Any:
    torch.manual_seed(0)
    net = nn.Sequential(kind(), nn.Linear(12, 5))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.3)
    return net.eval().requires_grad_(False)


def export(net: Any, dynamo: bool) -> onnx.ModelProto:
    file, x = io.BytesIO(), torch.randn(2, 3, SIDE, SIDE)
    names: dict[str, Any] = {"input_names": ["x"], "output_names": ["y"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters warn of their own deprecation
        if dynamo:
            batch = ({0: torch.export.Dim("N")},)
            program = torch.onnx.export(net, (x,), dynamo=True, dynamic_shapes=batch,
                                        verbose=False, **names)  # fmt: skip
            program.save(file)
        else:
            axes = {"x": {0: "N"}, "y": {0: "N"}}
            torch.onnx.export(
                net, (x,), file, dynamo=False, opset_version=17, dynamic_axes=axes, **names
            )
    return onnx.load_from_string(file.getvalue())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
def test_gradient_is_that_of_torch_in_float64(kind: type, dynamo: bool) -> None:
    """Random values lie far from kinks compared with float32's rounding, so 1e-5 holds."""
    if dynamo:
        pytest.importorskip("onnxscript")
    net = make_network(kind)
    model = export(net, dynamo)
    x = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    targets = [0, 4, 2]
    examples = [{"x": x[:n].numpy()} for n in (2, 3)]
    request = GradientRequest("x", "y", kind="log-odds")
    gradient = build_gradient(model, request, RuntimeMeasure(), examples)
    feeds = {"x": x.numpy(), "target": ints(*targets)}
    outputs = PlainMeasure().run(gradient.SerializeToString(), feeds)

    wide = x.double().requires_grad_()
    z = net.double()(wide)
    scores = [
        row[t] - torch.cat([row[:t], row[t + 1 :]]).logsumexp(0)
        for row, t in zip(z, targets, strict=True)
    ]
    torch.stack(scores).sum().backward()
    expected = wide.grad.numpy()
    np.testing.assert_allclose(outputs[SCORE], [float(s.detach()) for s in scores], rtol=1e-4)
    error = np.linalg.norm(outputs[gradient_name("x")] - expected) / np.linalg.norm(expected)
    assert error < 1e-5


@pytest.mark.parametrize("kind", ["probability", "log-odds", "logit"])
@pytest.mark.parametrize("ends_in_sigmoid", [False, True])
def test_gradient_of_a_label_is_that_of_torch_in_float64(
    kind: ScoreKind, ends_in_sigmoid: bool
) -> None:
    net = make_network(Residual)
    end = [nn.Sigmoid()] if ends_in_sigmoid else []
    model = export(nn.Sequential(net, *end).eval(), dynamo=False)
    x = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    targets = [0, 4, 2]
    examples = [{"x": x[:n].numpy()} for n in (2, 3)]
    head: Head = "multilabel-probabilities" if ends_in_sigmoid else "multilabel-logits"
    request = GradientRequest("x", "y", head=head, kind=kind)
    gradient = build_gradient(model, request, RuntimeMeasure(), examples)
    feeds = {"x": x.numpy(), "target": ints(*targets)}
    outputs = PlainMeasure().run(gradient.SerializeToString(), feeds)

    wide = x.double().requires_grad_()
    z = net.double()(wide)[range(3), targets]
    # Log-odds as the difference of what the binary cross-entropy of torch is for 0 and for 1.
    loss = nn.functional.binary_cross_entropy_with_logits
    against, for_it = (loss(z, torch.full_like(z, y), reduction="none") for y in (0, 1))
    scores = torch.exp(-for_it) if kind == "probability" else against - for_it
    scores.sum().backward()
    np.testing.assert_allclose(outputs[SCORE], scores.detach().numpy(), rtol=1e-4)
    expected = wide.grad.numpy()
    error = np.linalg.norm(outputs[gradient_name("x")] - expected) / np.linalg.norm(expected)
    assert error < 1e-5
