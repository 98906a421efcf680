import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import resize

from onnxplain.masks.enlarge import Enlargement
from onnxplain.methods.masks.optim import Adam, sigmoid, total_variation

RNG = np.random.default_rng(0)


def test_the_first_step_of_adam_is_the_learning_rate_against_the_gradients_sign():
    grad = np.array([3.0, -1e-3, 0.0])
    change, after = Adam().update(grad, 0.1)
    np.testing.assert_allclose(change, [-0.1, 0.1, 0.0], rtol=1e-4)
    assert after.step == 1


@pytest.mark.framework
def test_adam_equals_pytorchs_over_ten_steps():
    torch = pytest.importorskip("torch")
    grads = RNG.standard_normal((10, 5))
    theirs = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], lr=0.1)
    ours, adam = np.zeros(5), Adam()
    for grad in grads:
        theirs.grad = torch.from_numpy(grad)
        optimiser.step()
        change, adam = adam.update(grad, 0.1)
        ours = ours + change
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10)


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_the_gradient_of_total_variation_equals_central_differences(power):
    cells = RNG.random((4, 5))
    _, grad = total_variation(cells, power)
    step = 1e-6
    for at in np.ndindex(*cells.shape):
        up, down = cells.copy(), cells.copy()
        up[at] += step
        down[at] -= step
        slope = (total_variation(up, power)[0] - total_variation(down, power)[0]) / (2 * step)
        assert grad[at] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_total_variation_of_one_step_edge_counts_each_pair_across_it():
    cells = np.zeros((4, 6))
    cells[:, 3:] = 0.5
    assert total_variation(cells, 3.0)[0] == pytest.approx(4 * 0.5**3)


def test_bilinear_enlarging_equals_scikit_image():
    cells = RNG.random((5, 5))
    expected = resize(cells, (20, 33), order=1, mode="edge", anti_aliasing=False)
    np.testing.assert_allclose(Enlargement.bilinear(5, (20, 33)).pixels(cells), expected, atol=1e-6)


@given(st.integers(0, 1000), st.sampled_from(["nearest", "bilinear"]))
def test_what_goes_back_is_the_adjoint_of_what_goes_forth(seed, how):
    rng = np.random.default_rng(seed)
    enlarge = getattr(Enlargement, how)(4, (9, 13))
    cells, pixels = rng.standard_normal((4, 4)), rng.standard_normal((9, 13))
    forth, back = (enlarge.pixels(cells) * pixels).sum(), (cells * enlarge.cells(pixels)).sum()
    assert forth == pytest.approx(back, rel=1e-9, abs=1e-9)


def test_sigmoid_is_scipys_and_does_not_overflow():
    x = np.array([-800.0, -3.0, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(sigmoid(x), scipy.special.expit(x), rtol=1e-9, atol=1e-16)
