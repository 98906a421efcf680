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

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, Meaning, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised, Usual, shrink_default
from onnxplain.masks.enlarge import make_bilinear_matrix
from onnxplain.masks.families import UnionMasks, list_corners, place_patches, prepend_empty_mask

MEANING = Meaning("probability that the class loses when the patch there is removed", is_score=True)


@dataclass(frozen=True)
class SP(Parametrised):
    """Sliding patch.

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

    Notes
    -----
    The heatmap is ``s(x) - s(x_bar)``, a difference of probabilities in [-1, 1]. On 24 ImageNet
    photos with EfficientNet-Lite0 and a stride of 8, the largest difference of the maps of
    ``stretch`` and ``center`` is 44 % of their range (mean; 24 to 84 %; found by
    `benchmarks/paper_programs.py`).

    With `share` the patches of a coarser grid are filled together, and each is then removed
    alone. With an inpainter that looks no further than `share` pixels around a hole the map
    is the same as with ``share=0``.
    """

    name: ClassVar[str] = "sp"
    adaptive: ClassVar[bool] = False
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

    def fitted(self, size: Size) -> SP:
        """Return the same method with a patch of the default's share, if that does not fit."""
        return shrink_default(self, "patch", min(size), max(round(29 / 224 * min(size)), 1))

    def evaluations(self, size: Size) -> int:
        """Count the evaluations: one per position of the patch, and one for the image itself."""
        rows, columns = place_patches(size, self.patch, self.stride, "SP")
        return len(rows) * len(columns) + 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case without random draws."""
        rows, columns = place_patches(case.size, self.patch, self.stride, "SP")
        corners = list_corners(rows, columns)
        groups = self._group_patches(len(rows), len(columns))
        order = np.argsort(groups, kind="stable")  # patches that share a fill follow one another
        patches = prepend_empty_mask(corners[order], self.patch, case.size)
        holes = UnionMasks(patches, np.append(-1, groups[order])) if self.share else None
        reply = yield MaskQuery(patches, holes=holes)
        drops = np.empty(len(order), np.float32)
        drops[order] = reply.scores[0] - reply.scores[1:]
        coarse = drops.reshape(len(rows), len(columns))
        heatmap = self._enlarge(coarse, rows, columns, case.size)
        return Attribution(heatmap, coarse=coarse, meaning=MEANING)

    def _group_patches(self, n_rows: int, n_columns: int) -> NDArray[np.int64]:
        """Give each patch the number of its group; the patches of a group share a fill."""
        if not self.share:
            return np.arange(n_rows * n_columns)
        step = -(-(self.patch + self.share) // self.stride)
        row, column = np.indices((n_rows, n_columns)) % step
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
