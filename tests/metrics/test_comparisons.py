"""Metrics that explain again."""

import numpy as np
import onnxruntime as ort
import pytest
from scipy import stats

import onnxplain
from onnxplain import metrics
from onnxplain.core.data import Case, make_rng
from onnxplain.core.errors import ModelError
from onnxplain.fills import Black, Blur, ChannelMean, Colour
from onnxplain.graph.surgery import list_weight_layers, prepend_subtraction, randomise_layers
from onnxplain.methods import FIDO, LIME, MP, MP2, RISE, SP
from onnxplain.metrics.stability.sweeps import Sweep
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


def sloped(weights=WEIGHTS):
    """A net with gradients."""
    return Net(curved(weights), SIZE, slopes=CurvedGradients(weights))


def explained(method, fill, target=1, seed=0, function=CURVED, gradients=None):
    """The map of a method, by one mask at a time."""
    case = Case("image-0", IMAGE, target, n_classes=2)
    flow = method.flow(case, make_rng(seed, case.name, method.name))
    return driver.run(Net(function, SIZE), case, flow, fill, seed, gradients).heatmap


def by_gradient(method, fill, target=1, weights=WEIGHTS):
    """The same by the gradients of a net of these weights."""
    slopes = CurvedGradients(weights)
    return explained(method, fill, target, function=curved(weights), gradients=slopes)


def spearman(first, second):
    return stats.spearmanr(first, second, axis=None).statistic


def test_a_sweep_compares_all_pairs_of_what_it_explains():
    plan = Sweep("sp", tuple({"patch": p, "stride": 9} for p in (5, 12, 20)))
    scores = metrics.sweep(CURVED, IMAGE, plan, 1, fill=Picture(0.5))
    maps = [explained(SP(patch=p, stride=9), Picture(0.5)) for p in (5, 12, 20)]
    expected = [spearman(maps[0], maps[1]), spearman(maps[0], maps[2]), spearman(maps[1], maps[2])]
    # Ranks of nearly equal values may swap between batched and single evaluations.
    np.testing.assert_allclose(scores["spearman"].details["pairs"], expected, atol=1e-3)
    assert set(scores) == {"ssim", "hog", "spearman"}


def test_a_sweep_over_seeds_draws_anew():
    plan = Sweep("lime", ({"n_segments": 10, "n_samples": 30},), (0, 1, 2), rescale=True)
    scores = metrics.sweep(CURVED, IMAGE, plan, 1)
    assert len(scores["ssim"].details["pairs"]) == 3
    assert max(scores["spearman"].details["pairs"]) < 1


def test_maps_that_have_nothing_in_common_are_a_sweep_as_well():
    scores = metrics.sweep(CURVED, IMAGE, "random", 1)
    assert len(scores["ssim"].details["pairs"]) == 10
    assert abs(scores["spearman"].value) < 0.05
    assert abs(scores["ssim"].value) < 0.05


def test_the_audit_has_every_fill_alone_and_the_maps_between_them():
    fills = {"black": Black(), "grey": Colour(), "mean": ChannelMean()}
    audit = metrics.baseline_audit(CURVED, IMAGE, FAST, fills, 1)
    for name, level in (("black", 0.0), ("grey", 0.5)):
        alone = CURVED(np.full((1, *SIZE, 3), level, np.float32))[0]
        assert audit.fills[name].value == pytest.approx(alone[1], abs=1e-5)
        assert audit.fills[name].details["top"] == alone.argmax()
    expected = spearman(explained(FAST, Black()), explained(FAST, Colour()))
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


def test_labels_are_pooled_over_images():
    classifier = from_callable(CURVED, size=SIZE, n_classes=2)
    images = [IMAGE, 1 - IMAGE]
    method = LIME(n_samples=20, n_segments=8)
    score = metrics.label_bias(classifier, images, method, top=1)
    assert metrics.label_bias(CURVED, images, method, top=1).value == score.value
    assert score.details["samples"] == 40
    assert 0.5 <= score.value <= 1
    with pytest.raises(ValueError, match="got none"):
        metrics.label_bias(classifier, [], method)


@pytest.mark.parametrize("adaptive", [False, True])
def test_class_sensitivity_explains_the_most_and_the_least_probable(adaptive):
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
        explained(plain, Picture(0.0), target, function=function)
        for target in (p.argmax(), p.argmin())
    ]
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)


class Adaptive:
    """RISE that says its questions depend on the answers."""

    name = "rise"
    adaptive = True

    def flow(self, case, rng):
        return RISE(n_masks=30, grid=4).flow(case, rng)


def onnx_classifier(made, mean=0.0):
    """A graph that takes NCHW pixels less `mean`, as a classifier of RGB images."""
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def function(images):
        x = (images - np.float32(mean)).transpose(0, 3, 1, 2)
        return session.run(None, {name: np.ascontiguousarray(x)})[0]

    return from_callable(function, size=SIZE, n_classes=5, outputs="logits")


def test_fills_in_image_space_are_invariant_to_a_shift_of_the_input():
    made = models.convnet(SIZE)
    image = (np.random.default_rng(0).integers(0, 256, (*SIZE, 3)) / 256).astype(np.float32)
    first, second = (
        onnx_classifier(made),
        onnx_classifier(prepend_subtraction(made, -0.5), mean=0.5),
    )
    score = metrics.input_invariance(first, second, image, FAST, fill=Colour(rgb=(0.5, 0.5, 0.5)))
    # Pixels and fill are multiples of 1/256: nothing is rounded.
    assert score.value == 0
    assert score.details["score_change"] == 0
    assert score.details["ssim"] == pytest.approx(1)


def test_a_fill_of_zeros_in_the_graphs_own_space_is_not_invariant():
    made = models.convnet(SIZE)
    first, second = (
        onnx_classifier(made),
        onnx_classifier(prepend_subtraction(made, -0.5), mean=0.5),
    )
    maps = [
        metrics.judge(metrics.FillScore(), each, IMAGE, None, 1, fill=Picture(value)).value
        for each, value in ((first, 0.0), (second, 0.5))  # zeros once each has its own mean off
    ]
    assert abs(maps[0] - maps[1]) > 1e-6


def test_a_map_is_lost_as_layers_are_randomised():
    made = models.convnet(SIZE)
    image = RNG.random((*SIZE, 3), np.float32)
    depth = len(list_weight_layers(made))
    broken = (onnx_classifier(randomise_layers(made, n)) for n in range(depth + 1))
    score = metrics.randomisation(onnx_classifier(made), broken, image, FAST, fill="black")
    assert len(score.details["spearman"]) == depth + 1
    assert score.details["spearman"][0] == pytest.approx(1)  # nothing is randomised yet
    assert min(score.details["spearman"][1:]) < 0.9


@pytest.mark.parametrize("method", BY_GRADIENT, ids=lambda method: method.name)
def test_gradients_of_a_classifier_reach_every_method_that_asks(method):
    """And the fill is the one that the method's paper uses: a blur."""
    net, broken = sloped(), sloped(OTHERS)
    p = net.scores(IMAGE[None])[0]
    maps = [by_gradient(method, Blur(), target) for target in (p.argmax(), p.argmin())]
    score = metrics.class_sensitivity(net, IMAGE, method)
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)

    before, after = (by_gradient(method, Blur(), weights=w) for w in (WEIGHTS, OTHERS))
    score = metrics.randomisation(net, [broken], IMAGE, method, 1)
    assert score.details["spearman"][0] == pytest.approx(spearman(before, after), abs=1e-3)
    score = metrics.input_invariance(net, broken, IMAGE, method, 1)
    assert score.value == pytest.approx(np.abs(before - after).max(), abs=1e-4)

    black = by_gradient(method, Black())
    audit = metrics.baseline_audit(net, IMAGE, method, {"black": Black(), "blur": Blur()}, 1)
    found = audit.rank_correlations["black"]["blur"]
    assert found == pytest.approx(spearman(black, before), abs=1e-3)


def test_a_sweep_goes_by_the_gradients_of_the_classifier():
    plan = Sweep("mp2", tuple({**QUICK, "grid": n} for n in (4, 6)))  # gain=auto
    methods = [MP2(gain="gradient", **{**QUICK, "grid": n}) for n in (4, 6)]
    maps = [by_gradient(method, Blur()) for method in methods]
    score = metrics.sweep(sloped(), IMAGE, plan, 1)["spearman"]
    assert score.value == pytest.approx(spearman(*maps), abs=1e-3)


def test_labels_are_those_of_a_method_by_gradients():
    net = sloped()
    plain, auto = MP2(gain="gradient", **QUICK), MP2(**QUICK)
    score = metrics.label_bias(net, [IMAGE], auto)
    assert score.details == metrics.label_bias(net, [IMAGE], plain).details
    assert score.details["samples"] == onnxplain.explain(net, IMAGE, plain).evaluations


def test_how_a_method_goes_is_decided_by_the_first_classifier():
    """So that maps of gradients are not compared with maps of differences."""
    method = MP2(**QUICK)
    with pytest.raises(ModelError, match="no gradients"):
        metrics.randomisation(sloped(), [Net(CURVED, SIZE)], IMAGE, method, 1)
    score = metrics.input_invariance(Net(CURVED, SIZE), sloped(), IMAGE, method, 1)
    assert score.value == 0


@pytest.mark.parametrize("fill", [None, "black"])
@pytest.mark.parametrize("method", [MP2(**QUICK), MP(grid=6, n_steps=4)])
def test_the_maps_under_test_are_those_that_explain_gives(method, fill):
    net, broken = sloped(), sloped(OTHERS)
    before, after = (
        onnxplain.explain(one, IMAGE, method, target=1, fill=fill).heatmap for one in (net, broken)
    )
    assert np.abs(before - after).max() > 0
    score = metrics.input_invariance(net, broken, IMAGE, method, 1, fill=fill)
    assert score.value == pytest.approx(np.abs(before - after).max(), abs=1e-6)


def test_small_images_have_rank_correlations_though_no_hog():
    image = np.random.default_rng(0).random((32, 32, 3), np.float32)
    net = Net(curved(np.random.default_rng(1).normal(0, 0.1, (32, 32, 3, 2))), (32, 32))
    other = Net(curved(np.random.default_rng(2).normal(0, 0.1, (32, 32, 3, 2))), (32, 32))
    score = metrics.randomisation(net, [other], image, SP(patch=8, stride=4))
    assert np.isfinite(score.value)
    assert score.details["hog"] == [None]
    scores = metrics.sweep(net, image, "random", 1)
    assert np.isfinite(scores["ssim"].value)
    assert scores["hog"].details["undefined"] == 10


def test_what_no_method_is_called_is_told_and_a_name_is_not_many_fills():
    with pytest.raises(ValueError, match="did you mean 'rise'"):
        metrics.sweep(CURVED, IMAGE, Sweep("rize", ({}, {})))
    with pytest.raises(ValueError, match="give the fill apart"):
        metrics.sweep(CURVED, IMAGE, Sweep("sp-g", ({}, {})))
    with pytest.raises(TypeError, match=r"fills are several, as .* got 'blur'"):
        metrics.baseline_audit(CURVED, IMAGE, FAST, "blur")


def test_labels_of_arrays_are_drawn_one_by_one():
    """Two flat images have the same superpixels: alike draws would give the same labels."""
    seen = []

    def watch(images):
        seen.append(images.mean(axis=(1, 2, 3)))
        return CURVED(images)

    net = Net(watch, SIZE)
    method = LIME(n_samples=20, n_segments=8)
    metrics.label_bias(net, [np.full_like(IMAGE, 0.9)] * 2, method, fill="black")
    first, second = np.split(np.concatenate(seen), 2)
    assert not np.allclose(first, second)
