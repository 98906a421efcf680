import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from skimage.transform import resize

from onnxplain.fills import Inpaint
from onnxplain.methods import SP
from onnxplain.runtime import load_inpainter
from tests.helpers import models
from tests.helpers.nets import Net, Picture, additive, curved, explain_image
from tests.reference import methods as reference

RNG = np.random.default_rng(0)
IMAGE = RNG.random((20, 26, 3), np.float32)
SHAPE = IMAGE.shape[:2]


def test_sp_with_patch_1_on_an_additive_net_returns_the_effect_of_each_pixel():
    weights = RNG.standard_normal((20, 26, 3)).astype(np.float32) / 200  # scores in [0, 1]
    outcome = explain_image(
        Net(additive(weights, base=0.5), SHAPE), SP(patch=1, stride=1), Picture(0.25), IMAGE
    )
    effect = (weights * (IMAGE - 0.25)).sum(axis=-1)
    # float32 scores of size ~.5: a difference carries an error of about 6e-8
    np.testing.assert_allclose(outcome.values[0].heatmap, effect, atol=2.5e-7)


@pytest.mark.parametrize(("patch", "stride"), [(5, 3), (7, 2), (4, 5)])
@pytest.mark.parametrize("align", ["center", "accumulate", "stretch"])
def test_sp_equals_the_plain_loops(patch, stride, align):
    weights = (RNG.standard_normal((20, 26, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SHAPE)
    outcome = explain_image(net, SP(patch=patch, stride=stride, align=align), Picture(0.5), IMAGE)
    coarse = reference.sp_coarse(
        lambda x: float(net.function(x[None])[0, 1]), IMAGE, np.full_like(IMAGE, 0.5), patch, stride
    )
    np.testing.assert_allclose(outcome.values[0].coarse, coarse, atol=1e-6)
    if align == "stretch":
        heat = resize(coarse, SHAPE)  # as the paper's program draws it, by its defaults
    else:
        heat = getattr(reference, f"sp_{align}")(coarse, patch, stride, SHAPE)
    np.testing.assert_allclose(outcome.values[0].heatmap, heat, atol=1e-6)
    assert outcome.evaluations == coarse.size + 1 == SP(patch, stride).evaluations(SHAPE)


def test_sp_at_the_papers_size_makes_4357_evaluations():
    assert SP().evaluations((224, 224)) == 66 * 66 + 1  # patches of 29 pixels, 3 apart


def test_center_leaves_a_peak_near_the_border_in_place_and_stretch_moves_it():
    weights = np.zeros((20, 26, 3), np.float32)
    weights[2, 3] = 1 / 3  # a single pixel matters
    net = Net(additive(weights), SHAPE)
    centred = (
        explain_image(net, SP(patch=5, stride=1, align="center"), Picture(), IMAGE)
        .values[0]
        .heatmap
    )
    assert centred[2, 3] == pytest.approx(IMAGE[2, 3].mean(), rel=1e-5)
    covered = np.argwhere(centred > 0.99 * centred.max())
    assert covered.max(axis=0).tolist() == [4, 5]  # centres of the patches that cover it
    stretched = (
        explain_image(net, SP(patch=5, stride=1, align="stretch"), Picture(), IMAGE)
        .values[0]
        .heatmap
    )
    assert np.argwhere(stretched > 0.99 * stretched.max()).max(axis=0).tolist() != [4, 5]


@pytest.fixture
def near(tmp_path):
    """An inpainter that looks 3 pixels round each pixel of a hole."""
    path = models.save(models.inpainter("near"), tmp_path / "near.onnx")
    return Inpaint(load_inpainter(path, device="cpu"))


NET = Net(curved((RNG.standard_normal((20, 26, 3, 2)) * 0.1).astype(np.float32)), SHAPE)


@pytest.mark.parametrize(("patch", "stride", "share"), [(5, 2, 3), (4, 3, 5), (3, 1, 3)])
def test_patches_that_share_a_fill_give_the_exact_map_if_the_inpainter_looks_no_further(
    near, patch, stride, share
):
    exact = explain_image(NET, SP(patch, stride), near, IMAGE)
    quick = explain_image(NET, SP(patch, stride, share=share), near, IMAGE)
    # float32 scores of the same image differ in the last digit between batches
    np.testing.assert_allclose(quick.values[0].coarse, exact.values[0].coarse, atol=1e-6)
    np.testing.assert_allclose(quick.values[0].heatmap, exact.values[0].heatmap, atol=1e-6)
    assert quick.evaluations == exact.evaluations == exact.effort.inpaints + 1
    step = -(-(patch + share) // stride)
    places = [range((side - patch) // stride + 1) for side in SHAPE]
    assert quick.effort.inpaints == len(
        {(row % step, column % step) for row in places[0] for column in places[1]}
    )


def test_patches_that_are_too_near_change_each_others_fill(near):
    exact = explain_image(NET, SP(5, 2), near, IMAGE).values[0].coarse
    quick = explain_image(NET, SP(5, 2, share=1), near, IMAGE).values[0].coarse
    assert np.abs(quick - exact).max() > 1e-4


def test_sharing_changes_nothing_if_the_fill_is_a_picture():
    exact, quick = (
        explain_image(NET, SP(5, 2, share=share), Picture(0.5), IMAGE) for share in (0, 3)
    )
    np.testing.assert_allclose(quick.values[0].coarse, exact.values[0].coarse, atol=1e-6)
    assert quick.effort.inpaints == 0


@pytest.mark.parametrize("refine", [0, 0.3, 0.9])
@pytest.mark.parametrize("align", ["center", "accumulate", "stretch"])
def test_what_refining_looks_at_equals_the_run_that_looks_everywhere(refine, align):
    plain = explain_image(NET, SP(6, 2, align=align), Picture(0.5), IMAGE).values[0]
    outcome = explain_image(NET, SP(6, 2, align=align, refine=refine), Picture(0.5), IMAGE)
    refined, details = outcome.values[0], outcome.values[0].details
    seen = np.array([[mark == "#" for mark in row] for row in details["positions"]])
    # float32 scores of the same image differ in the last digit between batches
    np.testing.assert_allclose(refined.coarse[seen], plain.coarse[seen], atol=2e-7)
    rows, columns = [0, 3, 6, 7], [0, 3, 6, 9, 10]  # a patch is 3 strides wide; and the last
    assert seen[np.ix_(rows, columns)].all()
    assert seen.sum() == details["seen"] == 20 + round(refine * (8 * 11 - 20))
    assert details["interpolated"] == (~seen).sum()
    assert outcome.evaluations == SP(6, 2, refine=refine).evaluations(SHAPE)
    assert outcome.evaluations == seen.sum() + (2 if refine else 1)
    skipped = RegularGridInterpolator((rows, columns), plain.coarse[np.ix_(rows, columns)])
    places = np.stack(np.indices(seen.shape), axis=-1)
    np.testing.assert_allclose(refined.coarse[~seen], skipped(places)[~seen], atol=1e-6)


def test_refining_finds_the_peak_that_decides():
    weights = np.zeros((20, 26, 3), np.float32)
    weights[9:11, 12:15] = 0.05
    net = Net(additive(weights), SHAPE)
    plain, refined = (
        explain_image(net, SP(4, 1, refine=refine), Picture(), IMAGE).values[0].coarse
        for refine in (1, 0.25)
    )
    np.testing.assert_allclose(refined[plain > 0], plain[plain > 0], atol=1e-6)


def test_refining_everything_looks_once_and_describes_nothing():
    method = SP(5, 2)
    assert not method.adaptive
    assert SP(5, 2, refine=0.99).adaptive
    assert not explain_image(NET, method, Picture(0.5), IMAGE).values[0].details


def test_strides_as_wide_as_the_patch_leave_nothing_to_refine():
    outcome = explain_image(NET, SP(4, 4, refine=0), Picture(0.5), IMAGE)
    assert outcome.values[0].details["interpolated"] == 0
    assert outcome.evaluations == SP(4, 4).evaluations(SHAPE)


def test_refining_with_shared_fills_is_exact_if_the_inpainter_looks_no_further(near):
    exact = explain_image(NET, SP(5, 2), near, IMAGE).values[0].coarse
    refined = explain_image(NET, SP(5, 2, share=3, refine=0.3), near, IMAGE)
    seen = np.array([list(row) for row in refined.values[0].details["positions"]]) == "#"
    np.testing.assert_allclose(refined.values[0].coarse[seen], exact[seen], atol=1e-6)
    assert refined.effort.inpaints < seen.sum()


def test_a_patch_larger_than_the_image_is_refused_with_both_sizes():
    net = Net(additive(np.zeros((20, 26, 3), np.float32)), SHAPE)
    with pytest.raises(ValueError, match=r"20 x 26 pixels.*got 29"):
        explain_image(net, SP(), Picture(), IMAGE)


@pytest.mark.framework
def test_sp_accumulated_equals_captums_occlusion():
    torch = pytest.importorskip("torch")
    attr = pytest.importorskip("captum.attr")
    weights = (RNG.standard_normal((20, 26, 3, 2)) * 0.1).astype(np.float32)
    net = Net(curved(weights), SHAPE)

    def forward(x):  # (N, 3, H, W) -> (N, 2)
        return torch.from_numpy(np.asarray(net.function(x.permute(0, 2, 3, 1).numpy())))

    theirs = (
        attr.Occlusion(forward)
        .attribute(
            torch.from_numpy(IMAGE.transpose(2, 0, 1)[None].copy()),
            sliding_window_shapes=(3, 5, 5),
            strides=(3, 3, 3),
            baselines=0.5,
            target=1,
        )[0]
        .mean(0)
        .numpy()
    )
    # Captum adds a last window that hangs over the border; ours all lie inside.
    ours = (
        explain_image(net, SP(patch=5, stride=3, align="accumulate"), Picture(0.5), IMAGE)
        .values[0]
        .heatmap
    )
    np.testing.assert_allclose(ours[:17, :23], theirs[:17, :23], atol=1e-6)
