"""The graph equals the network written out in NumPy, and the original in PyTorch."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from onnxplain.core.errors import ZooError
from onnxplain.zoo.catalogue import list_models
from onnxplain.zoo.efficientnet_lite import (
    FEATURES,
    INPUT,
    STAGES,
    Variant,
    build_graph,
    list_blocks,
)
from onnxplain.zoo.fetch import fetch_weights
from onnxplain.zoo.legacy_pth import StateDict, read_state_dict
from tests.helpers.lite_photos import prepare_photos

Array = NDArray[np.float64]
SMALL = Variant(width=0.25, depth=0.5, size=33)  # odd: SAME padding is not symmetric


def draw_state(variant: Variant, classes: int = 5) -> StateDict:
    """Return weights of the right names and shapes, with activations of the order of 1."""
    rng = np.random.default_rng(0)
    state: StateDict = {}

    def conv(name: str, norm: str, *shape: int) -> None:
        spread = np.sqrt(2 / np.prod(shape[1:]))
        state[f"{name}.weight"] = rng.normal(0, spread, shape).astype(np.float32)
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.5, 1),
            ("running_mean", -0.5, 0.5),
            ("running_var", 0.5, 2),
        ):
            state[f"{norm}.{part}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        state[f"{norm}.num_batches_tracked"] = np.array(3)

    conv("_conv_stem", "_bn0", 32, 3, 3, 3)
    channels = 32
    for i, (kernel, _, expand, channels, after) in enumerate(list_blocks(variant)):
        wide, name = channels * expand, f"_blocks.{i}."
        if expand != 1:
            conv(f"{name}_expand_conv", f"{name}_bn0", wide, channels, 1, 1)
        conv(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, kernel, kernel)
        conv(f"{name}_project_conv", f"{name}_bn2", after, wide, 1, 1)
        channels = after
    conv("_conv_head", "_bn1", 1280, channels, 1, 1)
    state["_fc.weight"] = rng.normal(0, 0.05, (classes, 1280)).astype(np.float32)
    state["_fc.bias"] = rng.normal(0, 1, classes).astype(np.float32)
    return state


def convolve_slowly(x: Array, weight: Array, stride: int) -> Array:
    """Convolve (C, H, W) by the definition of SAME.

    Output pixel i is made of input pixels i * stride - before + 0 ... k - 1, zero outside.
    """
    outputs, per_group, k, _ = weight.shape
    groups = len(x) // per_group
    out = -(-x.shape[1] // stride)
    missing = max((out - 1) * stride + k - x.shape[1], 0)
    before = missing // 2
    padded = np.zeros((len(x), out * stride + k, out * stride + k))
    padded[:, before : before + x.shape[1], before : before + x.shape[2]] = x
    result = np.zeros((outputs, out, out))
    grouped = weight.reshape(groups, outputs // groups, per_group, k, k)
    for row in range(out):
        for column in range(out):
            top, left = row * stride, column * stride
            window = padded[:, top : top + k, left : left + k].reshape(groups, per_group, k, k)
            result[:, row, column] = np.einsum("gopij,gpij->go", grouped, window).ravel()
    return result


def run_slow_network(state: StateDict, variant: Variant, x: Array) -> Array:
    """Return the logits of an image (3, H, W), with batch normalisation as a step of its own."""

    def layer(x: Array, name: str, norm: str, stride: int = 1, relu: bool = True) -> Array:
        x = convolve_slowly(x, state[f"{name}.weight"].astype(np.float64), stride)
        mean, variance, gain, shift = (
            state[f"{norm}.{part}"].astype(np.float64)[:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * gain + shift
        return np.clip(x, 0, 6) if relu else x

    x = layer(x, "_conv_stem", "_bn0", 2)
    for i, block in enumerate(list_blocks(variant)):
        name, before = f"_blocks.{i}.", x
        if f"{name}_expand_conv.weight" in state:
            x = layer(x, f"{name}_expand_conv", f"{name}_bn0")
        x = layer(x, f"{name}_depthwise_conv", f"{name}_bn1", block.stride)
        x = layer(x, f"{name}_project_conv", f"{name}_bn2", relu=False)
        if x.shape == before.shape and block.stride == 1:
            x = x + before
    x = layer(x, "_conv_head", "_bn1")
    return state["_fc.weight"] @ x.mean((1, 2)) + state["_fc.bias"]


def run(model: bytes, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {INPUT: x})[0]


@pytest.mark.parametrize("size", [33, 40, 46])
def test_graph_equals_the_network_written_out(size: int) -> None:
    variant = Variant(SMALL.width, SMALL.depth, size)
    state = draw_state(variant)
    x = np.random.default_rng(1).normal(size=(2, 3, size, size)).astype(np.float32)
    logits = run(build_graph(state, variant).SerializeToString(), x)
    expected = np.stack([run_slow_network(state, variant, image.astype(np.float64)) for image in x])
    assert np.ptp(expected, axis=0).max() > 0.1  # the two images get different logits
    np.testing.assert_allclose(logits, expected, atol=1e-4)  # float32 sums of up to 1280 terms


def test_given_state_is_not_changed() -> None:
    state = draw_state(SMALL)
    names = list(state)
    build_graph(state, SMALL)
    assert list(state) == names


def test_variants_grow_as_published() -> None:
    """The numbers of blocks and the channels of the last stage in the published networks."""
    shapes = {
        model.name: (len(blocks), blocks[-1].channels_out)
        for model in list_models()
        if model.recipe
        for blocks in [list(list_blocks(model.recipe.variant))]
    }
    assert shapes == {
        "efficientnet-lite0": (16, 320),
        "efficientnet-lite1": (21, 320),
        "efficientnet-lite2": (21, 352),
    }


def test_weights_of_another_network_are_an_error() -> None:
    state = draw_state(SMALL)
    with pytest.raises(ZooError, match=r"_conv_stem\.weight is missing"):
        build_graph({}, SMALL)
    with pytest.raises(ZooError, match=r"has shape \(.*\), not \("):
        build_graph(state, Variant(2 * SMALL.width, SMALL.depth, SMALL.size))
    with pytest.raises(ZooError, match="_extra has no place"):
        build_graph({**state, "_extra": np.zeros(1)}, SMALL)


def test_last_activation_map_is_named_features() -> None:
    """Methods that weight activation maps ask for it by name."""
    nodes = build_graph(draw_state(SMALL), SMALL).graph.node
    pool = next(node for node in nodes if node.op_type == "GlobalAveragePool")
    assert list(pool.input) == [FEATURES]
    assert sum(stage.stride == 2 for stage in STAGES) == 4  # a cell is 32 pixels wide


@pytest.mark.framework
@pytest.mark.parametrize("name", ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"])
def test_graph_equals_the_original_in_torch(name: str) -> None:
    """With the network code of PyPI's efficientnet-lite-pytorch 0.1.0, on real photos."""
    torch = pytest.importorskip("torch")
    original = pytest.importorskip("efficientnet_lite_pytorch")
    model = next(model for model in list_models() if model.name == name)
    assert model.recipe is not None
    state = read_state_dict(fetch_weights(model.recipe.source))
    network = original.EfficientNet.from_name(name)
    network.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    x = prepare_photos(model.recipe.variant.size)
    with torch.no_grad():
        expected = network.eval()(torch.from_numpy(x)).numpy()
    logits = run(build_graph(state, model.recipe.variant).SerializeToString(), x)
    assert logits.argmax(1).tolist() == expected.argmax(1).tolist()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
