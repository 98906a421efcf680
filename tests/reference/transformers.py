"""A transformer in float64, and what its attention says, as in the papers.

Written from the papers, with slopes by central differences, without the package.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# What is added to the attention weights of a block, (heads, T, T).
Nudges = Mapping[int, Array]


class Held:
    """Values of a first run, which later runs hold fixed where relevance propagation does.

    Parameters
    ----------
    through_attention : bool
        Whether attention weights change, as in AttnLRP, or are held, as in CP-LRP.
    """

    def __init__(self, *, through_attention: bool) -> None:
        self.through_attention = through_attention
        self._values: dict[str, Array] = {}

    def hold(self, name: str, value: Array) -> Array:
        """Return the value of the first run."""
        return self._values.setdefault(name, value)

    def multiply(self, name: str, a: Array, b: Array) -> Array:
        """Return ``a @ b``, whose slopes are a half of the true ones for each of the two."""
        return 0.5 * (a @ self.hold(f"{name}/b", b) + self.hold(f"{name}/a", a) @ b)


class Free(Held):
    """Nothing is held."""

    def __init__(self) -> None:
        super().__init__(through_attention=True)

    def hold(self, name: str, value: Array) -> Array:
        """Return the value itself."""
        return value


def run_vit(
    vit: Any,
    weights: Mapping[str, Any],
    image: Array,
    nudges: Nudges | None = None,
    held: Held | None = None,
    seen: dict[str, Array] | None = None,
) -> tuple[Array, list[Array]]:
    """Return the scores of an image (H, W, 3), and the attention (heads, T, T) of each block."""
    held = held or Free()
    seen = {} if seen is None else seen

    def normalise(name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
        return centred / held.hold(name, deviation) * w[f"{name}_scale"] + w[f"{name}_bias"]

    w = {name: np.asarray(value, float) for name, value in weights.items()}
    rows, columns = vit.grid
    tokens = [w["token"][0, place] for place in range(vit.prefix)]
    for r, c in itertools.product(range(rows), range(columns)):
        s = vit.patch
        patch = image[r * s : (r + 1) * s, c * s : (c + 1) * s].transpose(2, 0, 1)
        tokens.append((w["patch"] * patch).sum((1, 2, 3)) + w["patch_bias"])
    x = np.array(tokens) + w["position"][0]
    attentions = []
    for place in range(vit.blocks):
        p = f"b{place}/"
        n = normalise(f"{p}n1", x)
        q, k, v = (n @ w[f"{p}w{name}"] + w[f"{p}b{name}"] for name in "qkv")
        read, heads = [], []
        side = vit.width // vit.heads
        for head in range(vit.heads):
            part = slice(head * side, (head + 1) * side)
            at = f"{p}{head}"
            e = np.exp(held.multiply(f"{at}/qk", q[:, part], k[:, part].T) / math.sqrt(side))
            a = e / e.sum(axis=1, keepdims=True)
            if not held.through_attention:
                a = held.hold(at, a)
            if nudges and place in nudges:
                a = a + nudges[place][head]
            heads.append(a)
            product = held.multiply(f"{at}/av", a, v[:, part])
            read.append(product if held.through_attention else a @ v[:, part])
        attentions.append(np.array(heads))
        seen |= {f"{p}x": x, f"{p}n1": n, f"{p}q": q, f"{p}k": k, f"{p}v": v}
        seen |= {f"{p}attention": attentions[-1], f"{p}read": np.hstack(read)}
        seen[f"{p}o"] = np.hstack(read) @ w[f"{p}wo"] + w[f"{p}bo"]
        x = x + seen[f"{p}o"]
        n = normalise(f"{p}n2", x)
        up = n @ w[f"{p}up"] + w[f"{p}up_bias"]
        below = 0.5 * (1 + np.vectorize(math.erf)(up / math.sqrt(2)))
        g = up * held.hold(f"{p}gelu", below)
        seen |= {f"{p}mid": x, f"{p}n2": n, f"{p}g": g}
        seen[f"{p}down"] = g @ w[f"{p}down"] + w[f"{p}down_bias"]
        x = x + seen[f"{p}down"]
    x = normalise("norm", x)
    pooled = {"class": x[0], "mean": x.mean(0), "mean of patches": x[vit.prefix :].mean(0)}
    seen |= {"normed": x, "pooled": pooled[vit.head]}
    return pooled[vit.head] @ w["head"] + w["head_bias"], attentions


def measure_slopes(
    vit: Any, weights: Mapping[str, Any], image: Array, target: int, step: float = 1e-5
) -> list[Array]:
    """Return the slopes of a score by every attention weight, by central differences."""
    _, attentions = run_vit(vit, weights, image)
    slopes = []
    for place, attention in enumerate(attentions):
        slope = np.zeros_like(attention)
        for index in np.ndindex(*attention.shape):
            nudge = np.zeros_like(attention)
            nudge[index] = step
            above, below = (
                run_vit(vit, weights, image, {place: sign * nudge})[0][target] for sign in (1, -1)
            )
            slope[index] = (above - below) / (2 * step)
        slopes.append(slope)
    return slopes


def hand_down(
    vit: Any, weights: Mapping[str, Any], image: Array, target: int, *, through_attention: bool
) -> Array:
    """Return the relevance of pixels (H, W): each times its slope while parts are held fixed.

    CP-LRP holds attention, deviations and gates; AttnLRP halves products instead.
    """
    held = Held(through_attention=through_attention)
    run_vit(vit, weights, image, held=held)
    relevance = np.zeros(image.shape)
    step = 1e-5
    for index in np.ndindex(*image.shape):
        nudge = np.zeros(image.shape)
        nudge[index] = step
        above, below = (
            run_vit(vit, weights, image + sign * nudge, held=held)[0][target] for sign in (1, -1)
        )
        relevance[index] = image[index] * (above - below) / (2 * step)
    return relevance.sum(axis=2)


def roll_out(attentions: list[Array], fuse: str = "mean", discard: float = 0.0) -> Array:
    """Abnar & Zuidema, sec. 3: the product of what each block passes on, (T, T)."""
    n = attentions[0].shape[1]
    joint = np.eye(n)
    for heads in attentions:
        a = {"mean": heads.mean(0), "max": heads.max(0), "min": heads.min(0)}[fuse]
        smallest = np.argsort(a, axis=None, kind="stable")[: int(discard * a.size)]
        a.flat[smallest] = 0
        a = 0.5 * a + 0.5 * np.eye(n)
        a = a / a.sum(axis=1, keepdims=True)
        joint = a @ joint
    return joint


def follow_attention(attentions: list[Array], slopes: list[Array]) -> Array:
    """Chefer et al. 2021, eq. 5 and 6: the relevance of tokens for tokens, (T, T)."""
    relevance = np.eye(attentions[0].shape[1])
    for a, g in zip(attentions, slopes, strict=True):
        mean = np.mean([np.maximum(a[head] * g[head], 0) for head in range(len(a))], axis=0)
        relevance = relevance + mean @ relevance
    return relevance


class Relevance:
    """Chefer et al., CVPR 2021: relevance itself, handed down by the rules of their program.

    Layers of weights share out by positive contributions without biases, products give a half to
    each factor, normalisations and activations hand on what they got, and sums share out in
    proportion and then by the magnitudes of what their terms got as a whole.
    """

    @staticmethod
    def divide(a: Array, b: Array) -> Array:
        return a / np.where(b < 0, b - 1e-9, b + 1e-9)

    def linear(self, x: Array, w: Array, r: Array) -> Array:
        positive, negative = np.maximum(w, 0), np.minimum(w, 0)
        up, down = np.maximum(x, 0), np.minimum(x, 0)
        c = self.divide(r, up @ positive + down @ negative)
        return up * (c @ positive.T) + down * (c @ negative.T)

    def product(self, a: Array, b: Array, y: Array, r: Array) -> tuple[Array, Array]:
        c = self.divide(r, y)
        return 0.5 * a * (c @ b.T), 0.5 * b * (a.T @ c)

    def sum(self, a: Array, b: Array, r: Array) -> tuple[Array, Array]:
        parts = [term * self.divide(r, a + b) for term in (a, b)]
        sums = [part.sum() for part in parts]
        shares = [abs(s) / (abs(sums[0]) + abs(sums[1])) for s in sums]
        first, second = (
            part * share * r.sum() / s for part, share, s in zip(parts, shares, sums, strict=True)
        )
        return first, second


def attribute(vit: Any, weights: Mapping[str, Any], image: Array, target: int) -> list[Array]:
    """Return the relevance of every attention weight, (heads, T, T) of each block."""
    w = {name: np.asarray(value, float) for name, value in weights.items()}
    seen: dict[str, Array] = {}
    run_vit(vit, weights, image, seen=seen)
    rules, side = Relevance(), vit.width // vit.heads
    pooled = np.zeros(vit.classes)
    pooled[target] = 1
    handed = rules.linear(seen["pooled"], w["head"], pooled)
    r = np.zeros_like(seen["normed"])
    rows = {"class": [0], "mean": range(vit.n_tokens)}.get(
        vit.head, range(vit.prefix, vit.n_tokens)
    )
    for row in rows:
        r[row] = handed * seen["normed"][row] / (seen["pooled"] * len(rows))
    attentions = []
    for place in reversed(range(vit.blocks)):
        p = f"b{place}/"
        r, down = rules.sum(seen[f"{p}mid"], seen[f"{p}down"], r)
        up = rules.linear(seen[f"{p}g"], w[f"{p}down"], down)
        r = r + rules.linear(seen[f"{p}n2"], w[f"{p}up"], up)
        r, o = rules.sum(seen[f"{p}x"], seen[f"{p}o"], r)
        read = rules.linear(seen[f"{p}read"], w[f"{p}wo"], o)
        parts: dict[str, list[Array]] = {name: [] for name in "qkva"}
        for head in range(vit.heads):
            part = slice(head * side, (head + 1) * side)
            q, k, v = (seen[f"{p}{name}"][:, part] for name in "qkv")
            a = seen[f"{p}attention"][head]
            of_a, of_v = rules.product(a, v, a @ v, read[:, part])
            parts["a"].append(of_a)
            # The softmax hands down values times slopes; its input is a scaled product.
            c = of_a / a
            inside = q @ k.T / math.sqrt(side)
            of_inside = inside * (a * c - a * (a * c).sum(axis=1, keepdims=True))
            of_q, of_kt = rules.product(q, k.T, q @ k.T, of_inside)
            for name, value in (("q", of_q), ("k", of_kt.T), ("v", of_v)):
                parts[name].append(value)
        attentions.append(np.array(parts["a"]))
        for name in "qkv":
            r = r + rules.linear(seen[f"{p}n1"], w[f"{p}w{name}"], np.hstack(parts[name]))
    return attentions[::-1]


def show(vit: Any, relevance: Array) -> Array:
    """Return the map (rows, columns) of what the scores read."""
    rows = {"class": [0], "mean": range(vit.n_tokens)}.get(
        vit.head, range(vit.prefix, vit.n_tokens)
    )
    return np.mean([relevance[row] for row in rows], axis=0)[vit.prefix :].reshape(vit.grid)
