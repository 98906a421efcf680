import numpy as np
import pytest
import scipy.special

from onnxplain.methods.masks.optim import Adam, check_grid, sigmoid, total_variation

RNG = np.random.default_rng(0)


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign_of_the_gradient():
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
    for cell in np.ndindex(*cells.shape):
        up, down = cells.copy(), cells.copy()
        up[cell] += step
        down[cell] -= step
        slope = (total_variation(up, power)[0] - total_variation(down, power)[0]) / (2 * step)
        assert grad[cell] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_total_variation_of_one_step_edge_counts_each_pair_across_it():
    cells = np.zeros((4, 6))
    cells[:, 3:] = 0.5
    assert total_variation(cells, 3.0)[0] == pytest.approx(4 * 0.5**3)


def test_a_grid_may_have_as_many_cells_as_the_shorter_side_has_pixels_but_no_more():
    check_grid(9, (9, 13), "mp")
    with pytest.raises(
        ValueError, match="mp: grid must be at most 9, the image's shorter side, got 10"
    ):
        check_grid(10, (13, 9), "mp")


def test_sigmoid_is_scipys_and_does_not_overflow():
    x = np.array([-800.0, -3.0, 0.0, 2.0, 800.0])
    np.testing.assert_allclose(sigmoid(x), scipy.special.expit(x), rtol=1e-9, atol=1e-16)
