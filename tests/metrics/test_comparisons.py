"""Metrics that explain an image again."""

import numpy as np
import onnxruntime as ort
import pytest
from scipy import stats

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Case, Preprocessing, make_rng
from onnxplain.core.errors import ModelError
from onnxplain.fills import Black, Blur, ChannelMean, Colour
from onnxplain.graph.surgery import list_weight_layers, prepend_subtraction, randomise_layers
from onnxplain.methods import FIDO, MP, MP2, RISE, SP
from onnxplain.metrics.stability.parameter_sweeps import Sweep
from onnxplain.runtime import from_callable
from tests.helpers import models
from tests.helpers.nets import CurvedGradients, Net, Picture, curved
from tests.reference import driver

RNG = np.random.default_rng(23)
SIZE = (48, 51)
IMAGE = RNG.random((*SIZE, 3), np.float32)
WEIGHTS, OTHERS = RNG.normal(0, 0.05, (2, *SIZE, 3, 2)).astype(np.float32)
CURVED = curved(WEIGHTS)
FAST = SP(patch=12, stride=9)

QUICK = {"grid": 6, "max_area": 0.3, "chance": 0.01}  # of MP2
BY_GRADIENT = [
    MP2(gain="gradient", **QUICK),
    MP(estimator="gradient", grid=6, n_steps=4),
    FIDO(estimator="gradient", grid=6, n_steps=4, n_samples=4),
]


def make_net_with_gradients(weights=WEIGHTS):
    """Return a net with gradients."""
    return Net(curved(weights), SIZE, slopes=CurvedGradients(weights))


def explain_slowly(method, fill, target=1, seed=0, function=CURVED, gradients=None):
    """Return the map of a method, made by one mask at a time."""
    case = Case("image-0", IMAGE, target, n_classes=2)
    flow = method.flow(case, make_rng(seed, case.name, method.name))
    return driver.run(Net(function, SIZE), case, flow, fill, seed, gradients).heatmap


def explain_by_gradient(method, fill, target=1, weights=WEIGHTS):
    """Return the map of a method by the gradients of a net of these weights."""
    slopes = CurvedGradients(weights)
    return explain_slowly(method, fill, target, function=curved(weights), gradients=slopes)


def spearman(first, second):
    return stats.spearmanr(first, second, axis=None).statistic


def test_sweep_compares_all_pairs_of_its_maps():
    plan = Sweep("sp", tuple({"patch": p, "stride": 9} for p in (5, 12, 20)))
    scores = metrics.sweep(CURVED, IMAGE, plan, 1, fill=Picture(0.5))
    maps = [explain_slowly(SP(patch=p, stride=9), Picture(0.5)) for p in (5, 12, 20)]
    expected = [spearman(maps[0], maps[1]), spearman(maps[0], maps[2]), spearman(maps[1], maps[2])]
    # Ranks of nearly equal values may swap between batched and single evaluations.
    np.testing.assert_allclose(scores["spearman"].details["pairs"], expected, atol=1e-3)
    assert set(scores) == {"ssim", "hog", "spearman"}


def test_sweep_over_seeds_draws_anew():
    plan = Sweep("lime", ({"n_segments": 10, "n_samples": 30},), (0, 1, 2), rescale=True)
    scores = metrics.sweep(CURVED, IMAGE, plan, 1)
    assert len(scores["ssim"].details["pairs"]) == 3
    assert max(scores["spearman"].details["pairs"]) < 1


def test_random_maps_are_a_sweep_without_likeness():
    scores = metrics.sweep(CURVED, IMAGE, "random", 1)
    assert len(scores["ssim"].details["pairs"]) == 10
    assert abs(scores["spearman"].value) < 0.05
    assert abs(scores["ssim"].value) < 0.05


def test_audit_holds_every_fill_alone_and_the_correlations_of_their_maps():
    fills = {"black": Black(), "grey": Colour(), "mean": ChannelMean()}
    audit = metrics.baseline_audit(CURVED, IMAGE, FAST, fills, 1)
    for name, level in (("black", 0.0), ("grey", 0.5)):
        alone = CURVED(np.full((1, *SIZE, 3), level, np.float32))[0]
        assert audit.fills[name].value == pytest.approx(alone[1], abs=1e-5)
        assert audit.fills[name].details["top"] == alone.argmax()
    expected = spearman(explain_slowly(FAST, Black()), explain_slowly(FAST, Colour()))
    assert audit.rank_correlations["black"]["grey"] == pytest.approx(expected, abs=1e-3)
    assert audit.rank_correlations["mean"]["mean"] == pytest.approx(1)


def test_names_of_methods_fills_and_sweeps_stand_for_them():
    net = Net(CURVED, SIZE)
    named = metrics.class_sensitivity(net, IMAGE, "sp")
    assert named.value == metrics.class_sensitivity(net, IMAGE, SP()).value
    audit = metrics.baseline_audit(net, IMAGE, FAST, ["black", "blur"])
    assert list(audit.fills) == ["black", "blur"]
    valued = metrics.baseline_audit(net, IMAGE, FAST, {"black": Black(), "blur": Blur()})
    assert audit.rank_correlations == valued.rank_correlations
    with pytest.raises(ValueError, match=r"sweep 'patch' is unknown; "):
        metrics.sweep(net, IMAGE, "patch")
    with pytest.raises(TypeError, match=r"Box\(top, left, bottom, right\), got \(8, 8, 40, 40\)"):
        metrics.pointing_game(net, IMAGE, IMAGE[..., 0], boxes=[(8, 8, 40, 40)])  # type: ignore[list-item]


@pytest.mark.parametrize("adaptive", [False, True])
def test_class_sensitivity_compares_the_most_and_the_least_probable_class(adaptive):
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.05, (3, *SIZE, 3))

    def function(images):
        z = np.einsum("nhwc,khwc->nk", images.astype(np.float64), weights)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    method = Adaptive() if adaptive else RISE(n_masks=30, grid=4)
    plain = RISE(n_masks=30, grid=4)
    score = metrics.class_sensitivity(function, IMAGE, method, fill=Picture(0.0))
    p = function(IMAGE[None])[0]
    assert score.details == {"most_probable": p.argmax(), "least_probable": p.argmin()}
    maps = [
        explain_slowly(plain, Picture(0.0), target, function=function)
        for target in (p.argmax(), p.argmin())
    ]
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)


class Adaptive:
    """RISE that declares its queries to depend on the replies."""

    name = "rise"
    adaptive = True
    usual_fill = "black"

    def flow(self, case, rng):
        return RISE(n_masks=30, grid=4).flow(case, rng)


def make_onnx_classifier(graph, mean=0.0):
    """Return a graph of NCHW pixels less `mean` as a classifier of RGB images."""
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def function(images):
        x = (images - np.float32(mean)).transpose(0, 3, 1, 2)
        return session.run(None, {name: np.ascontiguousarray(x)})[0]

    return from_callable(function, size=SIZE, n_classes=5, outputs="logits")


def test_fill_in_image_space_is_invariant_to_a_shift_of_the_input():
    graph = models.convnet(SIZE)
    image = (np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) / 256).astype(np.float32)
    first, second = (
        make_onnx_classifier(graph),
        make_onnx_classifier(prepend_subtraction(graph, -0.5), mean=0.5),
    )
    score = metrics.input_invariance(first, second, image, FAST, fill=Colour(rgb=(0.5, 0.5, 0.5)))
    # Pixels and fill are multiples of 1/256: nothing is rounded.
    assert score.value == 0
    assert score.details["score_change"] == 0
    assert score.details["ssim"] == pytest.approx(1)


def test_fill_of_zeros_in_the_graphs_own_space_is_not_invariant():
    graph = models.convnet(SIZE)
    first, second = (
        make_onnx_classifier(graph),
        make_onnx_classifier(prepend_subtraction(graph, -0.5), mean=0.5),
    )
    scores = [
        metrics.fill_score(classifier, IMAGE, 1, fill=Picture(value)).value
        for classifier, value in ((first, 0.0), (second, 0.5))  # zeros less the graph's mean
    ]
    assert abs(scores[0] - scores[1]) > 1e-6


def test_map_is_lost_as_layers_are_randomised():
    graph = models.convnet(SIZE)
    image = RNG.random((*SIZE, 3), np.float32)
    depth = len(list_weight_layers(graph))
    broken = (make_onnx_classifier(randomise_layers(graph, n)) for n in range(depth + 1))
    score = metrics.randomisation(make_onnx_classifier(graph), broken, image, FAST, fill="black")
    assert len(score.details["spearman"]) == depth + 1
    assert score.details["spearman"][0] == pytest.approx(1)  # nothing is randomised yet
    assert min(score.details["spearman"][1:]) < 0.9


@pytest.mark.parametrize("method", BY_GRADIENT, ids=lambda method: method.name)
def test_gradients_reach_every_method_that_uses_them(method):
    """The fill is that of the method's paper, a blur."""
    net, broken = make_net_with_gradients(), make_net_with_gradients(OTHERS)
    p = net.scores(IMAGE[None])[0]
    maps = [explain_by_gradient(method, Blur(), target) for target in (p.argmax(), p.argmin())]
    score = metrics.class_sensitivity(net, IMAGE, method)
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)

    before, after = (explain_by_gradient(method, Blur(), weights=w) for w in (WEIGHTS, OTHERS))
    score = metrics.randomisation(net, [broken], IMAGE, method, 1)
    assert score.details["spearman"][0] == pytest.approx(spearman(before, after), abs=1e-3)
    score = metrics.input_invariance(net, broken, IMAGE, method, 1)
    assert score.value == pytest.approx(np.abs(before - after).max(), abs=1e-4)

    black = explain_by_gradient(method, Black())
    audit = metrics.baseline_audit(net, IMAGE, method, {"black": Black(), "blur": Blur()}, 1)
    correlation = audit.rank_correlations["black"]["blur"]
    assert correlation == pytest.approx(spearman(black, before), abs=1e-3)


def test_sweep_uses_the_gradients_of_the_classifier():
    plan = Sweep("mp2", tuple({**QUICK, "grid": n} for n in (4, 6)))  # gain=auto
    methods = [MP2(gain="gradient", **{**QUICK, "grid": n}) for n in (4, 6)]
    maps = [explain_by_gradient(method, Blur()) for method in methods]
    score = metrics.sweep(make_net_with_gradients(), IMAGE, plan, 1)["spearman"]
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)


def test_first_classifier_decides_whether_gradients_are_used():
    """Maps of gradients are never compared with maps of differences."""
    method = MP2(**QUICK)
    with pytest.raises(ModelError, match="no gradients"):
        metrics.randomisation(make_net_with_gradients(), [Net(CURVED, SIZE)], IMAGE, method, 1)
    score = metrics.input_invariance(Net(CURVED, SIZE), make_net_with_gradients(), IMAGE, method, 1)
    assert score.value == 0


@pytest.mark.parametrize("fill", [None, "black"])
@pytest.mark.parametrize("method", [MP2(**QUICK), MP(grid=6, n_steps=4)])
def test_compared_maps_equal_those_of_explain(method, fill):
    net, broken = make_net_with_gradients(), make_net_with_gradients(OTHERS)
    before, after = (
        onnxplain.explain(classifier, IMAGE, method, target=1, fill=fill).heatmap
        for classifier in (net, broken)
    )
    assert np.abs(before - after).max() > 0
    score = metrics.input_invariance(net, broken, IMAGE, method, 1, fill=fill)
    assert score.value == pytest.approx(np.abs(before - after).max(), abs=1e-6)


def test_classifiers_that_crop_a_photo_differently_are_not_compared():
    cropping, squeezing = Net(CURVED, SIZE), Net(CURVED, SIZE)
    squeezing.preprocessing = Preprocessing("stretch")
    photo = np.zeros((SIZE[0], 2 * SIZE[1], 3), np.uint8)
    for compare in (
        lambda: metrics.input_invariance(cropping, squeezing, photo, FAST, 1),
        lambda: metrics.randomisation(cropping, [squeezing], photo, FAST, 1),
    ):
        with pytest.raises(ValueError, match="must see the same part of the photo, got Box"):
            compare()


def test_small_images_have_rank_correlations_but_no_hog():
    image = np.random.default_rng(0).random((32, 32, 3), np.float32)
    net = Net(curved(np.random.default_rng(1).normal(0, 0.1, (32, 32, 3, 2))), (32, 32))
    other = Net(curved(np.random.default_rng(2).normal(0, 0.1, (32, 32, 3, 2))), (32, 32))
    score = metrics.randomisation(net, [other], image, SP(patch=8, stride=4))
    assert np.isfinite(score.value)
    assert score.details["hog"] == [None]
    scores = metrics.sweep(net, image, "random", 1)
    assert np.isfinite(scores["ssim"].value)
    assert scores["hog"].details["undefined"] == 10


def test_unknown_method_and_a_single_fill_are_errors():
    with pytest.raises(ValueError, match="did you mean 'rise'"):
        metrics.sweep(CURVED, IMAGE, Sweep("rize", ({}, {})))
    with pytest.raises(ValueError, match="give the inpainter as the fill"):
        metrics.sweep(CURVED, IMAGE, Sweep("sp-g", ({}, {})))
    with pytest.raises(TypeError, match=r"fills must be several, such as .* got 'blur'"):
        metrics.baseline_audit(CURVED, IMAGE, FAST, "blur")
