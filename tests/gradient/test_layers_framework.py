"""Layers of networks that PyTorch exports in its two ways, which name tensors differently."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from onnxplain.core.data import Layer
from onnxplain.core.inside import Tensors
from tests.helpers.inside import open_model
from tests.helpers.layers import open_finder
from tests.helpers.specs import photos, spec_of

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytestmark = [pytest.mark.framework, pytest.mark.slow]

SIZE, CLASSES = 64, 10
tv = torchvision.models


class MeanTokens(torch.nn.Module):  # type: ignore[name-defined,misc]
    """A transformer without a class token, whose tokens are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = torch.nn.Conv2d(3, 24, 8, 8)
        layer = torch.nn.TransformerEncoderLayer(24, 2, 48, norm_first=True, batch_first=True)
        self.blocks = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(24, CLASSES)

    def forward(self, x: Any) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.blocks(tokens).mean(1))


NETS: dict[str, tuple[Callable[[], Any], tuple[int, int, int], int, bool]] = {
    "resnet18": (lambda: tv.resnet18(num_classes=CLASSES), (512, 2, 2), 5, True),
    "mobilenet_v3": (lambda: tv.mobilenet_v3_small(num_classes=CLASSES), (576, 2, 2), 5, True),
    "squeezenet": (lambda: tv.squeezenet1_1(num_classes=CLASSES), (512, 3, 3), 4, True),
    "shufflenet": (lambda: tv.shufflenet_v2_x0_5(num_classes=CLASSES), (1024, 2, 2), 5, True),
    "densenet": (
        lambda: tv.DenseNet(8, (2, 2, 2), 16, num_classes=CLASSES), (32, 4, 4), 4, True,
    ),
    "swin": (
        lambda: tv.SwinTransformer([4, 4], 24, [2, 2], [2, 2], [4, 4], num_classes=CLASSES),
        (48, 8, 8), 2, True,
    ),
    "vit with a class token": (
        lambda: tv.VisionTransformer(SIZE, 8, 2, 2, 24, 48, num_classes=CLASSES),
        (24, 8, 8), 1, False,
    ),
    "vit with a mean": (MeanTokens, (24, 8, 8), 1, True),
}  # fmt: skip


def export(net: Any, path: Path, *, dynamo: bool) -> onnx.ModelProto:
    torch.manual_seed(0)
    example = (torch.rand(1, 3, SIZE, SIZE),)
    extra: dict[str, Any] = {"external_data": False} if dynamo else {"opset_version": 17}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, example, path, dynamo=dynamo, input_names=["image"], output_names=["scores"],
            verbose=False, **extra,
        )  # fmt: skip
    return onnx.load(path)


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("name", NETS)
def test_default_layer_and_stages_do_not_depend_on_the_exporter(
    name: str, dynamo: bool, tmp_path: Path
) -> None:
    make, shape, n_stages, is_cut = NETS[name]
    model = export(make().eval(), tmp_path / "net.onnx", dynamo=dynamo)
    finder = open_finder(model, (SIZE, SIZE), CLASSES)
    layer = finder.last
    assert (layer.shape, layer.is_cut) == (shape, is_cut)
    assert len(finder.stages) == n_stages


def test_tokens_that_a_class_token_leaves_behind_still_have_gradients(tmp_path: Path) -> None:
    """The values are those of the network's own normalisation, without the class token."""
    torch.manual_seed(0)
    net = tv.VisionTransformer(SIZE, 8, 2, 2, 24, 48, num_classes=CLASSES).eval()
    torch.nn.init.normal_(net.heads.head.weight)
    seen: list[Any] = []

    def keep(module: Any, inputs: Any, output: Any) -> None:
        output.retain_grad()
        seen.append(output)

    net.encoder.layers[-1].ln_1.register_forward_hook(keep)
    classifier = open_model(
        export(net, tmp_path / "vit.onnx", dynamo=False),
        spec_of(size=(SIZE, SIZE), classes=CLASSES),
    )
    seen.clear()
    (layer,) = classifier.find_layers("last")
    assert isinstance(layer, Layer)
    assert layer.prefix == 1
    images = photos(1, (SIZE, SIZE))
    inside = classifier.look_inside(images, np.array([4]), Tensors((layer,)))
    net(torch.tensor(images.transpose(0, 3, 1, 2)))[0, 4].backward()
    own = seen[0].detach().numpy(), seen[0].grad.numpy()
    for ours, theirs in zip(inside.layers[0], own, strict=True):
        expected = theirs[:, 1:].transpose(0, 2, 1).reshape(1, 24, 8, 8)
        np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max() + 1e-7)
    assert np.abs(inside.layers[0][1]).max() > 0
