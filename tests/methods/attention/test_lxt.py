"""AttnLRP and CP-LRP against LXT 2.1, on the same small transformer in PyTorch, in float64."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

from onnxplain import CPLRP, AttnLRP
from onnxplain.core.flow import Method
from tests.helpers.inside import explain
from tests.helpers.specs import photos
from tests.helpers.transformers import Form, Vit, draw_weights, open_vit

torch = pytest.importorskip("torch")
pytest.importorskip("zennit")
lxt = pytest.importorskip("lxt")
pytestmark = pytest.mark.framework

# Its package also imports models, for which it needs an older version of transformers.
efficient = types.ModuleType("lxt.efficient")
efficient.__path__ = [f"{lxt.__path__[0]}/efficient"]
sys.modules.setdefault("lxt.efficient", efficient)

from lxt.efficient import patches, zennit_patches  # noqa: E402
from torch import nn  # noqa: E402
from zennit.composites import LayerMapComposite  # noqa: E402
from zennit.core import BasicHook  # noqa: E402
from zennit.rules import Gamma  # noqa: E402

TARGET = 1
VITS = {
    "class": Vit(),
    "mean": Vit(prefix=0, head="mean"),
    "registers": Vit(prefix=3, blocks=3, heads=4),
}


def attend(module: Any, q: Any, k: Any, v: Any) -> Any:
    return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v


class Block(nn.Module):  # type: ignore[misc]
    """A block whose every step has a rule of LXT."""

    def __init__(self, vit: Vit, attend: Any) -> None:
        super().__init__()
        d = vit.width
        self.heads, self.attend = vit.heads, attend
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x: Any) -> Any:
        n = patches.layer_norm_forward(self.n1, x)
        q, k, v = (
            one(n).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for one in (self.q, self.k, self.v)
        )
        x = x + self.o(self.attend(self, q, k, v).transpose(1, 2).flatten(2))
        n = patches.layer_norm_forward(self.n2, x)
        return x + self.down(patches.identity_rule_implicit(nn.functional.gelu, self.up(n)))


class Transformer(nn.Module):  # type: ignore[misc]
    """The network of `tests.helpers.transformers`, with its weights."""

    def __init__(self, vit: Vit, attend: Any) -> None:
        super().__init__()
        self.vit, w = vit, {k: torch.tensor(v) for k, v in draw_weights(vit).items()}
        self.patch = nn.Conv2d(3, vit.width, vit.patch, vit.patch)
        self.blocks = nn.ModuleList(Block(vit, attend) for _ in range(vit.blocks))
        self.norm, self.head = nn.LayerNorm(vit.width), nn.Linear(vit.width, vit.classes)
        self.position, self.token = w["position"].double(), w.get("token", torch.zeros(1, 0, 8))
        loaded = {
            "patch.weight": w["patch"], "patch.bias": w["patch_bias"],
            "norm.weight": w["norm_scale"], "norm.bias": w["norm_bias"],
            "head.weight": w["head"].T, "head.bias": w["head_bias"],
        }  # fmt: skip
        for place in range(vit.blocks):
            p, to = f"b{place}/", f"blocks.{place}."
            for name in "qkvo":
                loaded[f"{to}{name}.weight"] = w[f"{p}w{name}"].T
                loaded[f"{to}{name}.bias"] = w[f"{p}b{name}"]
            for name in ("up", "down"):
                loaded[f"{to}{name}.weight"] = w[f"{p}{name}"].T
                loaded[f"{to}{name}.bias"] = w[f"{p}{name}_bias"]
            for name in ("n1", "n2"):
                loaded[f"{to}{name}.weight"] = w[f"{p}{name}_scale"]
                loaded[f"{to}{name}.bias"] = w[f"{p}{name}_bias"]
        self.load_state_dict(loaded)
        self.double()

    def forward(self, x: Any) -> Any:
        patches_ = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.double().expand(len(x), -1, -1), patches_], 1) + self.position
        for block in self.blocks:
            x = block(x)
        x = patches.layer_norm_forward(self.norm, x)
        return self.head(x[:, 0] if self.vit.head == "class" else x.mean(1))


def run_lxt(vit: Vit, images: np.ndarray, wrap: Any, gamma: float, conv_gamma: float) -> Any:
    net = Transformer(vit, wrap(attend))
    layers = [(nn.Conv2d, conv_gamma), (nn.Linear, gamma)]
    rules = [(kind, Gamma(number)) for kind, number in layers if number]
    composite = LayerMapComposite(rules)
    x = torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.double, requires_grad=True)
    composite.register(net)
    net(x)[:, TARGET].sum().backward()
    composite.remove()
    return (x * x.grad).sum(1).detach().numpy()


@pytest.fixture(autouse=True)
def patched_zennit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Zennit pass gradients on in place of relevance, as LXT does, for these tests alone."""
    monkeypatch.setattr(BasicHook, "forward", zennit_patches.forward)
    monkeypatch.setattr(BasicHook, "backward", zennit_patches.backward)


@pytest.mark.parametrize("form", ["split", "merged", "fused"])
@pytest.mark.parametrize("gammas", [(0.0, 0.0), (0.05, 0.25), (1.0, 0.1)])
@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize(
    ("method", "wrap"),
    [
        (AttnLRP, patches.wrap_attention_forward),
        (CPLRP, patches.cp_wrap_attention_forward),
    ],
)
def test_maps_are_those_of_lxt(
    method: type[Method], wrap: Any, name: str, gammas: tuple[float, float], form: Form
) -> None:
    vit, (gamma, conv_gamma) = VITS[name], gammas
    images = photos(2, vit.size)
    expected = run_lxt(vit, images, wrap, gamma, conv_gamma)
    own = method(gamma=gamma, conv_gamma=conv_gamma)  # type: ignore[call-arg]
    found = explain(open_vit(vit, form), own, list(images), [TARGET] * 2)
    for result, map_ in zip(found, expected, strict=True):
        np.testing.assert_allclose(result.heatmap, map_, atol=1e-5 * np.abs(map_).max())
