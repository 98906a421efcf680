"""Two shapes get a session each, and further ones take over the session used least recently."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from onnxplain.runtime.failures import OutOfMemory
from onnxplain.runtime.raw_sessions import RawSessions


def test_two_shapes_have_sessions_of_their_own() -> None:
    opened = iter(["second", "third"])
    sessions = RawSessions("first", lambda: next(opened), most=2)
    got = [sessions.get(shape) for shape in (8, 128, 8, 128, 8)]
    assert got == ["first", "second", "first", "second", "first"]
    # 128 is the shape that was used least recently.
    assert [sessions.get(shape) for shape in (64, 8, 128)] == ["second", "first", "second"]
    assert next(opened) == "third"


def test_one_session_serves_all_shapes_where_that_costs_nothing() -> None:
    sessions = RawSessions("first", pytest.fail, most=1)
    assert {sessions.get(shape) for shape in range(5)} == {"first"}


def test_without_memory_for_a_second_session_one_serves_all() -> None:
    tries = []

    def open_another() -> str:
        tries.append(1)
        raise OutOfMemory("net: out of memory")

    sessions = RawSessions("first", open_another, most=2)
    assert {sessions.get(shape) for shape in (8, 128, 8, 128)} == {"first"}
    assert len(tries) == 1


def test_threads_open_a_session_once() -> None:
    opened = []

    def open_another() -> str:
        opened.append(1)
        return "second"

    sessions = RawSessions("first", open_another, most=2)
    sessions.get(8)
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(sessions.get, [8, 128] * 50))
    assert got == ["first", "second"] * 50
    assert len(opened) == 1
