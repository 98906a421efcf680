"""Which methods are invariant to a shift of all inputs that the first layer takes back.

Two networks see the same images, the second one with a constant added to every value, and a bias
in its first layer that takes it back, so that all scores and inner values are equal (Kindermans et
al., The (un)reliability of saliency methods, 2017). An attribution should not change.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxplain import (
    LRP,
    Black,
    DeconvNet,
    DeepTaylor,
    Gradient,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    PatternAttribution,
    PatternNet,
)
from onnxplain.core.flow import Method
from onnxplain.runtime.device import Device
from onnxplain.runtime.pattern_estimation import PatternEstimation
from tests.helpers.chains import CLASSES, SIZE, STD, draw_weights, make_net
from tests.helpers.inside import explain, open_model, read_proto
from tests.helpers.nets import Picture
from tests.helpers.specs import photos, spec_of

SHIFT, MEAN, LARGE = 1.5, (0.5, 0.5, 0.5), (SIZE[0] + 2, SIZE[1] + 2)
# Largest change, as a share of the largest value of a map.
SAME, DIFFERENT = 1e-4, 1e-2


def make_pair() -> list[tuple[Any, Any]]:
    """Return both networks, and how images enter them; a padding would not be shifted."""
    weights, pair = draw_weights(), []
    for shift in (0.0, SHIFT):
        bias = weights["b1"] - shift * weights["w1"].sum(axis=(1, 2, 3))
        net = make_net({**weights, "b1": bias.astype(np.float32)}, pad=0)
        mean = tuple(m - shift * s for m, s in zip(MEAN, STD, strict=True))
        pair.append((net, spec_of(size=LARGE, classes=CLASSES, mean=mean, std=STD)))
    return pair


def measure(methods: list[Method], fill: Any = None) -> float:
    """Return how much maps change from one network to the other."""
    images = photos(4, LARGE)
    maps = []
    for (net, spec), method in zip(make_pair(), methods, strict=True):
        classifier = open_model(net, spec)
        targets = [int(target) for target in classifier.scores(images).argmax(axis=1)]
        made = explain(classifier, method, list(images), targets, *([fill] if fill else []))
        maps.append(np.array([one.heatmap for one in made]))
    one, other = maps
    assert np.abs(one).max() > 0
    return float(np.abs(one - other).max() / np.abs(one).max())


# What the paper says, and what holds here.
INVARIANT: dict[str, tuple[Method, Any]] = {
    "gradient": (Gradient(), None),
    "deconvnet": (DeconvNet(), None),
    "guided-backprop": (GuidedBackprop(), None),
    "deep-taylor, the box shifted along": (DeepTaylor(), None),
    "deep-taylor, any number": (DeepTaylor("wsquare"), None),
    "flat at the image": (LRP(), None),
    "z-box at the image": (LRP("epsilon-gamma-box"), None),
    "ig from black": (IntegratedGradients(8, tolerance=0), Black()),
    "input-x-gradient from grey, which is shifted along": (InputXGradient(), Picture(0.5)),
}
CHANGING: dict[str, Method] = {
    "root at 0, which is input times gradient": LRP("epsilon"),
    "root at 0, positive contributions": LRP("epsilon-plus"),
    "root at 0, gamma": LRP("gamma"),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_methods_that_are_invariant(name: str) -> None:
    method, fill = INVARIANT[name]
    assert measure([method, method], fill) < SAME


@pytest.mark.parametrize("name", CHANGING)
def test_methods_that_change(name: str) -> None:
    assert measure([CHANGING[name]] * 2) > DIFFERENT


def estimate(net: Any, spec: Any, path: Path) -> str:
    estimation = PatternEstimation(read_proto(net), spec, Device("cpu"))
    images = photos(40, LARGE, seed=3)
    for start in range(0, len(images), 4):
        names = [f"photo{place}" for place in range(start, start + 4)]
        estimation.add(images[start : start + 4], names)
    path.write_bytes(estimation.finish({}).encode())
    return str(path)


@pytest.mark.parametrize("method", [PatternNet, PatternAttribution])
def test_methods_of_patterns(method: Any, tmp_path: Path) -> None:
    """Covariances are invariant, so maps are, as the paper says.

    The published estimator for rectifiers is no covariance: it takes the mean output over all
    samples and the mean input over the active ones. What it says of the layer that is shifted
    changes, unless both networks have the same patterns.
    """
    files = [
        estimate(net, spec, tmp_path / f"{place}.npz")
        for place, (net, spec) in enumerate(make_pair())
    ]
    assert measure([method(file, "linear") for file in files]) < SAME
    assert measure([method(files[0], "relu")] * 2) < SAME
    assert measure([method(file, "relu") for file in files]) > DIFFERENT
