"""Sliding patch, or occlusion (Zeiler & Fergus, ECCV 2014).

As Agarwal & Nguyen use it [1]_: a patch slides over the image and removes what is under it,
and the drop of the target's score is the evidence of the patch. With an inpainter as the
fill it is SP-G.

References
----------
.. [1] Agarwal & Nguyen, Explaining image classifiers by removing input features using
   generative models, ACCV 2020, sec. 3.2, :arXiv:`1910.04256`
.. [2] Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014,
   sec. 4.2, :arXiv:`1311.2901`
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery, Reply
from onnxplain.core.params import Param, Parametrised, Usual, shrink_default
from onnxplain.masks.enlarge import make_bilinear_matrix
from onnxplain.masks.families import UnionMasks, list_corners, place_patches, prepend_empty_mask
from onnxplain.methods.scores.refining import (
    Nodes,
    choose_best,
    draw_seen,
    interpolate,
    place_nodes,
    rank_interest,
)

log = logging.getLogger(__name__)

FIRST_STEP = 4  # strides between the patches of the first look, if not all are looked at

NOT_INCREMENTAL = "the fill depends on the mask, or the classifier is no ONNX model"

MEANING = Meaning("probability that the class loses when the patch there is removed", is_score=True)


@dataclass(frozen=True)
class SP(Parametrised):
    """Score that is lost under a sliding patch.

    Parameters
    ----------
    patch : int
        Side of the square patch in pixels; large patches find large parts and blur the map.
    stride : int
        Pixels from one patch to the next; half the stride needs four times the evaluations.
    align : {'center', 'stretch', 'accumulate'}
        How the coarse map is enlarged to image size. ``center`` interpolates between the true
        centres of the patches. ``stretch`` enlarges the map over the whole image and mirrors
        it at the border, as the paper's program does, which moves a peak near the border by up
        to half a patch.
        ``accumulate`` gives each pixel the mean of all patches that cover it.
    share : int
        Pixels between patches that are filled together, if the fill depends on the mask. SP-G
        then needs about ``((patch + share) / stride)**2`` inpaints, whatever the size of the
        image, instead of one per patch. Smaller values are quicker and less exact, because
        the inpainter sees the other patches as holes too. 0 fills every patch alone.
    refine : float in [0, 1]
        With less than 1, a first look takes every fourth position (but leaves no gap between
        patches, so that nothing is saved with a stride of more than half the patch). This share
        of the others is then looked at, those where the map or its slope is highest; the rest is
        interpolated between the positions of the first look. What was looked at has the same
        drop as with ``refine=1``, which looks everywhere.
    incremental : bool
        Recompute only what each patch changes, in convolutional models on the CPU. The map is
        the same up to rounding. It is tried first, and not used if it gives other scores or saves
        little time; a warning and the details then say why.

    Notes
    -----
    The heatmap is ``s(x) - s(x_bar)``, a difference of probabilities in [-1, 1]. On 24 ImageNet
    photos with EfficientNet-Lite0 and a stride of 8, the largest difference of the maps of
    ``stretch`` and ``center`` is 44 % of their range (mean; 24 to 84 %; found by
    `benchmarks/paper_programs.py`).

    With `share` the patches of a coarser grid are filled together, and each is then removed
    alone. With an inpainter that looks no further than `share` pixels around a hole the map
    is the same as with ``share=0``. With `refine`, the patches of one look share fills.

    With ``refine`` below 1 the details tell which positions were looked at and which were
    interpolated, and each target of an image has evaluations of its own. Refining finds
    the highest pixels; where the map is low it is no better than a wider stride
    (`benchmarks/results/refine.md`).
    """

    name: ClassVar[str] = "sp"
    usual_fill: ClassVar[str] = "dataset-mean"

    patch: Annotated[int, Param("side of the sliding patch in pixels", ge=1)] = Usual(29)
    stride: Annotated[int, Param("pixels from one patch to the next", ge=1)] = 3
    align: Annotated[
        Literal["center", "stretch", "accumulate"],
        Param("how the coarse map is enlarged to the size of the image"),
    ] = "center"
    share: Annotated[
        int, Param("pixels between patches that are filled together; 0 fills each alone", ge=0)
    ] = 0
    refine: Annotated[
        float,
        Param(
            "share of the positions looked at after every fourth one, where the map or its slope "
            "is high; the rest is interpolated, and 1 looks everywhere",
            ge=0,
            le=1,
        ),
    ] = 1.0

    incremental: Annotated[
        bool,
        Param("recompute only what a patch changes, where that gives the same scores sooner"),
    ] = False

    @property
    def adaptive(self) -> bool:
        """Whether a first look decides where to look next."""
        return self.refine < 1

    def fitted(self, size: Size) -> SP:
        """Return the same method with a patch of the default's share, if that does not fit."""
        return shrink_default(self, "patch", min(size), max(round(29 / 224 * min(size)), 1))

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per position looked at, and one per look for the image."""
        rows, columns = place_patches(size, self.patch, self.stride, self.name)
        grid = len(rows), len(columns)
        n_first = math.prod(map(len, self._place_first_look(grid)))
        n_next = self._count_next(grid, n_first)
        return 1 + n_first + (1 + n_next if n_next else 0)

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        rows, columns = place_patches(case.size, self.patch, self.stride, self.name)
        grid, corners = (len(rows), len(columns)), list_corners(rows, columns)
        nodes = self._place_first_look(grid)
        seen = np.zeros(grid, bool)
        seen[np.ix_(*nodes)] = True
        drops, facts = yield from self._ask(case, corners, self._group_patches(grid), seen)
        first = drops.reshape(len(nodes[0]), len(nodes[1]))
        coarse = interpolate(first, nodes, grid)
        n_next = self._count_next(grid, first.size)
        if n_next:
            chosen = choose_best(rank_interest(first, nodes, grid), seen, n_next)
            groups = self._group_patches(grid)
            coarse[chosen], facts = yield from self._ask(case, corners, groups, chosen)
            seen |= chosen
        heatmap = self._enlarge(coarse.astype(np.float32), rows, columns, case.size)
        return Attribution(
            heatmap,
            coarse.astype(np.float32),
            details={**self._describe(seen), **facts},
            meaning=MEANING,
        )

    def _place_first_look(self, grid: Size) -> Nodes:
        """Return the rows and columns of the positions of the first look."""
        step = min(FIRST_STEP, self.patch // self.stride) if self.adaptive else 1
        down, across = (place_nodes(n, max(step, 1)) for n in grid)
        return down, across

    def _count_next(self, grid: Size, n_first: int) -> int:
        """Count the positions that are looked at after the first look."""
        return round(self.refine * (math.prod(grid) - n_first))

    def _ask(
        self,
        case: Case,
        corners: NDArray[np.int64],
        groups: NDArray[np.int64],
        chosen: NDArray[np.bool_],
    ) -> Flow[tuple[NDArray[np.float64], dict[str, Any]]]:
        """Ask for the drop of the score at each of the chosen positions (rows, columns).

        The answer also tells what the record should say of how the scores were computed.
        """
        places = np.flatnonzero(chosen)
        # Patches that share a fill follow one another.
        order = np.argsort(groups[places], kind="stable")
        sorted_places = places[order]
        patches = prepend_empty_mask(corners[sorted_places], self.patch, case.size)
        holes = UnionMasks(patches, np.append(-1, groups[sorted_places])) if self.share else None
        reply = yield MaskQuery(patches, holes=holes, incremental=self.incremental)
        drops = np.empty(len(places))
        drops[order] = reply.scores[0] - reply.scores[1:]
        return drops, self._name_facts(reply)

    def _name_facts(self, reply: Reply) -> dict[str, Any]:
        """Return what is to be recorded about incremental scores, if they were asked for."""
        if not self.incremental:
            return {}
        nobody = {"used": False, "why": NOT_INCREMENTAL}
        if not reply.facts:
            log.warning("sp: not incremental: %s", NOT_INCREMENTAL)
        return {"incremental": reply.facts.get("incremental", nobody)}

    def _describe(self, seen: NDArray[np.bool_]) -> dict[str, Any]:
        """Say what was looked at and what was interpolated, as JSON can hold it."""
        if not self.adaptive:
            return {}
        n_seen = int(seen.sum())
        return {"seen": n_seen, "interpolated": seen.size - n_seen, "positions": draw_seen(seen)}

    def _group_patches(self, grid: Size) -> NDArray[np.int64]:
        """Give each patch the number of its group; the patches of a group share a fill."""
        if not self.share:
            return np.arange(math.prod(grid))
        step = -(-(self.patch + self.share) // self.stride)
        row, column = np.indices(grid) % step
        return (row * step + column).ravel()

    def _enlarge(
        self,
        coarse: NDArray[np.float32],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        size: Size,
    ) -> NDArray[np.float32]:
        """Enlarge the coarse map to image size."""
        weigh = {
            "center": _weigh_by_centres,
            "stretch": _weigh_stretched,
            "accumulate": _weigh_covering,
        }[self.align]
        down = weigh(rows, self.patch, size[0])
        across = weigh(columns, self.patch, size[1])
        total = down @ coarse @ across.T
        count = np.outer(down.sum(axis=1), across.sum(axis=1))  # 0 where no patch reaches
        return np.divide(total, count, out=np.zeros(size), where=count > 0).astype(np.float32)


def _weigh_by_centres(starts: NDArray[np.int64], patch: int, side: int) -> NDArray[np.float64]:
    """Return the weights (side, patches) that interpolate linearly between patch centres."""
    centres = starts + (patch - 1) / 2
    identity = np.eye(len(starts))
    return np.stack([np.interp(np.arange(side), centres, row) for row in identity], axis=1)


def _weigh_stretched(starts: NDArray[np.int64], patch: int, side: int) -> NDArray[np.float64]:
    """Return the weights (side, patches) that enlarge the map over the whole side."""
    return make_bilinear_matrix(len(starts), side, "mirror")


def _weigh_covering(starts: NDArray[np.int64], patch: int, side: int) -> NDArray[np.float64]:
    """Return weights (side, patches): 1 for the patches that cover a pixel, 0 for others."""
    pixels = np.arange(side)[:, None]
    return ((pixels >= starts) & (pixels < starts + patch)).astype(np.float64)
