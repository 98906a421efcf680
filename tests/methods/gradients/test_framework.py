"""The methods of the image's gradient against captum, and on wrapped PyTorch modules."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain
from onnxplain import (
    Black,
    DeconvNet,
    GradCAM,
    Gradient,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
)
from tests.helpers.inside import open_model
from tests.helpers.specs import photos, spec_of

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.framework

SIZE, CLASSES, TARGET = (16, 20), 5, 3
nn = torch.nn


def make_net(kind: str) -> Any:
    torch.manual_seed(0)
    activation = {"relu": nn.ReLU, "silu": nn.SiLU}[kind]
    layers = [
        *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), activation(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 12, 3, padding=1), activation(), nn.Conv2d(12, 12, 3, stride=2)),
        *(activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES)),
    ]
    net = nn.Sequential(*layers)
    with torch.no_grad():
        net(torch.rand(64, 3, *SIZE))  # for the statistics of the normalisation
    return net.eval()


def export(net: Any, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.rand(2, 3, *SIZE),),
            path,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
    return open_model(onnx.load(path), spec_of(size=SIZE, classes=CLASSES))


def to_torch(photo: np.ndarray) -> Any:
    return torch.tensor(photo.transpose(2, 0, 1)[None].copy(), dtype=torch.float64)


def to_pixels(attribution: Any) -> np.ndarray:
    pixels: np.ndarray = attribution.detach().numpy()[0].transpose(1, 2, 0)
    return pixels


def measure(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference as a share of the largest value."""
    assert np.abs(expected).max() > 0
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("kind", ["relu", "silu"])
def test_maps_are_those_of_captum(kind: str, tmp_path: Path, record_property: Any) -> None:
    """Captum in float64, on the module itself; ours in float32, on its export."""
    attr = pytest.importorskip("captum.attr")
    net = make_net(kind)
    classifier = export(net, tmp_path / "net.onnx")
    photo = photos(1, SIZE)[0]
    net.double()
    x = to_torch(photo).requires_grad_()
    zero = torch.zeros_like(x)

    def explain(method: Any) -> np.ndarray:
        fill = None if method.usual_fill == "none" else Black()
        heatmap: np.ndarray = onnxplain.explain(
            classifier, photo, method, target=TARGET, fill=fill
        ).heatmap
        return heatmap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks on activations
        slope = to_pixels(attr.Saliency(net).attribute(x, target=TARGET, abs=False))
        product = to_pixels(attr.InputXGradient(net).attribute(x, target=TARGET))
        path = to_pixels(
            attr.IntegratedGradients(net).attribute(
                x, zero, target=TARGET, n_steps=32, method="gausslegendre"
            )
        )
        pairs = {
            "gradient": (Gradient(), np.abs(slope).max(axis=2)),
            "input-x-gradient": (InputXGradient(), product.sum(axis=2)),
            "ig": (IntegratedGradients(32, tolerance=0), path.sum(axis=2)),
        }
        if kind == "relu":  # captum changes rectifiers alone
            guided = to_pixels(attr.GuidedBackprop(net).attribute(x, target=TARGET))
            deconv = to_pixels(attr.Deconvolution(net).attribute(x, target=TARGET))
            pairs |= {
                "guided-backprop": (GuidedBackprop(channels="sum"), guided.sum(axis=2)),
                "deconvnet": (DeconvNet(channels="sum"), deconv.sum(axis=2)),
            }
        last = attr.LayerGradCam(net, net[7]).attribute(x, target=TARGET)
    gaps = {name: measure(explain(method), theirs) for name, (method, theirs) in pairs.items()}
    coarse = onnxplain.explain(classifier, photo, GradCAM(), target=TARGET).coarse
    assert coarse is not None
    gaps["grad-cam"] = measure(coarse, last.detach().numpy()[0, 0])
    record_property("gaps", gaps)
    print({name: f"{gap:.1e}" for name, gap in gaps.items()})
    # A point of the path may fall on the other side of a rectifier's kink in float32.
    limits = {"ig": 1e-3 if kind == "relu" else 1e-5}
    assert all(gap < limits.get(name, 1e-5) for name, gap in gaps.items()), gaps


def test_smoothgrad_has_the_mean_of_captums_noise_tunnel(tmp_path: Path) -> None:
    """Draws differ, so means of 2000 are compared, in units of their standard error."""
    attr = pytest.importorskip("captum.attr")
    net, n = make_net("silu"), 2000
    classifier = export(net, tmp_path / "net.onnx")
    photo = photos(1, SIZE)[0]
    x, sigma = to_torch(photo), 0.15 * float(np.ptp(photo))
    net.double()
    found = onnxplain.explain(classifier, photo, SmoothGrad(n, channels="sum"), target=TARGET)
    torch.manual_seed(1)
    many = torch.cat([x] * n) + sigma * torch.randn(n, *x.shape[1:], dtype=x.dtype)
    slopes = attr.Saliency(net).attribute(many.requires_grad_(), target=TARGET, abs=False)
    sums = slopes.detach().numpy().sum(axis=1)
    tunnel = attr.NoiseTunnel(attr.Saliency(net)).attribute(
        x.requires_grad_(), nt_type="smoothgrad", nt_samples=n, nt_samples_batch_size=200,
        stdevs=sigma, target=TARGET, abs=False,
    )  # fmt: skip
    error = sums.std(axis=0) * np.sqrt(2 / n)
    apart = (found.heatmap - to_pixels(tunnel).sum(axis=2)) / error
    print(f"rms {np.sqrt((apart**2).mean()):.2f}, largest {np.abs(apart).max():.2f} errors")
    assert np.abs(apart).max() < 4.5
    assert np.sqrt((apart**2).mean()) < 1.5


@pytest.mark.parametrize(
    "method",
    [Gradient(), InputXGradient(), IntegratedGradients(8, tolerance=0), SmoothGrad(5)],
    ids=repr,
)
def test_a_module_in_memory_has_the_maps_of_its_export(method: Any, tmp_path: Path) -> None:
    net = make_net("silu")
    classifier = export(net, tmp_path / "net.onnx")
    names = [f"class {k}" for k in range(CLASSES)]
    wrapped = onnxplain.from_torch(net, size=SIZE, range=(0, 1), head="logits", class_names=names)
    photo = photos(1, SIZE)[0]
    fill = None if method.usual_fill == "none" else Black()
    one, two = (
        onnxplain.explain(c, photo, method, target=TARGET, fill=fill).heatmap
        for c in (wrapped, classifier)
    )
    assert measure(one, two) < 1e-4
