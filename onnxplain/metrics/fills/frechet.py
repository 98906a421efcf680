"""The Fréchet distance: how much filled images look like photos.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 4.2 and table 1, :arXiv:`1910.04256`
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from onnxplain.core.params import Parametrised
from onnxplain.metrics.base import Direction, MetricResult


@dataclass(frozen=True)
class FrechetDistance(Parametrised):
    """Fréchet distance between photos and the images whose objects are removed.

    It compares sets of images by their features, and says how much filled images look like
    photos. With the features of Inception-v3 it is FID.
    """

    name: ClassVar[str] = "frechet"
    direction: ClassVar[Direction] = "lower"
    unit: ClassVar[str] = "of the features, squared"

    def judge(self, first: ArrayLike, second: ArrayLike) -> MetricResult:
        """Judge features (N, D) and (M, D); see `frechet_distance`."""
        value = frechet_distance(first, second)
        return MetricResult(value, {"images": [len(np.asarray(first)), len(np.asarray(second))]})


def frechet_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Fréchet distance of two Gaussians fitted to features; 0 for the same features.

    It is ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`` [1]_. With the features of
    Inception-v3 it is FID [2]_.

    Parameters
    ----------
    first, second : (N, D) and (M, D) arrays
        Features of images. With fewer images than features the covariances are singular and
        the distance is biased upwards: compare only equal N.

    Returns
    -------
    distance : float
        At least 0; lower is more alike.

    Raises
    ------
    ValueError
        If an array has fewer than two rows, the rows differ in length, or a number is not
        finite.

    References
    ----------
    .. [1] Dowson & Landau, The Fréchet distance between multivariate normal distributions,
       J. Multivariate Anal. 12, 1982, :doi:`10.1016/0047-259X(82)90077-X`
    .. [2] Heusel et al., GANs trained by a two time-scale update rule converge to a local
       Nash equilibrium, NeurIPS 2017, :arXiv:`1706.08500`
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(
            f"features are (N, D) and (M, D) with two rows or more, got {a.shape} and {b.shape}"
        )
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("features hold NaN or infinite values; give finite ones")
    cov_a, cov_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    # C1 C2 has the eigenvalues of the symmetric root(C1) C2 root(C1): no complex numbers.
    eigenvalues, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ cov_b @ root)
    apart = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    spread = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(shared, 0)).sum()
    return float(max(apart + spread, 0.0))
