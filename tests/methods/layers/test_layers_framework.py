"""Maps of small random networks against grad-cam 1.5.7, captum 0.9 and PyTorch's own gradients."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxplain.methods import (
    AblationCAM,
    Combined,
    EigenCAM,
    GradCAM,
    GuidedGradCAM,
    NormGrad,
    ScoreCAM,
)
from onnxplain.methods.layers.reduce import enlarge
from tests.helpers.inside import explain, open_model
from tests.helpers.nets import Picture
from tests.helpers.specs import photos, spec_of

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.framework, pytest.mark.slow]

SIZE, CLASSES, TARGETS = (32, 32), 5, (1, 3)
nn = torch.nn


class Block(nn.Module):  # type: ignore[name-defined,misc]
    """A residual block with batch normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.act(x + self.norm(self.conv(x)))


class Residual(nn.Module):  # type: ignore[name-defined,misc]
    """Two resolutions, pooling of all positions and a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.relu = nn.ReLU()
        self.early = Block(8)
        self.pool = nn.MaxPool2d(4)
        self.widen = nn.Conv2d(8, 12, 1)
        self.relu2 = nn.ReLU()
        self.late = Block(12)
        self.dense = nn.Linear(12, CLASSES)

    def forward(self, x: Any) -> Any:
        x = self.early(self.relu(self.first(x)))
        return self.dense(self.late(self.relu2(self.widen(self.pool(x)))).mean((2, 3)))


class Dense(nn.Module):  # type: ignore[name-defined,misc]
    """Dense layers that tell positions apart, as in VGG, so that gradients vary over them."""

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.pool = nn.MaxPool2d(4)
        self.late = nn.Sequential(nn.Conv2d(6, 10, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(640, 16), nn.ReLU(), nn.Linear(16, CLASSES)
        )

    def forward(self, x: Any) -> Any:
        return self.head(self.late(self.pool(self.early(x))))


NETS = {"residual": Residual, "dense": Dense}


class Opened:
    """A network in PyTorch, its export, and the layers that both are asked about."""

    def __init__(self, name: str, folder: Path) -> None:
        torch.manual_seed(0)
        self.net = NETS[name]().eval()
        for part in self.net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.5, 0.5)
                part.running_var.uniform_(0.5, 2)
        path = folder / "net.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.net,
                (torch.rand(2, 3, *SIZE),),
                path,
                dynamo=False,
                input_names=["image"],
                output_names=["scores"],
                dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
            )
        self.classifier = open_model(onnx.load(path), spec_of(size=SIZE, classes=CLASSES))
        self.images = photos(2, SIZE)
        self.rows = torch.tensor(self.images.transpose(0, 3, 1, 2))

    def explain(self, method: Any) -> list[Any]:
        return explain(self.classifier, method, self.images, TARGETS, Picture(0.0))

    def watch(self, part: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the values of a layer and the gradients of the targets' scores, by PyTorch."""
        seen: list[Any] = []
        handle = part.register_forward_hook(lambda module, given, output: seen.append(output))
        scores = self.net(self.rows)
        handle.remove()
        (grads,) = torch.autograd.grad(scores[[0, 1], list(TARGETS)].sum(), seen[0])
        return seen[0].detach().numpy(), grads.numpy()


@pytest.fixture(params=NETS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    return Opened(request.param, tmp_path)


def measure_gap(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Return the largest difference of two maps, relative to the largest magnitude of theirs."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def run_program(opened: Opened, name: str, part: Any) -> list[NDArray[Any]]:
    """Return the maps of a method of grad-cam before it enlarges them and hides the negative."""
    cams = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    maps: list[NDArray[Any]] = []

    class Keeping(getattr(cams, name)):
        def get_cam_image(self, *given: Any) -> Any:
            maps.extend(np.asarray(super().get_cam_image(*given)))
            return np.array(maps)

    with Keeping(opened.net, [part]) as cam:
        cam(opened.rows, [targets.ClassifierOutputTarget(target) for target in TARGETS])
    return maps


@pytest.mark.parametrize("layer", ["early", "late"])
def test_eigen_cam_is_that_of_grad_cam_but_for_its_sign(opened: Opened, layer: str) -> None:
    method = EigenCAM(layer="last" if layer == "late" else "stage:1")
    theirs = run_program(opened, "EigenCAM", getattr(opened.net, layer))
    for result, map_ in zip(opened.explain(method), theirs, strict=True):
        assert min(measure_gap(result.coarse, sign * map_) for sign in (1, -1)) < 1e-5


@pytest.mark.parametrize("layer", ["early", "late"])
def test_ablation_cam_is_that_of_grad_cam_behind_a_rectifier(opened: Opened, layer: str) -> None:
    method = AblationCAM(layer="last" if layer == "late" else "stage:1")
    ours = opened.explain(method)
    for result, map_ in zip(
        ours, run_program(opened, "AblationCAM", getattr(opened.net, layer)), strict=True
    ):
        assert measure_gap(result.coarse, map_) < 1e-4


def test_score_cam_is_that_of_grad_cam_with_the_same_enlargement(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program enlarges channels from corner to corner, which moves these maps by up to 1e-3."""
    monkeypatch.setattr(
        nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size=size, mode="bilinear")
    )
    theirs = run_program(opened, "ScoreCAM", opened.net.late)
    for result, map_ in zip(opened.explain(ScoreCAM()), theirs, strict=True):
        assert measure_gap(result.coarse, map_) < 1e-5


@pytest.mark.parametrize("layer", ["early", "late"])
def test_guided_grad_cam_is_that_of_captum(opened: Opened, layer: str) -> None:
    attr = pytest.importorskip("captum.attr")
    method = GuidedGradCAM(layer="last" if layer == "late" else "stage:1", channels="sum")
    ours = opened.explain(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum says that it sets hooks
        guided = attr.GuidedGradCam(opened.net, getattr(opened.net, layer))
        theirs = guided.attribute(
            opened.rows.clone().requires_grad_(),
            target=list(TARGETS),
            interpolate_mode="bilinear",
        )
    for result, map_ in zip(ours, theirs.detach().numpy().sum(axis=1), strict=True):
        if not map_.any():  # all that is there speaks against the class
            assert result.details["empty"]
            continue
        assert measure_gap(result.heatmap, map_) < 1e-4


VIRTUAL = {
    "conv1x1": lambda channels: nn.Conv2d(channels, channels, 1, bias=False),
    "conv3x3": lambda channels: nn.Conv2d(channels, channels, 3, padding=1, bias=False),
    "conv3x3-depthwise": lambda channels: nn.Conv2d(
        channels, channels, 3, padding=1, groups=channels, bias=False
    ),
}


@pytest.mark.parametrize("layer", ["early", "late"])
@pytest.mark.parametrize("phase", VIRTUAL)
def test_norm_grad_sums_to_the_gradient_of_a_layer_that_is_put_there(
    opened: Opened, layer: str, phase: str
) -> None:
    part = getattr(opened.net, layer)
    values, _ = opened.watch(part)
    virtual = VIRTUAL[phase](values.shape[1])
    nn.init.dirac_(virtual.weight, groups=virtual.groups)
    handle = part.register_forward_hook(lambda module, given, output: virtual(output))
    name = "last" if layer == "late" else "stage:1"
    ours = opened.explain(NormGrad(layer=name, phase=phase, aggregate="sum"))
    for place, result in enumerate(ours):
        score = opened.net(opened.rows[place : place + 1])[0, TARGETS[place]]
        (grads,) = torch.autograd.grad(score, virtual.weight)
        total, size = float(grads.sum()), float(np.abs(result.coarse).sum())
        gap = abs(float(result.coarse.sum(dtype=float)) - total) / size
        assert gap < 1e-5
    handle.remove()


@pytest.mark.parametrize("aggregate", ["sum", "norm", "filter-norm", "max"])
def test_norm_grad_of_an_own_convolution_is_that_of_pytorchs_windows(
    opened: Opened, aggregate: str
) -> None:
    """What each position adds, from `unfold`; all of it together is the weights' own gradient.

    PyTorch's exporter merges the batch normalisation into the convolution before it, so there the
    output of both counts, and the weights are others.
    """
    merged = isinstance(opened.net, Residual)
    part = opened.net.late.conv if merged else opened.net.late[0]
    read: list[Any] = []
    handle = part.register_forward_hook(lambda module, given, output: read.append(given[0]))
    _, grads = opened.watch(opened.net.late.norm if merged else part)
    handle.remove()
    windows = nn.functional.unfold(read[0], 3, padding=1)[:, :, None]
    products = windows * torch.tensor(grads).flatten(2)[:, None]  # (N, 9 C, D, h w)
    vectors = products.flatten(1, 2).detach().numpy().astype(float)
    expected = {
        "sum": lambda v: v.sum(axis=1),
        "norm": lambda v: np.sqrt((v**2).sum(axis=1)),
        "filter-norm": lambda v: np.sqrt((np.maximum(v, 0) ** 2).sum(axis=1)),
        "max": lambda v: v.max(axis=1),
    }[aggregate](vectors)
    ours = opened.explain(NormGrad(layer="weights:last", phase="proper", aggregate=aggregate))
    for place, (result, map_) in enumerate(zip(ours, expected, strict=True)):
        assert measure_gap(result.coarse.ravel(), map_) < 1e-5
        if aggregate == "sum" and not merged:
            score = opened.net(opened.rows[place : place + 1])[0, TARGETS[place]]
            (slopes,) = torch.autograd.grad(score, part.weight)
            assert abs(map_.sum() - float(slopes.sum())) < 1e-4 * np.abs(map_).sum()


@pytest.mark.parametrize("layer", ["early", "late"])
def test_norm_grad_of_factors_is_the_length_of_captums_products(opened: Opened, layer: str) -> None:
    attr = pytest.importorskip("captum.attr")
    products = attr.LayerGradientXActivation(opened.net, getattr(opened.net, layer))
    vectors = products.attribute(opened.rows, target=list(TARGETS)).detach().numpy()
    name = "last" if layer == "late" else "stage:1"
    for how, part in (("norm", vectors), ("filter-norm", np.maximum(vectors, 0))):
        ours = opened.explain(NormGrad(layer=name, phase="scaling", aggregate=how))
        for result, map_ in zip(ours, np.sqrt((part**2).sum(axis=1)), strict=True):
            assert measure_gap(result.coarse, map_) < 1e-4


def test_combined_grad_cam_is_that_of_each_layer_of_grad_cam(opened: Opened) -> None:
    """The program brings maps to [0, 1] before it enlarges them, so its maps are joined here."""
    parts = [run_program(opened, "GradCAM", part) for part in (opened.net.early, opened.net.late)]
    for result, *maps in zip(
        opened.explain(Combined(base="grad-cam", how="sum")), *parts, strict=True
    ):
        large = [enlarge(np.maximum(map_, 0), SIZE).astype(float) for map_ in maps]
        scaled = [(m - m.min()) / (np.ptp(m) or 1) for m in large]
        np.testing.assert_allclose(result.heatmap, sum(scaled) / 2, atol=1e-4)


def test_grad_cam_reads_the_layers_that_are_compared(opened: Opened) -> None:
    for name, layer in (("last", "late"), ("stage:1", "early")):
        values, grads = opened.watch(getattr(opened.net, layer))
        expected = np.einsum("nc,nchw->nhw", grads.mean(axis=(2, 3)), values)
        for result, map_ in zip(opened.explain(GradCAM(layer=name)), expected, strict=True):
            assert measure_gap(result.coarse, map_) < 1e-4
