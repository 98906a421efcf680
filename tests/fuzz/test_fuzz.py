"""A few seeds of every kind of fuzzing, and those that once failed; see `tests.fuzz`."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.kinds import KINDS, run_case

# Seeds of faults that were found by the long run; each is mended, and stays so.
ONCE_WRONG: dict[str, list[int]] = {"caches": [10066, 10431, 10463, 10543]}
FEW = {
    "images": 60,
    "models": 12,
    "dags": 10,
    "gradients": 6,
    "texts": 60,
    "caches": 20,
    "commands": 6,
}


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    """Give the logger back its level, which loading from damaged caches lowers."""
    logger = logging.getLogger("onnxplain")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_refused_or_answered_rightly(kind: str) -> None:
    @settings(max_examples=FEW[kind], derandomize=True, deadline=None, database=None)
    @given(seed=st.integers(0, 2**32 - 1))
    def run(seed: int) -> None:
        assert run_case(kind, seed) in ("right", "refused")

    run()


@pytest.mark.parametrize(
    ("kind", "seed"), [(kind, seed) for kind, seeds in ONCE_WRONG.items() for seed in seeds]
)
def test_what_was_wrong_once_is_right(kind: str, seed: int) -> None:
    assert run_case(kind, seed) in ("right", "refused")
