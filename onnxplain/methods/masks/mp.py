"""Meaningful perturbation (Fong & Vedaldi, ICCV 2017).

Gradient descent finds the smallest, smoothest mask that destroys the score. The settings
follow Agarwal & Nguyen [2]_. With an inpainter as the fill it is MP-G.

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

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Image, Meaning, Size
from onnxplain.core.flow import Flow, ImageQuery, MaskQuery
from onnxplain.core.params import Param, Usual
from onnxplain.core.protocols import Masks
from onnxplain.image import gaussian_blur, resize
from onnxplain.masks.enlarge import Enlargement
from onnxplain.masks.families import ArrayMasks, CellMasks
from onnxplain.methods.masks.cell_method import CellMethod
from onnxplain.methods.masks.optim import Adam, FloatArray, check_grid, total_variation
from onnxplain.methods.masks.questions import ask_fills, ask_slopes, project_slope

RADII = range(0, 175, 5)  # of the discs tried as the first mask, in an image of 224 pixels

MEANING = Meaning("share of the pixel that the smallest harmful mask removes")


@dataclass(frozen=True)
class MP(CellMethod):
    """Smallest smooth mask that destroys the score.

    Parameters
    ----------
    grid : int
        Cells per side of the mask, which is enlarged by nearest neighbour. More cells draw a
        finer mask, which fits artefacts more easily.
    n_steps : int
        Steps of Adam.
    learning_rate : float
        Learning rate of Adam: roughly how far a cell moves per step.
    l1, tv : float
        Weights of the mask's area and of its total variation, both sums over cells. A larger
        `l1` gives a smaller mask, a larger `tv` a smoother one.
    tv_power : float
        Power to which the total variation raises differences; a higher power penalises small
        differences less.
    jitter : int
        Pixels by which image and fill are enlarged. Every step crops both at a random place,
        so that the mask does not fit artefacts. 0 turns the jitter off.
    estimator : {'auto', 'gradient', 'spsa'}
        How the derivative with respect to the mask is found. ``gradient`` is exact and needs a
        classifier with gradients. ``spsa`` takes differences along random directions [3]_ and
        works with any classifier. ``auto`` is ``gradient`` if the classifier has gradients,
        else ``spsa``.
    n_pairs : int
        Directions per step with ``spsa``, two evaluations each. More directions give a less
        noisy derivative.
    reach : float
        How far ``spsa`` moves the mask to either side, as a share of the mask's range. A
        shorter reach is nearer to the derivative; a longer one sees past small bumps of the
        score.
    start : {'random', 'circle'}
        The first mask. ``random`` draws every cell from [0, 1]. ``circle`` takes the smallest
        of 35 blurred discs that changes the score nearly as much as removing everything does,
        which costs 36 evaluations.
    binary : bool
        Whether the mask is rounded to 0 and 1 before it is scored, as inpainters need it.
        ``gradient`` then differentiates as if the mask were not rounded, and ``spsa`` rounds
        every mask that it tries. The program of [2]_ rounds the mask for MP-G.

    Notes
    -----
    The gradient treats the fill as constant. Where the program of [2]_ differs from its text,
    this class follows the program: sums, not means; one jitter of 0 to 3 pixels per step; the
    total variation is ``|rows| ** 3 + |columns| ** 3``. The program crops from a photo that was
    resized to be larger; this class enlarges the classifier's input by `jitter` pixels.
    With ``start=circle`` the disc is chosen as in the program, also where the fill raises the
    score; the program then optimises a mask of one cell per pixel, this class one of `grid`.
    """

    name: ClassVar[str] = "mp"
    adaptive: ClassVar[bool] = True
    usual_fill: ClassVar[str] = "blur"
    without_gradients: ClassVar[str] = "estimator=spsa"

    grid: Annotated[int, Param("cells per side of the mask", ge=2)] = Usual(28)
    n_steps: Annotated[int, Param("number of optimisation steps", ge=1)] = 300
    learning_rate: Annotated[
        float, Param("learning rate: about how far a cell moves per step", gt=0)
    ] = 0.1
    l1: Annotated[float, Param("penalty on the area; larger gives a smaller mask", ge=0)] = 1e-4
    tv: Annotated[
        float,
        Param("penalty on differences of neighbouring cells; larger gives a smoother mask", ge=0),
    ] = 1e-2
    tv_power: Annotated[
        float, Param("power of the differences that tv penalises; higher spares small ones", ge=1)
    ] = 3.0
    jitter: Annotated[
        int, Param("pixels by which image and fill are shifted at random; 0 for none", ge=0)
    ] = 4
    estimator: Annotated[
        Literal["auto", "gradient", "spsa"],
        Param("how the gradient is found; auto: from the classifier, if it has gradients"),
    ] = "auto"
    n_pairs: Annotated[int, Param("with estimator=spsa: random directions per step", ge=1)] = 16
    reach: Annotated[
        float,
        Param("with estimator=spsa: how far each trial moves a cell of 0 to 1", gt=0, le=1),
    ] = 0.5
    start: Annotated[
        Literal["random", "circle"],
        Param("the first mask: random, or the smallest disc that destroys the score"),
    ] = "random"
    binary: Annotated[bool, Param("round the mask to 0 and 1 before it is scored")] = False

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: the discs, then one per step, or two per direction of ``spsa``."""
        discs = len(RADII) + 1 if self.start == "circle" else 0
        return discs + self.n_steps * (1 if self.estimator == "gradient" else 2 * self.n_pairs)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; the first mask, the jitter and the directions are random."""
        if self.estimator == "auto":
            return (yield from self.settled(gradients=False).flow(case, rng))
        check_grid(self.grid, case.size, self.name)
        enlarge = Enlargement.nearest(self.grid, case.size)
        mask = 1 - rng.random((self.grid, self.grid))
        if self.start == "circle":
            mask = yield from self._find_circle(case)
        adam, scores = Adam(), []
        differentiate = self._differentiate if self.estimator == "gradient" else self._estimate
        for _ in range(self.n_steps):
            shift = rng.integers(0, self.jitter, 2) if self.jitter else np.zeros(2, int)
            fill = (yield from ask_fills(self._place_holes(mask, shift, case.size)))[0]
            image, fill = (self._crop(picture, shift) for picture in (case.image, fill))
            score, by_mask = yield from differentiate(image, fill - image, mask, enlarge, rng)
            _, by_variation = total_variation(mask, self.tv_power)
            by_area = np.sign(mask)  # slope of |m|; 0 where nothing is removed, as in autograd
            slope = by_mask + self.l1 * by_area + self.tv * by_variation  # eq. 3 and 4
            change, adam = adam.update(slope, self.learning_rate)
            mask = np.clip(mask + change, 0, 1)
            scores.append(score)
        coarse = mask.astype(np.float32)
        heatmap = enlarge.pixels(mask).astype(np.float32)
        details = {"estimator": self.estimator, "scores": scores}
        return Attribution(heatmap, coarse, details=details, meaning=MEANING)

    def _find_circle(self, case: Case) -> Flow[FloatArray]:
        """Find the smallest disc that changes the score nearly as much as removing everything."""
        everything = np.ones((1, *case.size), np.float32)
        discs = ArrayMasks(np.concatenate([_draw_discs(case.size), everything]))
        scores = (yield MaskQuery(discs)).scores
        disc = discs.values[_choose_disc(scores)]
        return resize(disc, (self.grid, self.grid)).astype(np.float64)

    def _differentiate(
        self,
        image: Image,
        delta: Image,
        mask: FloatArray,
        enlarge: Enlargement,
        rng: np.random.Generator,
    ) -> Flow[tuple[float, FloatArray]]:
        """Return the score under the mask, and its exact derivative for each cell."""
        removed = enlarge.pixels(self._binarise(mask))[..., None].astype(np.float32)
        scores, slopes = yield from ask_slopes((image + removed * delta)[None])
        return float(scores[0]), enlarge.cells(project_slope(slopes[0], delta))

    def _estimate(
        self,
        image: Image,
        delta: Image,
        mask: FloatArray,
        enlarge: Enlargement,
        rng: np.random.Generator,
    ) -> Flow[tuple[float, FloatArray]]:
        """Return the mean score near the mask, and its derivative as SPSA estimates it [3]_."""
        reach = self.reach
        directions = rng.choice([-1.0, 1.0], (self.n_pairs, *mask.shape))
        # Masks are clipped to [0, 1]; at the ends the difference is taken over a shorter way.
        ahead, behind = (np.clip(mask + sign * reach * directions, 0, 1) for sign in (1, -1))
        tried = self._binarise(np.concatenate([ahead, behind]))
        pixels = enlarge.pixels(tried).astype(np.float32)
        scores = (yield ImageQuery(image + pixels[..., None] * delta)).scores
        slopes = scores[: self.n_pairs] - scores[self.n_pairs :]
        by_mask = np.einsum("n,nij->ij", slopes / (2 * reach), directions) / self.n_pairs
        return float(scores.mean()), by_mask

    def _binarise(self, mask: FloatArray) -> FloatArray:
        """Round a mask (..., rows, columns) to 0 and 1, if it is to be binary.

        A cell becomes 0 if its kept share exceeds both one half and the middle between the
        smallest and the largest kept share of all cells; else it becomes 1.
        """
        if not self.binary:
            return mask
        kept = 1 - mask
        middle = (kept.max((-2, -1), keepdims=True) + kept.min((-2, -1), keepdims=True)) / 2
        return np.where(kept > np.maximum(0.5, middle), 0.0, 1.0)

    def _place_holes(self, mask: FloatArray, shift: NDArray[np.integer], size: Size) -> Masks:
        """Place the holes of the mask on the image as it is before enlarging and cropping.

        The crop must be filled wherever the mask removes it, so every pixel that contributes
        to a hole of the crop belongs to the hole. Cells with a mask of one half or more are
        holes, as in all fills that depend on the mask.
        """
        holes = (mask >= 0.5).astype(np.float64)
        if not self.jitter:
            return CellMasks(holes[None].astype(np.float32), size)
        large = np.zeros((size[0] + self.jitter, size[1] + self.jitter), np.float32)
        pixels = Enlargement.nearest(self.grid, size).pixels(holes)
        large[shift[0] : shift[0] + size[0], shift[1] : shift[1] + size[1]] = pixels
        touched = resize(large, size, antialias=True) > 0
        return ArrayMasks(touched[None].astype(np.float32))

    def _crop(self, picture: Image, shift: NDArray[np.integer]) -> Image:
        """Enlarge a picture by the jitter and crop it to its size at a shift."""
        if not self.jitter:
            return picture
        rows, columns, _ = picture.shape
        large = resize(picture, (rows + self.jitter, columns + self.jitter))
        return large[shift[0] : shift[0] + rows, shift[1] : shift[1] + columns]


def _choose_disc(scores: NDArray[np.float64]) -> int:
    """Return the first mask that has 99 % of the last one's effect; the first mask is empty.

    The effect may also be a rise of the score. If there is none, it is the last mask.
    """
    effect = scores[0] - scores[-1]
    if effect == 0:
        return len(scores) - 1
    return int(np.argmax((scores - scores[-1]) / effect < 0.01))


def _draw_discs(size: Size) -> NDArray[np.float32]:
    """Draw blurred discs of rising radius around the centre, shape (N, rows, columns)."""
    rows, columns = ((np.arange(n) + 0.5) - n / 2 for n in size)
    distance = np.hypot(rows[:, None], columns) * (224 / min(size))
    sharp = (distance <= np.array(RADII)[:, None, None]).astype(np.float32)
    return np.stack([gaussian_blur(disc, 10 * min(size) / 224) for disc in sharp])
