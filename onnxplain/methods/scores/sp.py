"""Sliding patch, or occlusion (Zeiler & Fergus, ECCV 2014).

As Agarwal & Nguyen use it [1]_: a patch slides over the image, what is under it is
removed, and the drop of the target's score is the patch's evidence. With an inpainter as
the fill it is SP-G.

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

from onnxplain.core.data import Attribution, Case, Size
from onnxplain.core.flow import Flow, MaskQuery
from onnxplain.core.params import Param, Parametrised
from onnxplain.image import resize
from onnxplain.masks.families import UnionMasks, list_corners, place_patches, prepend_empty_mask


@dataclass(frozen=True)
class SP(Parametrised):
    """Sliding patch.

    Parameters
    ----------
    patch : int
        Side of the square patch in pixels; large patches find large parts and blur the map.
    stride : int
        Pixels between neighbouring patches; evaluations grow with its inverse square.
    align : {'center', 'stretch', 'accumulate'}
        How the coarse map comes to image size. ``center`` interpolates between the patches'
        true centres; ``stretch`` enlarges the map over the whole image, as the paper's
        program does, which moves a peak near the border by up to half a patch;
        ``accumulate`` gives each pixel the mean of all patches that cover it.
    share : int
        Pixels between patches that share one fill, where the fill depends on the mask: SP-G
        then needs about ``((patch + share) / stride)**2`` inpaints, whatever the size of the
        image, instead of one a patch. The smaller, the quicker and the further from exact: an
        inpainter sees the other patches as holes too. 0 fills every patch alone.

    Notes
    -----
    The heatmap is ``s(x) - s(x_bar)``, a difference of probabilities in [-1, 1].

    With `share` the patches of a coarser grid are filled together, and each is then removed
    alone. An inpainter that looks no further than `share` pixels around a hole gives the same
    map as without.
    """

    name: ClassVar[str] = "sp"
    adaptive: ClassVar[bool] = False
    usual_fill: ClassVar[str] = "dataset-mean"

    patch: Annotated[int, Param("side of the sliding patch in pixels", ge=1)] = 29
    stride: Annotated[int, Param("pixels between neighbouring patches", ge=1)] = 3
    align: Annotated[
        Literal["center", "stretch", "accumulate"],
        Param("how the coarse map comes to image size"),
    ] = "center"
    share: Annotated[
        int, Param("pixels between patches that share an inpaint; 0 for one a patch", ge=0)
    ] = 0

    def evaluations(self, size: Size) -> int:
        """One a patch position, and one for the image itself."""
        rows, columns = place_patches(size, self.patch, self.stride, "SP")
        return len(rows) * len(columns) + 1

    def flow(self, case: Case, rng: np.random.Generator) -> Flow[Attribution]:
        """Explain one case; draws nothing."""
        rows, columns = place_patches(case.size, self.patch, self.stride, "SP")
        corners = list_corners(rows, columns)
        groups = self._groups(len(rows), len(columns))
        order = np.argsort(groups, kind="stable")  # those that share a fill are asked together
        patches = prepend_empty_mask(corners[order], self.patch, case.size)
        holes = UnionMasks(patches, np.append(-1, groups[order])) if self.share else None
        reply = yield MaskQuery(patches, holes=holes)
        drops = np.empty(len(order), np.float32)
        drops[order] = reply.scores[0] - reply.scores[1:]
        coarse = drops.reshape(len(rows), len(columns))
        return Attribution(self._to_image(coarse, rows, columns, case.size), coarse=coarse)

    def _groups(self, n_rows: int, n_columns: int) -> NDArray[np.int64]:
        """The number of each patch's group: one fill makes all patches of a group."""
        if not self.share:
            return np.arange(n_rows * n_columns)
        step = -(-(self.patch + self.share) // self.stride)
        row, column = np.indices((n_rows, n_columns)) % step
        return (row * step + column).ravel()

    def _to_image(
        self,
        coarse: NDArray[np.float32],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        size: Size,
    ) -> NDArray[np.float32]:
        if self.align == "stretch":
            return resize(coarse, size)
        weigh = _between_centres if self.align == "center" else _covering
        down = weigh(rows, self.patch, size[0])
        across = weigh(columns, self.patch, size[1])
        total = down @ coarse @ across.T
        count = np.outer(down.sum(axis=1), across.sum(axis=1))  # 0 where no patch reaches
        return np.divide(total, count, out=np.zeros(size), where=count > 0).astype(np.float32)


def _between_centres(starts: NDArray[np.int64], patch: int, side: int) -> NDArray[np.float64]:
    """Linear weights (side, patches) of the patches whose centres lie around a pixel."""
    centres = starts + (patch - 1) / 2
    identity = np.eye(len(starts))
    return np.stack([np.interp(np.arange(side), centres, row) for row in identity], axis=1)


def _covering(starts: NDArray[np.int64], patch: int, side: int) -> NDArray[np.float64]:
    """1 where a patch covers a pixel, shape (side, patches)."""
    pixel = np.arange(side)[:, None]
    return ((pixel >= starts) & (pixel < starts + patch)).astype(np.float64)
