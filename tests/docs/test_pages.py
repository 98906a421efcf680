"""What README and the pages say can be followed: links, commands, names."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

import onnxplain
from onnxplain import registry
from onnxplain.cli import COMMANDS, main
from onnxplain.metrics.naming import NAMED_METRICS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
WRITTEN = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not {"_build", "_generated", "repository", "examples"} & set(path.relative_to(DOCS).parts)
)
PAGES = [
    *(README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"),
    *(ROOT / "benchmarks" / "README.md", ROOT / "examples" / "README.md"),
    *(ROOT / "model_zoo" / "README.md", ROOT / "model_zoo" / "inpainter" / "README.md"),
    *sorted((ROOT / "benchmarks" / "results").glob("*.md")),
    *WRITTEN,
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_page(path: Path) -> str:
    return str(path.relative_to(ROOT))


def list_commands(path: Path) -> list[list[str]]:
    """Return the words of every `onnxplain ...` in the shell blocks of a page."""
    blocks = (text for kind, text in FENCE.findall(path.read_text()) if kind == "sh")
    lines = (line for text in blocks for line in text.replace("\\\n", " ").splitlines())
    parts = (part for line in lines for part in re.split(r"&&|\||;|\bdo\b", line))
    words = [shlex.split(part, comments=True) for part in parts]
    return [found[1:] for found in words if found and Path(found[0]).name == "onnxplain"]


def list_flags(command: click.Command) -> set[str]:
    named = [flag for param in command.params for flag in (*param.opts, *param.secondary_opts)]
    return {"--help", "-h", *named}


def test_readme_is_short():
    assert len(README.read_text().split()) < 800


def test_every_method_has_a_picture_but_those_for_transformers():
    facts = json.loads((DOCS / "_static" / "methods" / "pictures.json").read_text())
    drawn = {name for name, cls in registry.METHODS.items() if ".attention." not in cls.__module__}
    assert drawn | {name for name in facts if name.endswith("-g")} == set(facts)
    for name in facts:
        assert (DOCS / "_static" / "methods" / f"{name.replace('+', 'plus')}.jpg").exists()


@pytest.mark.parametrize("path", PAGES, ids=name_page)
def test_links_lead_somewhere(path: Path):
    text = FENCE.sub("", path.read_text())
    for link in LINK.findall(text):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "https", link
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), link
        elif parts.path:
            assert (path.parent / parts.path).exists(), link


@pytest.mark.parametrize("path", [README, *WRITTEN], ids=name_page)
def test_commands_exist_with_their_options(path: Path):
    for words in list_commands(path):
        assert words[0] in (*COMMANDS, "--version"), words
        command = main.get_command(click.Context(main), words[0])
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words[1])
        flags = {word.partition("=")[0] for word in words[1:] if re.match(r"--?[a-z]", word)}
        if command is not None:
            assert not flags - list_flags(command), words
        known = {
            "--method": {*registry.get_methods(), *registry.GENERATIVE, "random", "given"},
            "--fill": {*registry.get_fills()},
            "--metric": {*NAMED_METRICS},
        }
        for flag, value in itertools.pairwise(words):
            if flag in known:
                assert value.partition(":")[0] in known[flag], words


def test_the_tests_find_commands():
    assert ["explain", "examples/coffee.jpg"] in list_commands(README)
    assert sum(len(list_commands(page)) for page in WRITTEN) > 20


@pytest.mark.parametrize("path", [README, *WRITTEN], ids=name_page)
def test_python_blocks_use_names_that_exist(path: Path):
    for kind, text in FENCE.findall(path.read_text()):
        if kind == "python":
            compile(text, str(path), "exec")
            for name in re.findall(r"\bonnxplain\.(\w+)", text):
                assert hasattr(onnxplain, name), name
