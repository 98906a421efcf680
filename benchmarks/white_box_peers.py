"""Captum, grad-cam and Zennit compared with onnxplain: maps of the same networks, and the time.

    python -m benchmarks.white_box_peers differences --environment FOLDER  # small random networks
    python -m benchmarks.white_box_peers speed --environment FOLDER        # those of torchvision

A virtual environment with the peers and this checkout is created in FOLDER if it is missing, and
the benchmark runs in it. Networks have random weights; each is explained in PyTorch by a peer, and
as its ONNX export by onnxplain.

`differences` gives the largest difference of two maps relative to the largest magnitude of the
peer's, over networks, photos and targets. grad-cam brings its maps to [0, 1], and ours are brought
there too. Captum computes in float64, and grad-cam in float32.

`speed` takes turns, and measures the processor time of all threads, which other programs on the
machine disturb less than the clock. PyTorch runs on one thread, as several wait for each other and
count the waiting as work. The ratio is that of the least times: ours over theirs. It explains one
photo per call, with the target given, as users of either would; ours includes the score of the
photo, which the record holds. Zennit merges normalisations into convolutions and registers its
rules in each call, as its users do; onnxplain does both when the model is opened.
"""

from __future__ import annotations

import copy
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.common import (
    describe_machine,
    environment_option,
    measure_cpu,
    read_photo,
    run_inside,
)
from onnxplain.methods.layers.reduce import enlarge

PEERS = ("torch", "torchvision", "captum==0.9.0", "grad-cam==1.5.7", "zennit", "onnxscript")
Map = NDArray[Any]
N_POINTS, N_NOISY = 8, 5
CAMS = {  # of grad-cam, by our name
    "grad-cam": "GradCAM",
    "hires-cam": "HiResCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "layer-cam": "LayerCAM",
    "grad-cam-elementwise": "GradCAMElementWise",
    "eigen-cam": "EigenCAM",
    "score-cam": "ScoreCAM",
    "ablation-cam": "AblationCAM",
    "fullgrad": "FullGrad",
}
CAPTUM = {
    "gradient": "Saliency",
    "input-x-gradient": "InputXGradient",
    "ig": "IntegratedGradients",
    "smoothgrad": "NoiseTunnel",
    "guided-backprop": "GuidedBackprop",
    "deconvnet": "Deconvolution",
    "guided-grad-cam": "GuidedGradCam",
    "grad-cam (captum)": "LayerGradCam",
}
ZENNIT = {
    "lrp epsilon-plus-flat": "EpsilonPlusFlat",
    "lrp epsilon-alpha2-beta1-flat": "EpsilonAlpha2Beta1Flat",
    "lrp epsilon-gamma-box": "EpsilonGammaBox",
    "lrp epsilon-plus": "EpsilonPlus",
    "mwp": "ExcitationBackprop",
}


@click.group(help=__doc__)
def main() -> None:
    logging.disable(logging.WARNING)  # of maps that are empty


@main.command()
@environment_option
def differences(environment: Path | None) -> None:
    """Print the largest difference of each method."""
    if environment is not None:
        run_inside(environment, PEERS, "benchmarks.white_box_peers", ["differences"])
        return
    print(describe_machine())
    print("\n| method | program | relu | vgg | silu |\n|---|---|---|---|---|")
    pairs = {name: make_small_pair(name) for name in ("relu", "vgg", "silu")}
    for method in (*CAPTUM, *CAMS):
        cells = [measure_difference(pair, method) for pair in pairs.values()]
        shown = ["" if cell is None else f"{cell:.1e}" for cell in cells]
        print(f"| {method.split()[0]} | {name_program(method)} | {' | '.join(shown)} |")


@main.command()
@environment_option
@click.option("--rounds", default=7, show_default=True, help="Runs of each peer and of onnxplain.")
@click.option("--network", "networks", multiple=True, default=("resnet18", "squeezenet1_1"))
@click.option("--method", "methods", multiple=True, type=click.Choice([*CAPTUM, *CAMS, *ZENNIT]))
def speed(
    environment: Path | None, rounds: int, networks: tuple[str, ...], methods: tuple[str, ...]
) -> None:
    """Print the time of each method and its ratio."""
    if environment is not None:
        named = [word for name in networks for word in ("--network", name)]
        named += [word for name in methods for word in ("--method", name)]
        arguments = ["speed", "--rounds", str(rounds), *named]
        run_inside(environment, PEERS, "benchmarks.white_box_peers", arguments)
        return
    import torch

    torch.set_num_threads(1)
    print(describe_machine())
    print("\n| network | method | program | theirs, ms | ours, ms | ours / theirs |")
    print("|---|---|---|---|---|---|")
    for network in networks:
        pair = make_torchvision_pair(network)
        for method in methods or (*CAPTUM, *CAMS, *ZENNIT):
            few = min(rounds, 1 if method in ("score-cam", "ablation-cam") else rounds)
            times = measure_times(pair, method, few)
            if times is None:
                continue
            theirs, ours = (1e3 * min(seconds) for seconds in times)
            shown = method if method in ZENNIT else method.split()[0]
            cells = (network, shown, name_program(method), f"{theirs:.0f}", f"{ours:.0f}")
            print(f"| {' | '.join(cells)} | {ours / theirs:.2f} |", flush=True)


def name_program(method: str) -> str:
    """Return the name of the peer that has a method."""
    if method in CAPTUM:
        return "Captum"
    return "Zennit" if method in ZENNIT else "grad-cam"


@dataclass(frozen=True)
class Pair:
    """A network in PyTorch and its export.

    Parameters
    ----------
    net : Module
    classifier : Classifier
        Opened from the export.
    layer : Module
        The last one with a grid.
    images : (N, H, W, 3) ndarray
    targets : tuple of int
    is_rectified : bool
        Whether all activations are rectifiers, which Captum's guided methods need.
    wide, wide_layer : Module, optional
        The same in float64.
    """

    net: Any
    classifier: Any
    layer: Any
    images: NDArray[np.float32]
    targets: tuple[int, ...]
    is_rectified: bool = True
    wide: Any = None
    wide_layer: Any = None


def measure_difference(pair: Pair, method: str) -> float | None:
    """Return the largest difference of the maps of one method; None if the peer has none."""
    found = []
    for image, target in zip(pair.images, pair.targets, strict=True):
        theirs = run_peer(pair, method, image, target)
        if theirs is None:
            return None
        ours = run_ours(pair, method, image, target)
        options = [ours]
        if method == "eigen-cam":  # its sign is free, and grad-cam shows what is positive
            options = [enlarge(np.maximum(ours * sign, 0), theirs.shape) for sign in (1, -1)]
        if method in CAMS:
            options = [scale(option) for option in options]
        size = np.abs(theirs).max()
        if size > 0:
            found.append(min(float(np.abs(ours - theirs).max() / size) for ours in options))
    return max(found)


def measure_times(pair: Pair, method: str, rounds: int) -> tuple[list[float], list[float]] | None:
    """Return the processor seconds of the peer's runs and of ours, in turns."""
    image, target = pair.images[0], pair.targets[0]
    if run_peer(pair, method, image, target) is None:
        return None
    run_ours(pair, method, image, target)
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(measure_cpu(partial(run_peer, pair, method, image, target)))
        ours.append(measure_cpu(partial(run_ours, pair, method, image, target)))
    return theirs, ours


def run_ours(pair: Pair, method: str, image: Map, target: int) -> Map:
    """Return our map, with the parameters that the peer has."""
    import onnxplain

    parameters: dict[str, dict[str, Any]] = {
        "ig": {"n_points": N_POINTS, "tolerance": 0},
        "smoothgrad": {"n_samples": N_NOISY},
        "guided-backprop": {"channels": "sum"},
        "deconvnet": {"channels": "sum"},
        "guided-grad-cam": {"channels": "sum"},
        "fullgrad": {"rescale": "channel"},
    }
    name = method.split()[0]
    if name == "lrp":
        parameters["lrp"] = {"composite": method.split()[1]}
    made = onnxplain.registry.make_method(name, parameters.get(name, {}))
    fill = None if made.usual_fill == "none" else onnxplain.Black()
    result = onnxplain.explain(
        pair.classifier, image, made, target=target, fill=fill, progress=False
    )
    if method in ("grad-cam (captum)", "eigen-cam"):
        assert result.coarse is not None
        return result.coarse
    return result.heatmap


def run_peer(pair: Pair, method: str, image: Map, target: int) -> Map | None:
    """Return the peer's map; None if it cannot explain this network so."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hooks
        if method in CAMS:
            rows = torch.tensor(image.transpose(2, 0, 1)[None].copy())
            return run_grad_cam(pair, CAMS[method], rows, target)
        if pair.wide is not None:
            pair = replace(pair, net=pair.wide, layer=pair.wide_layer)
        dtype = next(pair.net.parameters()).dtype
        rows = torch.tensor(image.transpose(2, 0, 1)[None].copy(), dtype=dtype)
        if method in ZENNIT:
            return run_zennit(pair, ZENNIT[method], rows, target)
        return run_captum(pair, method, rows.requires_grad_(), target)


def run_grad_cam(pair: Pair, name: str, rows: Any, target: int) -> Map:
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with open(Path(tempfile.gettempdir()) / "grad-cam.log", "w") as log, silence(log):
        make = getattr(pytorch_grad_cam, name)
        with make(model=pair.net, target_layers=[pair.layer]) as cam:
            heatmap: Map = cam(input_tensor=rows, targets=[ClassifierOutputTarget(target)])[0]
    return heatmap


def silence(log: Any) -> Any:
    """Send progress bars and prints elsewhere."""
    from contextlib import ExitStack, redirect_stderr, redirect_stdout

    stack = ExitStack()
    stack.enter_context(redirect_stdout(log))
    stack.enter_context(redirect_stderr(log))
    return stack


def run_captum(pair: Pair, method: str, rows: Any, target: int) -> Map | None:
    from captum import attr

    guided = ("guided-backprop", "deconvnet", "guided-grad-cam")
    if method in guided and not pair.is_rectified:
        return None
    runs: Mapping[str, Callable[[], Any]] = {
        "gradient": lambda: attr.Saliency(pair.net).attribute(rows, target=target),
        "input-x-gradient": lambda: attr.InputXGradient(pair.net).attribute(rows, target=target),
        "ig": lambda: attr.IntegratedGradients(pair.net).attribute(
            rows, target=target, n_steps=N_POINTS, method="gausslegendre"
        ),
        "smoothgrad": lambda: attr.NoiseTunnel(attr.Saliency(pair.net)).attribute(
            rows, nt_type="smoothgrad", nt_samples=N_NOISY, stdevs=0.15, target=target
        ),
        "guided-backprop": lambda: attr.GuidedBackprop(pair.net).attribute(rows, target=target),
        "deconvnet": lambda: attr.Deconvolution(pair.net).attribute(rows, target=target),
        "guided-grad-cam": lambda: attr.GuidedGradCam(pair.net, pair.layer).attribute(
            rows, target=target, interpolate_mode="bilinear"
        ),
        "grad-cam (captum)": lambda: attr.LayerGradCam(pair.net, pair.layer).attribute(
            rows, target=target
        ),
    }
    pixels = None
    with suppress(AssertionError, RuntimeError):  # modules that are used twice have no hooks
        pixels = runs[method]().detach().numpy()[0]
    if pixels is None:
        return None
    if method in ("gradient", "smoothgrad"):
        found: Map = np.abs(pixels).max(axis=0)
    else:
        found = pixels[0] if method == "grad-cam (captum)" else pixels.sum(axis=0)
    return found


def run_zennit(pair: Pair, name: str, rows: Any, target: int) -> Map:
    import torch
    from zennit import composites
    from zennit.attribution import Gradient
    from zennit.torchvision import ResNetCanonizer

    canonizers = [ResNetCanonizer()] if hasattr(pair.net, "layer4") else []
    ends = {"low": torch.zeros_like(rows), "high": torch.ones_like(rows)}
    made = getattr(composites, name)(
        canonizers=canonizers, **(ends if name == "EpsilonGammaBox" else {})
    )
    with Gradient(model=pair.net, composite=made) as attributor:
        _, relevance = attributor(rows, lambda scores: scores * torch.eye(scores.shape[1])[target])
    found: Map = relevance.detach().numpy()[0].sum(axis=0)
    return found


def scale(heatmap: Map) -> Map:
    """Bring a map to [0, 1], as grad-cam does."""
    low, high = heatmap.min(), heatmap.max()
    return (heatmap - low) / (high - low) if high > low else np.zeros_like(heatmap)


def make_small_pair(kind: str) -> Pair:
    """Make a small random network and its export: residual, with dense layers, or smooth."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    act = nn.SiLU if kind == "silu" else nn.ReLU

    class Block(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.norm = nn.BatchNorm2d(channels)
            self.act = act()

        def forward(self, x: Any) -> Any:
            return self.act(x + self.norm(self.conv(x)))

    late = [nn.Conv2d(12, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), act()]
    if kind != "vgg":
        late.append(Block(16))
    early = [
        nn.Conv2d(3, 8, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        act(),
    ]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)]
    if kind == "vgg":
        head = [nn.Flatten(), nn.Linear(16 * 12 * 14, 20), act(), nn.Linear(20, 10)]
    net = nn.Sequential(*early, nn.Sequential(*late), *head)
    images = np.random.default_rng(1).random((4, 24, 28, 3), np.float32)
    with torch.no_grad():  # for the statistics of the normalisation
        net(torch.tensor(images.transpose(0, 3, 1, 2).copy()))
    net.eval()
    classifier, wide = export(net, (24, 28), 10), copy.deepcopy(net).double()
    rectified = kind != "silu"
    return Pair(net, classifier, net[5], images, (1, 3, 5, 8), rectified, wide, wide[5])


def make_torchvision_pair(name: str) -> Pair:
    """Make a network of torchvision with random weights, and its export."""
    import torch
    import torchvision

    torch.manual_seed(0)
    net = torchvision.models.get_model(name, weights=None).eval()
    for part in net.modules():
        if hasattr(part, "inplace"):
            part.inplace = False
    layer = net.layer4 if hasattr(net, "layer4") else net.features
    return Pair(net, export(net, (224, 224), 1000), layer, read_photo(224)[None], (7,))


def export(net: Any, size: tuple[int, int], classes: int) -> Any:
    """Open the export of a network, which takes images in [0, 1]."""
    import torch

    import onnxplain

    names = [f"class {k}" for k in range(classes)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "net.onnx"
        torch.onnx.export(
            net,
            (torch.rand(2, 3, *size),),
            path,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes={"image": {0: "N"}, "scores": {0: "N"}},
            opset_version=17,
            dynamo=False,
        )
        return onnxplain.load(
            path,
            size=size,
            range=(0, 1),
            head="logits",
            class_names=names,
            device="cpu",
            batch_size=4,
        )


if __name__ == "__main__":
    main()
