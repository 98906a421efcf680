"""Cooperative games played by the methods' own flows, without photos or an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.core.data import Attribution, Case, make_rng
from onnxplain.core.flow import Method, Reply

Game = Callable[[NDArray[np.bool_]], NDArray[np.float64]]  # who is kept (N, d) -> values (N,)


def play(method: Method, game: Game, seed: int = 0) -> Attribution:
    """Let a method with a grid of players explain a game."""
    case = Case("game", np.zeros((28, 28, 3), np.float32), 0)
    flow = method.flow(case, make_rng(seed))
    try:
        query: Any = next(flow)
        while True:
            removed = query.masks.cells.reshape(len(query.masks), -1)
            query = flow.send(Reply(game(removed == 0)))
    except StopIteration as stop:
        attribution: Attribution = stop.value
        return attribution


def make_curved_game(d: int, seed: int = 0, *, curvature: float = 1.0) -> Game:
    """Make a game in (0, 1) whose players interact: a logistic function of a quadratic form."""
    rng = np.random.default_rng(seed)
    effects = rng.standard_normal(d) * (rng.random(d) < 0.4)
    pairs = np.triu(rng.standard_normal((d, d)) * curvature / np.sqrt(d), 1)

    def game(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        z = kept.astype(np.float64)
        inner = (z - 0.5) @ effects + np.einsum("ni,ij,nj->n", z, pairs, z)
        return 1 / (1 + np.exp(-inner))

    return game


def make_additive_game(effects: NDArray[np.float64], base: float = 0.0) -> Game:
    """Make a game whose players do not interact."""
    return lambda kept: base + kept @ effects
