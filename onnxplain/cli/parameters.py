"""Options of the command line out of what methods and fills declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from onnxplain.cli.kept import given, keep
from onnxplain.core.params import Hyperparameter, list_parameters

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Family:
    """Things of one kind whose parameters become options.

    Parameters
    ----------
    kind : str
        What they are, for messages: ``method``, ``fill``.
    prefix : str
        Between the dashes and the parameter's name.
    classes : mapping of str to type
        The things by name.
    """

    kind: str
    prefix: str
    classes: Mapping[str, type]

    def options(self, command: F) -> F:
        """Add an option for every parameter that any of them declares."""
        for name, takers in reversed(list(self._takers().items())):
            command = self._option(name, takers)(command)
        return command

    def given(self, ctx: click.Context, owner: str) -> dict[str, Any]:
        """The parameters that were given, all of which `owner` must take."""
        found = given(ctx, f"{self.kind}_")
        known = {one.name for one in list_parameters(self.classes[owner])}
        for name in found:
            if name not in known:
                takers = ", ".join(self._takers()[name])
                mine = ", ".join(self._flag(one) for one in sorted(known)) or "none"
                raise click.UsageError(
                    f"{self.kind} {owner} takes no {self._flag(name)}, which belongs to "
                    f"{takers}; its own options: {mine}"
                )
        return found

    def _flag(self, name: str) -> str:
        return f"--{self.prefix}{name.replace('_', '-')}"

    def _takers(self) -> dict[str, dict[str, Hyperparameter]]:
        """For each parameter, who takes it."""
        takers: dict[str, dict[str, Hyperparameter]] = {}
        for owner, cls in self.classes.items():
            for one in list_parameters(cls):
                takers.setdefault(one.name, {})[owner] = one
        return takers

    def _option(self, name: str, takers: Mapping[str, Hyperparameter]) -> Callable[[F], F]:
        first = next(iter(takers.values()))
        flag = self._flag(name)
        return click.option(
            f"{self.kind}_{name}",  # names of options share one space
            f"{flag}/--no-{flag[2:]}" if first.type is bool else flag,
            type=first.type,
            nargs=first.length or 1,
            default=None,
            expose_value=False,
            callback=keep,
            metavar="|".join(first.choices) or None,
            help=_help(takers),
        )


def completed(
    names: Iterable[str],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """What the shell completes for an option that takes a name, but is no choice of them."""
    return lambda ctx, param, incomplete: [one for one in names if one.startswith(incomplete)]


def _help(takers: Mapping[str, Hyperparameter]) -> str:
    """``sp, lime: what it means [default: 3; >= 1]``, owners of one meaning together."""
    owners: dict[str, list[str]] = {}
    for owner, one in takers.items():
        notes = [_default(one), one.param.bounds()]
        text = f"{one.param.help} [{'; '.join(note for note in notes if note)}]"
        owners.setdefault(text, []).append(owner)
    return "  ".join(f"{', '.join(names)}: {text}." for text, names in owners.items())


def _default(one: Hyperparameter) -> str:
    if one.default is None:
        return ""
    parts = one.default if isinstance(one.default, tuple) else (one.default,)
    return f"default: {' '.join(str(part) for part in parts)}"
