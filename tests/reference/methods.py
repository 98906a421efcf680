"""SP, LIME, RISE, MP2 and values of games as plain loops over one masked image at a time.

Written from the papers, without the masks, the engine or any fast path of the package.
`score` takes an image (H, W, 3) and returns a number; `fill` is a picture of the same shape.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import skimage.transform
from numpy.typing import NDArray

Score = Callable[[NDArray[np.float64]], float]
Array = NDArray[np.float64]


def compose(image: Array, fill: Array, removed: Array) -> Array:
    """Compose image and fill by eq. 1 of Agarwal & Nguyen; where `removed` (H, W) is 1, fill."""
    return image * (1 - removed[..., None]) + fill * removed[..., None]


def sp_coarse(score: Score, image: Array, fill: Array, patch: int, stride: int) -> Array:
    """Return ``s(x) - s(x with a patch removed)`` for every position of the patch."""
    rows, columns, _ = image.shape
    n_rows, n_columns = (rows - patch) // stride + 1, (columns - patch) // stride + 1
    drops = np.zeros((n_rows, n_columns))
    for r in range(n_rows):
        for c in range(n_columns):
            removed = np.zeros((rows, columns))
            removed[r * stride : r * stride + patch, c * stride : c * stride + patch] = 1
            drops[r, c] = score(image) - score(compose(image, fill, removed))
    return drops


def sp_accumulate(coarse: Array, patch: int, stride: int, shape: tuple[int, int]) -> Array:
    """Average at each pixel the drops of all patches that cover it; 0 where none does."""
    total, count = np.zeros(shape), np.zeros(shape)
    for r in range(coarse.shape[0]):
        for c in range(coarse.shape[1]):
            window = np.s_[r * stride : r * stride + patch, c * stride : c * stride + patch]
            total[window] += coarse[r, c]
            count[window] += 1
    return np.where(count > 0, total / np.maximum(count, 1), 0)


def sp_center(coarse: Array, patch: int, stride: int, shape: tuple[int, int]) -> Array:
    """Interpolate bilinearly between the centres of the patches, and clamp outside them."""
    heat = np.zeros(shape)
    for y in range(shape[0]):
        for x in range(shape[1]):
            r = min(max((y - (patch - 1) / 2) / stride, 0), coarse.shape[0] - 1)
            c = min(max((x - (patch - 1) / 2) / stride, 0), coarse.shape[1] - 1)
            r0, c0 = int(r), int(c)
            r1, c1 = min(r0 + 1, coarse.shape[0] - 1), min(c0 + 1, coarse.shape[1] - 1)
            top = coarse[r0, c0] * (1 - (c - c0)) + coarse[r0, c1] * (c - c0)
            bottom = coarse[r1, c0] * (1 - (c - c0)) + coarse[r1, c1] * (c - c0)
            heat[y, x] = top * (1 - (r - r0)) + bottom * (r - r0)
    return heat


def lime(
    score: Score, image: Array, fill: Array, segments: NDArray[np.int64], kept: NDArray[np.uint8]
) -> Array:
    """Return the coefficients of LIME's weighted ridge regression (alpha 1, kernel width .25)."""
    n_samples, n_segments = kept.shape
    scores, weights = np.zeros(n_samples), np.zeros(n_samples)
    for i in range(n_samples):
        removed = np.zeros(segments.shape)
        for j in range(n_segments):
            if not kept[i, j]:
                removed[segments == j] = 1
        scores[i] = score(compose(image, fill, removed))
        norm = np.sqrt(kept[i].sum()) * np.sqrt(n_segments)
        distance = 1 - kept[i].sum() / norm if kept[i].any() else 1.0
        weights[i] = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    # The intercept is one more column, which the penalty leaves out.
    design = np.column_stack([kept, np.ones(n_samples)]).astype(np.float64)
    penalty = np.diag([1.0] * n_segments + [0.0])
    w = np.diag(weights)
    return np.linalg.solve(design.T @ w @ design + penalty, design.T @ w @ scores)[:-1]


def rise_mask(cells: NDArray[np.uint8], offset: NDArray[np.int64], size: tuple[int, int]) -> Array:
    """Make a mask of RISE from its grid with the call of the authors' program, then shift it."""
    grid = len(cells)
    cell = [int(np.ceil(side / grid)) for side in size]
    large = skimage.transform.resize(
        cells.astype(np.float64),
        [(grid + 1) * side for side in cell],
        order=1,
        mode="reflect",
        anti_aliasing=False,
    )
    return large[offset[0] : offset[0] + size[0], offset[1] : offset[1] + size[1]]


def rise(
    score: Score,
    image: Array,
    fill: Array,
    kept: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    *,
    coverage: bool,
    p_keep: float,
) -> Array:
    """Divide the sum of score times mask by the sum of masks, or by N p (eq. 6)."""
    size = image.shape[:2]
    total, count = np.zeros(size), np.zeros(size)
    for cells, offset in zip(kept, offsets, strict=True):
        mask = rise_mask(cells, offset, size)
        total += score(compose(image, fill, 1 - mask)) * mask
        count += mask
    return total / (count if coverage else len(kept) * p_keep)


def mp2_order(
    score: Score, image: Array, fill: Array, grid: int, per_step: int, stop: float
) -> list[int]:
    """Return the cells that MP2 removes, in order, until the score is at most `stop` (sec. 3.3).

    Cells are blocks of pixels: a mask of cells that is enlarged without interpolation. Every step
    tries every cell that is left.
    """
    rows, columns, _ = image.shape
    down, across = rows // grid, columns // grid

    def remove(cells: list[int]) -> float:
        removed = np.zeros((rows, columns))
        for cell in cells:
            top, left = cell // grid * down, cell % grid * across
            removed[top : top + down, left : left + across] = 1
        return score(compose(image, fill, removed))

    order: list[int] = []
    while len(order) < grid**2 and remove(order) > stop:
        left = [cell for cell in range(grid**2) if cell not in order]
        order += sorted(left, key=lambda cell: remove([*order, cell]))[:per_step]
    return order


def mp2_lazy_order(
    log_odds: Score,
    image: Array,
    fill: Array,
    grid: int,
    stop: float,
    *,
    per_step: int,
    n_tried: int,
    caution: float,
    coarse: bool = False,
) -> tuple[list[int], int]:
    """Return the cells that lazy MP2 removes until the log-odds are at most `stop`, and its cost.

    The first step tries all cells. If `coarse`, it tries sets of cells half a grid apart, which
    share their gains, and then the most promising cells as in the later steps.

    A gain that was found earlier is in doubt: the square of the doubt is ``(scale / d)**2`` for
    each cell removed since then, d cells away along the farther axis. The scale is the root mean
    square of how far the gains of tried cells lay from the remembered ones, in units of their
    doubt; each step counts for half.
    """
    side = image.shape[0] // grid
    cost = 0

    def ask(cells: list[int]) -> float:
        nonlocal cost
        cost += 1
        removed = np.zeros(image.shape[:2])
        for cell in cells:
            top, left = cell // grid * side, cell % grid * side
            removed[top : top + side, left : left + side] = 1
        return log_odds(compose(image, fill, removed))

    order: list[int] = []
    gains = dict.fromkeys(range(grid**2), 0.0)
    doubt = dict.fromkeys(range(grid**2), 1.0)  # square, in units of the scale
    scale = 0.0
    while (now := ask(order)) > stop and gains:
        tried: list[int] = []
        misses = doubts = 0.0
        if coarse and not order:
            half = (grid + 1) // 2
            for place in range(half**2):
                same = [
                    cell
                    for cell in gains
                    if (cell // grid % half, cell % grid % half) == divmod(place, half)
                ]
                gains.update(dict.fromkeys(same, (now - ask(same)) / len(same)))
        while True:
            promises = {cell: gains[cell] + caution * scale * doubt[cell] ** 0.5 for cell in gains}
            ranking = sorted(gains, key=lambda cell: -promises[cell])
            if tried and all(cell in tried for cell in ranking[:per_step]):
                break
            batch = [cell for cell in ranking if cell not in tried]
            for cell in batch[:n_tried] if order or coarse else batch:
                gain = now - ask([*order, cell])
                misses += (gain - gains[cell]) ** 2
                doubts += doubt[cell]
                gains[cell], doubt[cell] = gain, 0.0
                tried.append(cell)
            if not scale:  # learned at once, from the first cells that are tried
                scale = (misses / doubts) ** 0.5
                misses = doubts = 0.0
        if doubts:
            scale = ((scale**2 + misses / doubts) / 2) ** 0.5
        removed = sorted(tried, key=lambda cell: -gains[cell])[:per_step]
        order += removed
        for cell in removed:
            del gains[cell]
        for cell in gains:
            for other in removed:
                apart = max(abs(cell // grid - other // grid), abs(cell % grid - other % grid))
                doubt[cell] += 1 / apart**2
    return order, cost


def mp_radius(scores: Array, original: float) -> int:
    """Choose the first disc of Agarwal & Nguyen's MP with ``mask_init circular``.

    `scores` belong to discs of rising radius, of which the last covers the image.
    """
    for index, score in enumerate(scores):
        span = original - scores[-1]
        if span != 0 and (score - scores[-1]) / span < 1e-2:
            return index
    return len(scores) - 1


def banzhaf(value: Callable[[frozenset[int]], float], n: int) -> Array:
    """Average over all sets of the others by how much a player raises the value of the set."""
    values = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            for chosen in itertools.combinations(others, size):
                without = frozenset(chosen)
                values[i] += value(without | {i}) - value(without)
    return values / 2 ** (n - 1)


def shapley(value: Callable[[frozenset[int]], float], n: int) -> Array:
    """Weigh the same differences by ``|S|! (n - |S| - 1)! / n!`` (Shapley 1953)."""
    values = np.zeros(n)
    for i in range(n):
        others = [j for j in range(n) if j != i]
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for chosen in itertools.combinations(others, size):
                without = frozenset(chosen)
                values[i] += weight * (value(without | {i}) - value(without))
    return values


def smooth_cells_mask(cells: NDArray[np.uint8], size: tuple[int, int]) -> Array:
    """Interpolate between the centres of cells, pixel by pixel."""
    grid = len(cells)
    mask = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            r = min(max((y + 0.5) * grid / size[0] - 0.5, 0), grid - 1)
            c = min(max((x + 0.5) * grid / size[1] - 0.5, 0), grid - 1)
            r0, c0 = min(int(r), grid - 2), min(int(c), grid - 2)
            for dr, dc in itertools.product((0, 1), (0, 1)):
                share = (1 - abs(r - r0 - dr)) * (1 - abs(c - c0 - dc))
                mask[y, x] += share * cells[r0 + dr, c0 + dc]
    return mask


def folded_regression(signs: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Regress scores on kept cells with an intercept, and HC3 errors of pairs that fold over.

    The scores of both sets of a pair are rows of the regression. The error of a pair is that of
    the half of its scores that changes its sign with the set.
    """
    kept = np.concatenate([signs, -signs]) > 0
    design = np.column_stack([kept, np.ones(len(kept))]).astype(np.float64)
    beta = np.linalg.lstsq(design, np.concatenate([first, second]), rcond=None)[0][:-1]
    n, d = signs.shape
    inverse = np.linalg.inv(signs.T @ signs)
    meat = np.zeros((d, d))
    for i in range(n):
        leverage = signs[i] @ inverse @ signs[i]
        residual = (first[i] - second[i]) - signs[i] @ beta
        meat += np.outer(signs[i], signs[i]) * (residual / (1 - leverage)) ** 2
    return beta, np.sqrt(np.diag(inverse @ meat @ inverse))
