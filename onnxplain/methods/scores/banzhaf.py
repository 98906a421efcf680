"""Banzhaf values of the parts of a photo, by paired regression on Hadamard designs.

The value of a part is by how much the score is higher, on average over all sets of the other
parts, when the part is kept as well. RISE's map tends to the same ranking; the regression on
pairs needs about a quarter of the evaluations.

References
----------
.. [1] Liu, Witter, Korn, Alrashed, Paparas & Freire, Kernel Banzhaf: A fast and robust estimator
   for Banzhaf values, 2024, alg. 1, :arXiv:`2410.08336`
.. [2] Banzhaf, Weighted voting doesn't work, Rutgers Law Review 19 (1965)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.methods.scores.coalitions import draw_hadamard_pairs
from onnxplain.methods.scores.games import Game
from onnxplain.methods.scores.intervals import Array, Fit, fit_pairs


@dataclass(frozen=True)
class Banzhaf(Game):
    """Banzhaf values of cells or superpixels.

    Parameters
    ----------
    players : {'grid', 'superpixels'}
        What is kept or removed: the cells of a smooth grid, or SLIC superpixels.
    grid : int
        Cells per side; more cells find smaller parts and need more evaluations.
    n_segments : int
        Number of superpixels to ask SLIC for, which returns about that many.
    score : {'probability', 'log-odds'}
        The score of the target. Log-odds do not saturate near 0 and 1.
    n_replicates : int
        Independent designs of 2m evaluations each, where m is the smallest power of 2 above the
        number of players: 128 evaluations for 32 to 63 players. Four times as many halve the
        intervals. If all sets of players are no more than these evaluations, each is scored once
        and the values are exact.
    tolerance : float, optional
        Stop as soon as the widest interval reaches no further than this share of the map's range
        to either side. It is looked at after 1, 2, 4, ... replicates.
    max_replicates : int
        Most replicates with a tolerance, instead of `n_replicates`.
    interval : {'hc3', 'replicates'}
        Errors from the residuals of the regression, or from leaving out each replicate in turn,
        which supposes even less but needs some ten replicates to be narrow.

    Notes
    -----
    The columns of a design are those of a Hadamard matrix in random order and with random signs,
    so that every set is as likely as any other; each set is followed by its complement (folded
    over), which cancels all interactions of two players. Liu et al. [1]_ draw random pairs. The
    details tell the half-width of the intervals, which hold for all players at once in 95 % of
    runs (``coverage``), the evaluations, and how many more smaller tolerances need.
    """

    name: ClassVar[str] = "banzhaf"
    meaning: ClassVar[str] = "{unit} that the {part} adds, on average over all sets of the others"

    def draw(self, rng: np.random.Generator, n_players: int, n_pairs: int) -> Array:
        """Draw a randomised Hadamard design, whose complements fold it over."""
        return draw_hadamard_pairs(rng, n_players, n_pairs)

    def fit(self, signs: Array, differences: Array, total: float) -> Fit:
        """Regress the differences of pairs on who is kept."""
        return fit_pairs(signs, differences)

    def solve(self, signs: Array, differences: Array) -> Array:
        """Average over all sets."""
        return fit_pairs(signs, differences).values
