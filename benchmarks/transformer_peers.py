"""LXT compared with onnxplain: maps of vision transformers, and the time.

    python -m benchmarks.transformer_peers --environment FOLDER

A virtual environment with LXT, timm and this checkout is created in FOLDER if it is missing, and
the benchmark runs in it. Networks of timm have random weights; each is explained in PyTorch by LXT,
with Zennit's gamma rule in its layers of weights, and as its ONNX export by onnxplain.

The first two figures are the largest difference from LXT's map in float64, relative to its largest
magnitude: of LXT in float32, and of onnxplain. Nothing is timed unless ours is small, too.

The times take turns, and are processor time of all threads, which other programs on the machine
disturb less than the clock; both have one thread. The ratio is that of the least times: ours over
theirs. It explains one photo per call, with the target given; ours includes the score of the photo,
which the record holds. LXT registers its rules in each call, as its users do; onnxplain does it
when the model is opened.
"""

from __future__ import annotations

import copy
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
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
from benchmarks.white_box_peers import export

PEERS = ("torch", "torchvision", "timm", "lxt==2.1", "zennit==0.5.1", "onnxscript")
NETWORKS = ("vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch16_224")
GAMMA, CONV_GAMMA = 0.05, 0.25  # of LXT's program for vision transformers
SIDE, CLASSES, TARGET = 224, 1000, 7
CLOSE = 1e-3  # of the largest magnitude; float32 through twelve blocks
Map = NDArray[Any]


@dataclass(frozen=True)
class Method:
    """A method that both have.

    Parameters
    ----------
    name : str
        In onnxplain.
    wrap : str
        The function of LXT that gives attention its rule.
    """

    name: str
    wrap: str


METHODS = (
    Method("cp-lrp", "cp_wrap_attention_forward"),
    Method("attn-lrp", "wrap_attention_forward"),
)


@click.command(help=__doc__)
@environment_option
@click.option("--rounds", default=7, show_default=True, help="Runs of LXT and of onnxplain.")
@click.option("--network", "networks", multiple=True, default=NETWORKS)
def main(environment: Path | None, rounds: int, networks: tuple[str, ...]) -> None:
    """Print the differences, the times and the ratio of each method."""
    if environment is not None:
        named = [word for name in networks for word in ("--network", name)]
        arguments = ["--rounds", str(rounds), *named]
        run_inside(environment, PEERS, "benchmarks.transformer_peers", arguments)
        return
    import torch

    torch.set_num_threads(1)
    print(describe_machine())
    titles = ("network", "method", "LXT in float32", "ours", "theirs, ms", "ours, ms")
    print(f"\n| {' | '.join(titles)} | ours / theirs |\n|{'---|' * (len(titles) + 1)}")
    for network in networks:
        net, classifier = make_pair(network)
        image = read_photo(SIDE)
        for method in METHODS:
            run_theirs = partial(run_lxt, patch(net, method.wrap), image)
            run_ours = partial(explain, classifier, method.name, image)
            right = run_lxt(patch(copy.deepcopy(net).double(), method.wrap), image)
            differences = [measure_difference(run(), right) for run in (run_theirs, run_ours)]
            if differences[1] > max(CLOSE, 3 * differences[0]):
                raise click.ClickException(f"{network}, {method.name}: the maps differ")
            theirs, ours = take_turns(run_theirs, run_ours, rounds)
            cells = (network, method.name, *(f"{value:.1e}" for value in differences))
            times = f"{1e3 * theirs:.0f} | {1e3 * ours:.0f} | {ours / theirs:.2f}"
            print(f"| {' | '.join(cells)} | {times} |", flush=True)


def make_pair(network: str) -> tuple[Any, Any]:
    """Make a network of timm with random weights, and open its export."""
    import timm
    import torch

    torch.manual_seed(0)
    net = timm.create_model(network, pretrained=False).eval()
    return net, export(net, (SIDE, SIDE), CLASSES)


def patch(net: Any, wrap: str) -> Any:
    """Return a copy of a network whose every step has LXT's rule."""
    from timm.layers import Attention
    from torch import nn

    patches, _ = import_lxt()
    net = copy.deepcopy(net)
    attend = getattr(patches, wrap)(scale_dot_products)
    forwards: dict[Any, Callable[..., Any]] = {
        nn.LayerNorm: patches.layer_norm_forward,
        nn.GELU: patches.non_linear_forward,
        Attention: partial(read_tokens, attend),
    }
    for module in list(net.modules()):
        for kind, forward in forwards.items():
            if isinstance(module, kind):
                module.original_forward = module.forward
                module.forward = partial(forward, module)
    return net


def read_tokens(attend: Callable[..., Any], module: Any, x: Any, *others: Any, **more: Any) -> Any:
    """Compute timm's attention by the function of LXT."""
    shape = (*x.shape[:2], 3, module.num_heads, module.head_dim)
    q, k, v = module.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
    return module.proj(attend(module, q, k, v).transpose(1, 2).reshape(x.shape))


def scale_dot_products(module: Any, q: Any, k: Any, v: Any) -> Any:
    from torch.nn import functional

    return functional.scaled_dot_product_attention(q, k, v)


def run_lxt(net: Any, image: Map) -> Map:
    """Return LXT's map of a patched network."""
    import torch
    from torch import nn
    from zennit.composites import LayerMapComposite
    from zennit.core import BasicHook
    from zennit.rules import Gamma

    _, zennit_patches = import_lxt()
    BasicHook.forward, BasicHook.backward = zennit_patches.forward, zennit_patches.backward
    composite = LayerMapComposite([(nn.Conv2d, Gamma(CONV_GAMMA)), (nn.Linear, Gamma(GAMMA))])
    dtype = next(net.parameters()).dtype
    x = torch.tensor(image.transpose(2, 0, 1)[None].copy(), dtype=dtype, requires_grad=True)
    composite.register(net)
    net(x)[0, TARGET].backward()
    composite.remove()
    assert x.grad is not None
    found: Map = (x * x.grad)[0].sum(0).detach().numpy()
    return found


def import_lxt() -> tuple[Any, Any]:
    """Import two modules of LXT without its models, which need an older transformers."""
    import lxt

    package = types.ModuleType("lxt.efficient")
    package.__path__ = [f"{lxt.__path__[0]}/efficient"]
    sys.modules.setdefault("lxt.efficient", package)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lxt.efficient import patches, zennit_patches
    return patches, zennit_patches


def explain(classifier: Any, method: str, image: Map) -> Map:
    """Return our map."""
    import onnxplain

    result = onnxplain.explain(classifier, image, method, target=TARGET, progress=False)
    found: Map = result.heatmap
    return found


def measure_difference(found: Map, right: Map) -> float:
    """Return the largest difference as a share of the largest magnitude."""
    return float(np.abs(found - right).max() / np.abs(right).max())


def take_turns(
    run_theirs: Callable[[], object], run_ours: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Return the least processor seconds of each."""
    times = [(measure_cpu(run_theirs), measure_cpu(run_ours)) for _ in range(rounds)]
    theirs, ours = (min(column) for column in zip(*times, strict=True))
    return theirs, ours


if __name__ == "__main__":
    main()
