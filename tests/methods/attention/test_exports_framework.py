"""Transformers of timm, Hugging Face and torchvision, exported in three ways, against PyTorch.

Weights are random: what is compared is the attention that is found, and the map of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain import CPLRP, AttentionRollout, GenericAttention
from onnxplain.core.data import Tokens
from onnxplain.core.errors import ModelError
from tests.helpers.inside import explain, open_model
from tests.helpers.specs import photos, spec_of
from tests.reference.transformers import follow_attention, roll_out

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
transformers = pytest.importorskip("transformers")
torchvision = pytest.importorskip("torchvision")
pytestmark = [pytest.mark.framework, pytest.mark.slow]

SIZE, CLASSES, TARGET = 64, 5, 3
SPEC = spec_of(size=(SIZE, SIZE), classes=CLASSES)
SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": SIZE, "patch_size": 8}
HF = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": SIZE, "patch_size": 8, "num_labels": CLASSES,
}  # fmt: skip


class HuggingFace(torch.nn.Module):  # type: ignore[name-defined,misc]
    """The scores alone, of images that are given by position."""

    def __init__(self, net: Any, output: str = "logits") -> None:
        super().__init__()
        self.net, self.output = net, output

    def forward(self, x: Any) -> Any:
        return getattr(self.net(pixel_values=x), self.output)


def make_hf(kind: str) -> HuggingFace:
    config = transformers.AutoConfig.for_model(kind, **HF)
    return HuggingFace(transformers.AutoModelForImageClassification.from_config(config))


def make_deit() -> HuggingFace:
    return HuggingFace(transformers.DeiTForImageClassification(transformers.DeiTConfig(**HF)))


def make_clip() -> HuggingFace:
    config = transformers.CLIPVisionConfig(**HF, projection_dim=CLASSES)
    return HuggingFace(transformers.CLIPVisionModelWithProjection(config), "image_embeds")


def make_timm(name: str, **changed: Any) -> Any:
    return timm.create_model(name, num_classes=CLASSES, **{**SMALL, **changed})


CLASS = Tokens((8, 8), 1, (0, 1))
NETS: dict[str, tuple[Callable[[], Any], Tokens]] = {
    "timm vit": (lambda: make_timm("vit_tiny_patch16_224"), CLASS),
    "timm vit, mean": (
        lambda: make_timm("vit_tiny_patch16_224", global_pool="avg"), Tokens((8, 8), 1, (1, 65)),
    ),
    "timm vit without a class token": (
        lambda: make_timm(
            "vit_tiny_patch16_224", global_pool="avg", class_token=False, fc_norm=False
        ),
        Tokens((8, 8), 0, (0, 64)),
    ),
    "timm deit, distilled": (
        lambda: make_timm("deit_tiny_distilled_patch16_224"), Tokens((8, 8), 2, (0, 2)),
    ),
    "timm dinov2, registers": (
        lambda: make_timm("vit_small_patch14_reg4_dinov2"), Tokens((8, 8), 5, (0, 1)),
    ),
    "timm dinov3": (lambda: make_timm("vit_small_patch16_dinov3"), Tokens((8, 8), 5, (5, 69))),
    "timm clip": (lambda: make_timm("vit_base_patch16_clip_224"), CLASS),
    "hf vit": (lambda: make_hf("vit"), CLASS),
    "hf deit": (make_deit, Tokens((8, 8), 2, (0, 1))),
    "hf dinov2": (lambda: make_hf("dinov2"), CLASS),
    "hf dinov2, registers": (lambda: make_hf("dinov2_with_registers"), Tokens((8, 8), 5, (0, 1))),
    "hf clip": (make_clip, CLASS),
    "torchvision vit": (
        lambda: torchvision.models.VisionTransformer(SIZE, 8, 2, 2, 32, 48, num_classes=CLASSES),
        CLASS,
    ),
}  # fmt: skip
WAYS = {
    "torchscript": {"dynamo": False, "opset_version": 17},
    "dynamo": {"dynamo": True, "opset_version": 18},
    "dynamo 23": {"dynamo": True, "opset_version": 23},
}
# What the exporter itself cannot do.
IMPOSSIBLE = {("timm dinov3", "torchscript"), ("hf dinov2, registers", "torchscript")}
# Between these opsets only the operator Attention differs, so one network of each library will do.
FEW = ("timm vit", "hf vit", "torchvision vit")
CASES = [
    (name, way)
    for name in NETS
    for way in WAYS
    if (name, way) not in IMPOSSIBLE and (way != "dynamo" or name in FEW)
]


@cache
def make_net(name: str) -> Any:
    """Make a network whose weights are large enough for its answers to differ."""
    torch.manual_seed(0)
    net = NETS[name][0]().eval()
    with torch.no_grad():
        for key, p in net.named_parameters():
            if p.dim() > 1:
                p.normal_(std=1.5 * p[0].numel() ** -0.5 if min(p.shape) > 1 else 0.3)
            elif key.endswith(("gamma", "lambda1")):
                p.fill_(0.7)
            else:
                p.add_(0.1 * torch.randn_like(p))
    return net


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def export(net: Any, path: Path, way: str) -> onnx.ModelProto:
    """Export a network with a dynamic batch."""
    options: dict[str, Any] = dict(WAYS[way])
    if options["dynamo"]:
        options["dynamic_shapes"] = ({0: torch.export.Dim.DYNAMIC},)
        options["external_data"] = False
    else:
        options["dynamic_axes"] = {"image": {0: "N"}}
    with quiet():
        torch.onnx.export(
            net, (torch.rand(2, 3, SIZE, SIZE),), path, input_names=["image"],
            output_names=["scores"], verbose=False, **options,
        )  # fmt: skip
    return onnx.load(path)


def attend(net: Any, image: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return attention weights (heads, T, T) and their slopes, as PyTorch computes them.

    The attention of every library is a softmax in the end, once it is not fused.
    """
    seen: list[Any] = []
    softmax, fused = torch.softmax, torch.nn.functional.scaled_dot_product_attention

    def compute(q: Any, k: Any, v: Any, *others: Any, scale: float | None = None, **_: Any) -> Any:
        weights = softmax(q @ k.transpose(-1, -2) * (scale or q.shape[-1] ** -0.5), -1)
        weights.retain_grad()
        seen.append(weights)
        return weights @ v

    torch.nn.functional.scaled_dot_product_attention = compute
    try:
        x = torch.tensor(image.transpose(2, 0, 1)[None])
        net(x)[0, TARGET].backward()
    finally:
        torch.nn.functional.scaled_dot_product_attention = fused
    return tuple([t.detach().double().numpy()[0] for t in part] for part in (
        seen, [t.grad for t in seen]
    ))  # fmt: skip


@pytest.mark.parametrize(("name", "way"), CASES)
def test_maps_are_those_of_pytorchs_attention(name: str, way: str, tmp_path: Path) -> None:
    net, tokens = make_net(name), NETS[name][1]
    classifier = open_model(export(net, tmp_path / "net.onnx", way), SPEC, batch_size=2)
    layers = classifier.find_layers("attention")
    assert [layer.tokens for layer in layers] == [tokens] * 2
    image = photos(1, (SIZE, SIZE))[0]
    attentions, slopes = attend(net, image)
    assert len(attentions) == 2
    start, stop = tokens.read
    for method, joint in (
        (AttentionRollout(), roll_out(attentions)),
        (GenericAttention(), follow_attention(attentions, slopes)),
    ):
        expected = joint[start:stop].mean(0)[tokens.prefix :].reshape(tokens.grid)
        (found,) = explain(classifier, method, [image], [TARGET])
        assert found.coarse is not None
        np.testing.assert_allclose(found.coarse, expected, atol=1e-5 * expected.max())


SWIN = {
    "timm": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224", embed_dim=24, depths=(2, 2), num_heads=(2, 2),
        img_size=SIZE, window_size=4, num_classes=CLASSES,
    ),
    "torchvision": lambda: torchvision.models.SwinTransformer(
        [4, 4], 24, [2, 2], [2, 2], [4, 4], num_classes=CLASSES
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ["torchscript", "dynamo 23"])
@pytest.mark.parametrize("name", SWIN)
def test_windows_are_refused_and_have_relevance(name: str, way: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SWIN[name]().eval()
    classifier = open_model(export(net, tmp_path / "net.onnx", way), SPEC, batch_size=2)
    image = photos(1, (SIZE, SIZE))[0]
    with pytest.raises(ModelError, match="tokens attend within windows or groups"):
        explain(classifier, GenericAttention(), [image], [TARGET])
    (found,) = explain(classifier, CPLRP(), [image], [TARGET])
    assert found.details["stops"]["attention"] == 4
    assert np.ptp(found.heatmap) > 0
