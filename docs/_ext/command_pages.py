"""The command reference, made from the click program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click

from onnxplain.cli import COMMANDS, main
from onnxplain.cli.sections import SECTIONS

LATER = {"method_": "methods", "fill_": "fills"}  # these stand on the page of methods and fills


def format_commands() -> str:
    """Return a section per command, with its usage, what it does, and its options."""
    root = click.Context(main, info_name="onnxplain", **main.context_settings)
    parts = [_format_command(main, root)]
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        parts += _walk(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(parts)


def _walk(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _format_command(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _walk(child, click.Context(child, info_name=name, parent=context))


def _format_command(command: click.Command, context: click.Context) -> str:
    path = context.command_path
    pieces = " ".join(command.collect_usage_pieces(context))
    lines = [
        f"## {path}",
        "",
        f"```text\n{path} {pieces}\n```",
        "",
        format_text(command.help or ""),
        "",
        f"```{{program}} {path}\n```",
        "",
    ]
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    for title, members in _group(options):
        if title:
            lines += [f"### {path}: {title.lower()}", ""]
        for option in members:
            lines += _format_option(option, context)
    left_out = [page for prefix, page in LATER.items() if any(_has(o, prefix) for o in options)]
    if left_out:
        lines += [f"Parameters of {' and '.join(left_out)} are on [their page](parameters.md).", ""]
    return "\n".join(lines)


def _group(options: Iterable[click.Option]) -> Iterator[tuple[str, list[click.Option]]]:
    """Yield options by section, as the help of the command does, but for parameters of methods."""
    groups: dict[str, list[click.Option]] = {}
    for option in options:
        if option.hidden or any(_has(option, prefix) for prefix in LATER):
            continue
        titles = (title for prefix, title in SECTIONS.items() if _has(option, prefix))
        groups.setdefault(next(titles, ""), []).append(option)
    yield from sorted(groups.items(), key=lambda group: group[0] != "")


def _has(option: click.Option, prefix: str) -> bool:
    return str(option.name).startswith(prefix)


def _format_option(option: click.Option, context: click.Context) -> list[str]:
    record = option.get_help_record(context)
    if record is None:
        return []
    flags, text = record
    signature = flags.replace(" / ", ", ")
    return [f"````{{option}} {signature}", format_text(text), "````", ""]


def format_text(text: str) -> str:
    """Return a text of the program as Markdown: a paragraph each, signs as they are."""
    paragraphs = (" ".join(part.split()) for part in text.replace("\b", "").split("\n\n"))
    return "\n\n".join(escape(paragraph) for paragraph in paragraphs if paragraph)


def escape(text: str) -> str:
    """Escape what Markdown would read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)
