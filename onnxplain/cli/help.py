"""``onnxplain help``: what a command, a method, a fill or a metric does, and its parameters."""

from __future__ import annotations

import click

from onnxplain import registry
from onnxplain.cli.explain import command as explain
from onnxplain.cli.reporting import report_errors
from onnxplain.cli.sections import TOPICS, list_records
from onnxplain.cli.terminal import show
from onnxplain.cli.topics import LISTS, write_fill, write_list, write_method, write_metric
from onnxplain.core.mistakes import describe_unknown
from onnxplain.metrics.naming import NAMED_METRICS

GROUPS = {topic: (prefix, title) for prefix, (topic, title, _) in TOPICS.items() if topic.islower()}


def list_topics(ctx: click.Context) -> list[str]:
    """Return everything that there is help on."""
    entries = [*registry.get_methods(), *registry.GENERATIVE, *registry.get_fills()]
    return [*_list_commands(ctx), *GROUPS, *LISTS, *entries, *NAMED_METRICS]


@click.command()
@click.argument(
    "topic",
    required=False,
    shell_complete=lambda ctx, param, start: [
        topic for topic in list_topics(ctx) if topic.startswith(start)
    ],
)
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> None:
    """Show the help of TOPIC: a command, a method, a fill, a metric, or a group of options.

    Groups of options are model, figure, ray and inpainter; methods, fills and metrics list these.
    """
    with report_errors(arguments=True):
        show(_format_topic(ctx, topic), end="")


def _format_topic(ctx: click.Context, topic: str | None) -> str:
    main = ctx.find_root()
    if topic is None:
        return f"{main.get_help()}\n"
    if topic in _list_commands(ctx):
        group = main.command
        assert isinstance(group, click.Group)
        child = group.get_command(main, topic)
        assert child is not None
        with child.make_context(topic, [], parent=main, resilient_parsing=True) as inner:
            return f"{inner.get_help()}\n"
    formatter = ctx.make_formatter()
    if topic in LISTS:
        write_list(formatter, topic)
    elif topic in GROUPS:
        prefix, title = GROUPS[topic]
        options = [param for param in explain.params if str(param.name).startswith(prefix)]
        with formatter.section(title):
            formatter.write_dl(list_records(ctx, options))
    elif topic in registry.get_methods() or topic in registry.GENERATIVE:
        write_method(formatter, topic)
    elif topic in registry.get_fills():
        write_fill(formatter, topic)
    elif topic in NAMED_METRICS:
        write_metric(formatter, topic, NAMED_METRICS[topic])
    else:
        raise ValueError(f"topic {describe_unknown(topic, list_topics(ctx))}")
    return formatter.getvalue()


def _list_commands(ctx: click.Context) -> list[str]:
    root = ctx.find_root()
    return root.command.list_commands(root) if isinstance(root.command, click.Group) else []
