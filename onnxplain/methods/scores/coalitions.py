"""Which sets of cells are scored: designs for the values of cooperative games.

Every design is a list of pairs, of a set of cells and of the set of all others, as signs: 1 for
the cells that the first set keeps, -1 for those that the second keeps.

References
----------
.. [1] Plackett & Burman, The design of optimum multifactorial experiments, Biometrika 33 (1946)
.. [2] Box & Wilson, On the experimental attainment of optimum conditions, Journal of the Royal
   Statistical Society B 13 (1951): designs folded over
.. [3] Covert & Lee, Improving KernelSHAP: practical Shapley value estimation via linear
   regression, AISTATS 2021, sec. 3, :arXiv:`2012.01536`
.. [4] Musco & Witter, Provably accurate Shapley value estimation via leverage score sampling,
   ICLR 2025, :arXiv:`2410.01917`: sizes of sets drawn otherwise than by the kernel
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def count_pairs(n_players: int) -> int:
    """Return the pairs of one replicate: the smallest power of 2 above the number of players."""
    return 1 << n_players.bit_length()


def make_hadamard(order: int) -> Array:
    """Make Sylvester's matrix of 1 and -1 with orthogonal columns; the first is all 1.

    Parameters
    ----------
    order : int
        Its side, a power of 2.
    """
    matrix: Array = np.ones((1, 1))
    while len(matrix) < order:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def draw_hadamard_pairs(rng: np.random.Generator, n_players: int, n_pairs: int) -> Array:
    """Draw a Hadamard design, folded over: orthogonal columns of a random order and sign.

    Each set of a pair is then uniform among all sets of players, and no two players are confounded,
    nor a player with an interaction of two. Players for which there is no orthogonal column get
    a random one.

    Parameters
    ----------
    rng : Generator
    n_players : int
        Number of players, d.
    n_pairs : int
        A power of 2; orthogonal columns are one less.

    Returns
    -------
    signs : (n_pairs, d) ndarray of 1 and -1
    """
    columns = make_hadamard(n_pairs)[:, 1:]
    signs = rng.choice([-1.0, 1.0], (n_pairs, n_players))
    n_orthogonal = min(n_players, n_pairs - 1)
    players = rng.permutation(n_players)[:n_orthogonal]
    chosen = rng.permutation(n_pairs - 1)[:n_orthogonal]
    signs[:, players] = columns[:, chosen] * rng.choice([-1.0, 1.0], n_orthogonal)
    return signs


def draw_shapley_pairs(rng: np.random.Generator, n_players: int, n_pairs: int) -> Array:
    """Draw pairs for a regression by the Shapley kernel: a size, then a set of this size.

    A size s has the chance ``1 / sqrt(s (d - s))``, the square root of that of the kernel, by
    which KernelSHAP draws [3]_. The kernel prefers nearly empty and nearly full sets, of which
    each tells little about a player; with equal chances [4]_ the weights of rows differ more. The
    square root gives the least variance if what players do not explain alone scatters equally
    at all sizes. `weigh_by_shapley_draw` has the weights that make up for it.

    Parameters
    ----------
    rng : Generator
    n_players : int
        Number of players, d, at least 2.
    n_pairs : int

    Returns
    -------
    signs : (n_pairs, d) ndarray of 1 and -1
    """
    sizes = np.arange(1, n_players)
    chances = 1 / np.sqrt(sizes * (n_players - sizes))  # all sets of a size together
    size = rng.choice(sizes, n_pairs, p=chances / chances.sum())
    rank = rng.random((n_pairs, n_players)).argsort(axis=1).argsort(axis=1)
    return np.where(rank < size[:, None], 1.0, -1.0)


def list_all_pairs(n_players: int) -> Array:
    """List every set with its complement once, the pair of all and none first."""
    numbers = np.arange(1 << (n_players - 1))
    bits = numbers[:, None] >> np.arange(n_players) & 1  # the last player is in every first set
    return np.where(bits == 0, 1.0, -1.0)


def weigh_by_shapley_draw(signs: Array) -> Array:
    """Weigh each pair by the Shapley kernel over the chance of its draw, up to a factor."""
    kept = (signs > 0).sum(axis=1)
    weights: Array = 1 / np.sqrt(kept * (signs.shape[1] - kept))
    return weights


def weigh_by_shapley_kernel(signs: Array) -> Array:
    """Weigh each pair by the Shapley kernel of one of its sets; neither may be empty."""
    d = signs.shape[1]
    kept = (signs > 0).sum(axis=1)
    sets = np.array([float(comb(d, k)) for k in range(d + 1)])
    weights: Array = (d - 1) / (sets[kept] * kept * (d - kept))
    return weights
