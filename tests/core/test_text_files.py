"""Small text files are read within bounds, whatever they hold."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxplain.core.text_files import (
    CONFIG_BYTES,
    MAX_DEPTH,
    TextError,
    parse_json,
    parse_toml,
    parse_xml,
    read_bytes,
    read_text,
)


def test_texts_of_their_form_are_parsed():
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert parse_json(b'"\xc3\xbc"') == "ü"
    assert parse_toml("a = [1]\r\n[b]\r\nc = 2.5\r\n") == {"a": [1], "b": {"c": 2.5}}
    assert parse_xml(b"<a><b>1</b></a>").findtext("b") == "1"


def nest(depth: int, opening: str, closing: str, inner: str = "") -> str:
    return opening * depth + inner + closing * depth


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 10_000, 200_000])
@pytest.mark.parametrize(
    "parse",
    [
        lambda depth: parse_json(nest(depth, "[", "]")),
        lambda depth: parse_json(nest(depth, '{"a":', "}", "1")),
        lambda depth: parse_json(nest(depth, "[", "]"), finite=False),
        lambda depth: parse_toml(f"a = {nest(depth, '[', ']')}"),
        lambda depth: parse_toml(f"a = {nest(min(depth, 10_000), '{a=', '}', '1')}"),
        lambda depth: parse_xml(nest(depth, "<a>", "</a>").encode()),
    ],
)
def test_deep_texts_are_refused(parse: Callable[[int], Any], depth: int):
    with pytest.raises(TextError, match="nested deeper than 64 levels"):
        parse(depth)


def test_usual_depths_are_read():
    assert parse_json(nest(MAX_DEPTH, "[", "]")) is not None


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" + 400 * "0", "NaN", "Infinity"])
def test_numbers_that_are_not_finite_are_refused(number: str):
    with pytest.raises(TextError, match=r"not finite|whole number"):
        parse_json(f'{{"a": [{number}]}}')


@pytest.mark.parametrize("number", ["1e400", "inf", "nan", "1" + 400 * "0"])
def test_numbers_of_toml_are_finite(number: str):
    with pytest.raises(TextError, match=r"not finite|whole number"):
        parse_toml(f"a = {number}")


@pytest.mark.parametrize(
    "content",
    [b"", b"<a>", b"\xff\xfe", b'<?xml version="1.0" encoding="no-such"?><a/>', b"<a>&b;</a>"],
)
def test_damaged_xml_is_refused(content: bytes):
    with pytest.raises(TextError):
        parse_xml(content)


def test_entities_that_grow_are_refused():
    entities = ['<!ENTITY e0 "ha">']
    entities += [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12)]
    text = f"<!DOCTYPE a [{''.join(entities)}]><a>&e11;</a>"
    with pytest.raises(TextError):
        parse_xml(text.encode())


def test_large_files_are_refused(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"#" * CONFIG_BYTES)
    assert len(read_text(path)) == CONFIG_BYTES
    path.write_bytes(b"#" * (CONFIG_BYTES + 1))
    with pytest.raises(TextError, match="larger than 4 MiB"):
        read_bytes(path)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(TextError, match="UTF-8"):
        read_text(tmp_path / "a.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_devices_and_pipes_are_refused(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="a device or a pipe"):
            read_text(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)
