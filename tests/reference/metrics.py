"""The metrics written from their papers and the authors' programs, one image at a time.

`score` is any function of one image (H, W, 3) in [0, 1].
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def rise_curve(score, image, heatmap, mode, step):
    """Compute RISE's CausalMetric: pixels are copied from a start to a finish image.

    It works on the normalised image; deletion ends in zeros, insertion starts from a blur.
    """
    rows, columns, _ = image.shape
    pixels = rows * columns
    x = ((image - MEAN) / STD).reshape(pixels, 3)
    if mode == "deletion":
        start, finish = x.copy(), np.zeros_like(x)
    else:
        delta = np.zeros((11, 11))
        delta[5, 5] = 1
        kernel = gaussian_filter(delta, 5)
        planes = [
            convolve2d(x[:, c].reshape(rows, columns), kernel, mode="same", boundary="fill")
            for c in range(3)
        ]
        start, finish = np.stack(planes, axis=-1).reshape(pixels, 3), x.copy()
    order = sorted(range(pixels), key=lambda i: -heatmap.reshape(-1)[i])
    n_steps = math.ceil(pixels / step)
    scores = []
    for i in range(n_steps + 1):
        scores.append(score(start.reshape(rows, columns, 3) * STD + MEAN))
        chosen = order[step * i : step * (i + 1)]
        start[chosen] = finish[chosen]
    scores = np.array(scores)
    return scores, (scores.sum() - scores[0] / 2 - scores[-1] / 2) / n_steps


def find_box(heatmap, alpha, scale="min-max"):
    """Return the box around what survives ``heat * (heat >= alpha * max)``, or None.

    As in the WSOL evaluation of Choe et al., the map is first scaled from its minimum to 0; or
    its negative values are set to 0, as in the program of Agarwal & Nguyen.
    """
    heat = heatmap - heatmap.min() if scale == "min-max" else np.where(heatmap < 0, 0, heatmap)
    if heat.max() <= 0:
        return None
    heat = heat * (heat >= alpha * heat.max())
    inside = [(r, c) for r in range(heat.shape[0]) for c in range(heat.shape[1]) if heat[r, c] > 0]
    rows, columns = [r for r, _ in inside], [c for _, c in inside]
    return min(rows), min(columns), max(rows) + 1, max(columns) + 1


def pixel_iou(first, second):
    """Return the IoU of two boxes of whole pixels, by counting pixels."""
    a, b = (
        {(r, c) for r in range(box[0], box[2]) for c in range(box[1], box[3])}
        for box in (first, second)
    )
    return len(a & b) / len(a | b)


def region_perturbation(score, image, heatmap, fill, patch, steps, most_first):
    """Return the scores of the images along the sequence, and their AOPC (Samek, eq. 11, 12)."""
    rows, columns, _ = image.shape
    regions = []
    for top in range(0, rows, patch):
        for left in range(0, columns, patch):
            where = (slice(top, top + patch), slice(left, left + patch))
            regions.append((heatmap[where].mean(), where))
    regions.sort(key=lambda region: -region[0] if most_first else region[0])
    x = image.copy()
    scores = [score(x)]
    for _, where in regions[:steps]:
        x[where] = fill[where]
        scores.append(score(x))
    total = sum(scores[0] - later for later in scores)
    return scores, total / len(scores)


def ms_ssim(first, second):
    """Compute MS-SSIM (Wang, Simoncelli & Bovik) on one channel, window by window."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    line = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(line, line) / np.outer(line, line).sum()
    value = 1.0
    for scale, weight in enumerate(weights):
        if scale:
            first, second = (halve(plane) for plane in (first, second))
        terms = []
        for r in range(first.shape[0] - 10):
            for c in range(first.shape[1] - 10):
                x, y = first[r : r + 11, c : c + 11], second[r : r + 11, c : c + 11]
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cov = (window * (x - mx) * (y - my)).sum()
                term = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
                if scale == 4:
                    term *= (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
                terms.append(term)
        value *= max(np.mean(terms), 0) ** weight
    return value


def halve(plane):
    """Halve the size, for even sides: each pixel is the mean of four."""
    return (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4
