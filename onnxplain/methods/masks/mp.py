"""Meaningful perturbation (Fong & Vedaldi, ICCV 2017).

The smallest, smoothest mask that destroys the score is found by gradient descent, here as
Agarwal & Nguyen run it [2]_. With an inpainter as the fill it is MP-G.

References
----------
.. [1] Fong & Vedaldi, Interpretable explanations of black boxes by meaningful perturbation,
   ICCV 2017, eq. 3 and 4, :arXiv:`1704.03296`
.. [2] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.2, :arXiv:`1910.04256`
.. [3] Spall, Multivariate stochastic approximation using a simultaneous perturbation
   gradient approximation, IEEE TAC 37(3), 1992, eq. 2.2
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Images, Size
from onnxplain.core.flow import FillQuery, Flow, ImageQuery, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.core.protocols import Masks
from onnxplain.image import gaussian_blur, resize
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import ArrayMasks, CellMasks
from onnxplain.methods.masks.optim import Adam, check_grid, total_variation

Array = NDArray[np.float64]
RADII = range(0, 175, 5)  # of the discs that a mask may start from, in pixels of 224


@dataclass(frozen=True)
class MP(Parametrised):
    """Smallest smooth mask that destroys the score.

    Parameters
    ----------
    grid : int
        Cells a side of the mask, which is enlarged by nearest neighbour.
    n_steps : int
        Steps of Adam.
    learning_rate : float
        Of Adam.
    l1, tv : float
        Weights of the mask's area and of its total variation, both sums over cells.
    tv_power : float
        Power of the differences in the total variation.
    jitter : int
        Image and fill are enlarged by so many pixels and cropped at a random place in
        every step, so that the mask does not fit artefacts; 0 turns it off.
    estimator : {'auto', 'gradient', 'spsa'}
        The score's derivative by the mask: exact, of a classifier that has gradients; or
        from differences along random directions [3]_, of any. ``auto`` is the former where
        it can be had.
    n_pairs : int
        Directions a step of ``spsa``, two evaluations each.
    reach : float
        How far ``spsa`` goes along a direction, of the mask's range.
    start : {'random', 'circle'}
        The first mask: every cell drawn from [0, 1]; or the smallest of 35 blurred discs
        that lowers the score nearly as much as removing everything, at 36 evaluations.
    binary : bool
        Whether the score is that under the mask rounded to 0 and 1, as an inpainter wants
        it; its derivative is used as if the mask were not rounded, and ``spsa`` rounds the
        masks that it tries. The program of [2]_ does so for MP-G.

    Notes
    -----
    The fill counts as constant in the gradient. Where the program of [2]_ and its text
    differ, this is the program: sums, not means; one jitter of 0 to 3 pixels a step; the
    total variation is ``|rows| ** 3 + |columns| ** 3``. It jitters crops of a photo that was
    resized larger; this enlarges what the classifier sees by `jitter` pixels.
    """

    name: ClassVar[str] = "mp"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"

    grid: Annotated[int, Param("cells a side of the mask", ge=2)] = 28
    n_steps: Annotated[int, Param("steps of Adam", ge=1)] = 300
    learning_rate: Annotated[float, Param("learning rate of Adam", gt=0)] = 0.1
    l1: Annotated[float, Param("weight of the mask's area", ge=0)] = 1e-4
    tv: Annotated[float, Param("weight of the mask's total variation", ge=0)] = 1e-2
    tv_power: Annotated[float, Param("power of the differences in it", ge=1)] = 3.0
    jitter: Annotated[int, Param("pixels by which crops move; 0 for none", ge=0)] = 4
    estimator: Annotated[
        Literal["auto", "gradient", "spsa"], Param("how the score's derivative is found")
    ] = "auto"
    n_pairs: Annotated[int, Param("random directions a step of spsa", ge=1)] = 16
    reach: Annotated[float, Param("how far spsa goes along one", gt=0, le=1)] = 0.5
    start: Annotated[
        Literal["random", "circle"], Param("the first mask: drawn, or a disc that suffices")
    ] = "random"
    binary: Annotated[bool, Param("score the mask rounded to 0 and 1")] = False

    @property
    def wants_gradients(self) -> bool:
        """Whether it would ask for gradients."""
        return self.estimator != "spsa"

    @property
    def needs_gradients(self) -> bool:
        """Whether it cannot do without."""
        return self.estimator == "gradient"

    def settled(self, *, gradients: bool) -> MP:
        """The same with ``auto`` decided."""
        if self.estimator != "auto":
            return self
        return replace(self, estimator="gradient" if gradients else "spsa")

    def evaluations(self, size: Size) -> int:
        """One a step, forward and backward; with ``spsa`` two a direction; the discs."""
        first = len(RADII) + 1 if self.start == "circle" else 0
        return first + self.n_steps * (1 if self.estimator == "gradient" else 2 * self.n_pairs)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; draws the first mask, the jitter and the directions."""
        if self.estimator == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, "MP")
        enlarge = Enlargement.nearest(self.grid, case.size)
        mask = 1 - rng.random((self.grid, self.grid))
        if self.start == "circle":
            mask = yield from self._circle(case)
        adam, scores = Adam(), []
        differentiate = self._gradient if self.estimator == "gradient" else self._spsa
        for _ in range(self.n_steps):
            shift = rng.integers(0, self.jitter, 2) if self.jitter else np.zeros(2, int)
            filled = (yield FillQuery(self._moved(self._shown(mask), shift, case.size))).images
            assert filled is not None
            image, fill = (self._crop(picture, shift) for picture in (case.image, filled[0]))
            score, by_mask = yield from differentiate(image, fill - image, mask, enlarge, rng)
            _, by_variation = total_variation(mask, self.tv_power)
            by_area = np.sign(mask)  # of |m|: 0 where nothing is removed, as autograd has it
            slope = by_mask + self.l1 * by_area + self.tv * by_variation
            change, adam = adam.update(slope, self.learning_rate)
            mask = np.clip(mask + change, 0, 1)
            scores.append(score)
        coarse = mask.astype(np.float32)
        heatmap = enlarge.pixels(mask).astype(np.float32)
        return Attribution(heatmap, coarse, details={"estimator": self.estimator, "scores": scores})

    def _circle(self, case: Case) -> Flow[Array]:
        """The smallest disc whose removal is nearly that of everything, as a mask."""
        everything = np.ones((1, *case.size), np.float32)
        discs = ArrayMasks(np.concatenate([_discs(case.size), everything]))
        scores = (yield MaskQuery(discs)).scores
        enough = scores <= scores[0] - 0.99 * (scores[0] - scores[-1])
        disc = discs.values[int(np.argmax(enough))]
        return resize(disc, (self.grid, self.grid)).astype(np.float64)

    def _shown(self, mask: Array) -> Array:
        """What the classifier is shown of a mask (..., rows, columns)."""
        return _rounded(mask) if self.binary else mask

    def _moved(self, mask: Array, shift: NDArray[np.integer], size: Size) -> Masks:
        """The holes of the mask as they lie on the image not yet enlarged and cropped.

        What is cropped must be filled where the mask removes it, so every pixel from which
        the crop takes a part of a hole is one. A hole begins at one half, as in all fills
        that depend on the mask.
        """
        holes = (mask >= 0.5).astype(np.float64)
        if not self.jitter:
            return CellMasks(holes[None].astype(np.float32), size)
        large = np.zeros((size[0] + self.jitter, size[1] + self.jitter), np.float32)
        pixels = Enlargement.nearest(self.grid, size).pixels(holes)
        large[shift[0] : shift[0] + size[0], shift[1] : shift[1] + size[1]] = pixels
        touched = resize(large, size, antialias=True) > 0
        return ArrayMasks(touched[None].astype(np.float32))

    def _crop(self, picture: NDArray[np.float32], shift: NDArray[np.integer]) -> Images:
        if not self.jitter:
            return picture
        rows, columns, _ = picture.shape
        large = resize(picture, (rows + self.jitter, columns + self.jitter))
        return large[shift[0] : shift[0] + rows, shift[1] : shift[1] + columns]

    def _gradient(
        self,
        image: Images,
        delta: Images,
        mask: Array,
        enlarge: Enlargement,
        rng: np.random.Generator,
    ) -> Flow[tuple[float, Array]]:
        """The score under the mask, and its exact derivative by every cell."""
        removed = enlarge.pixels(self._shown(mask))[..., None].astype(np.float32)
        composed = image + removed * delta
        reply = yield ImageQuery(composed[None], grad=True)
        assert reply.grads is not None
        by_pixel = np.einsum("hwc,hwc->hw", reply.grads[0], delta, dtype=np.float64)
        return float(reply.scores[0]), enlarge.cells(by_pixel)

    def _spsa(
        self,
        image: Images,
        delta: Images,
        mask: Array,
        enlarge: Enlargement,
        rng: np.random.Generator,
    ) -> Flow[tuple[float, Array]]:
        """The mean score round the mask, and an estimate of its derivative."""
        reach = self.reach
        directions = rng.choice([-1.0, 1.0], (self.n_pairs, *mask.shape))
        # What leaves [0, 1] is cut off: the derivative is then along what is left.
        ahead, behind = (np.clip(mask + sign * reach * directions, 0, 1) for sign in (1, -1))
        tried = self._shown(np.concatenate([ahead, behind]))
        pixels = enlarge.pixels(tried).astype(np.float32)
        scores = (yield ImageQuery(image + pixels[..., None] * delta)).scores
        slopes = scores[: self.n_pairs] - scores[self.n_pairs :]
        by_mask = np.einsum("n,nij->ij", slopes / (2 * reach), directions) / self.n_pairs
        return float(scores.mean()), by_mask


def _rounded(mask: Array) -> Array:
    """0 where more than a half is kept, and more than the middle of what is; 1 elsewhere."""
    kept = 1 - mask
    middle = (kept.max((-2, -1), keepdims=True) + kept.min((-2, -1), keepdims=True)) / 2
    rounded: Array = np.where(kept > np.maximum(0.5, middle), 0.0, 1.0)
    return rounded


def _discs(size: Size) -> NDArray[np.float32]:
    """Blurred discs of rising radius round the centre, shape (N, rows, columns)."""
    rows, columns = ((np.arange(n) + 0.5) - n / 2 for n in size)
    distance = np.hypot(rows[:, None], columns) * (224 / min(size))
    sharp = (distance <= np.array(RADII)[:, None, None]).astype(np.float32)
    return np.stack([gaussian_blur(disc, 10 * min(size) / 224) for disc in sharp])
