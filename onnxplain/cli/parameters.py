"""Options of the command line, made from the parameters that methods and fills declare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from onnxplain.cli.kept import get_kept_options, make_kept_option
from onnxplain.core.params import Hyperparameter, list_parameters

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class ParameterOptions:
    """The options for the parameters of all methods, or of all fills.

    Parameters
    ----------
    owner : str
        What the classes are, for messages: ``method`` or ``fill``.
    prefix : str
        Text between the dashes and the parameter's name.
    classes : mapping of str to type
        The methods or fills by name.
    """

    owner: str
    prefix: str
    classes: Mapping[str, type]

    def add_options(self, command: F) -> F:
        """Add an option to a command for every parameter that any of the classes declares."""
        for name, takers in reversed(list(self._find_takers().items())):
            command = self._make_option(name, takers)(command)
        return command

    def get_parameters(self, ctx: click.Context, name: str) -> dict[str, Any]:
        """Return the parameters that were given for the method or fill `name`.

        Raises
        ------
        UsageError
            If the method or fill does not take one of them.
        """
        parameters = get_kept_options(ctx, f"{self.owner}_")
        known = {declared.name for declared in list_parameters(self.classes[name])}
        for parameter in parameters:
            if parameter not in known:
                takers = ", ".join(self._find_takers()[parameter])
                own = ", ".join(self._make_flag(taken) for taken in sorted(known)) or "none"
                raise click.UsageError(
                    f"{self.owner} {name} takes no {self._make_flag(parameter)}, which belongs to "
                    f"{takers}; the options of {name}: {own}"
                )
        return parameters

    def _make_flag(self, parameter: str) -> str:
        return make_flag(self.prefix, parameter)

    def _find_takers(self) -> dict[str, dict[str, Hyperparameter]]:
        """Return the declarations of each parameter, by the names of the methods or fills."""
        takers: dict[str, dict[str, Hyperparameter]] = {}
        for name, cls in self.classes.items():
            for declared in list_parameters(cls):
                takers.setdefault(declared.name, {})[name] = declared
        return takers

    def _make_option(
        self, parameter: str, takers: Mapping[str, Hyperparameter]
    ) -> Callable[[F], F]:
        first = next(iter(takers.values()))
        flag = self._make_flag(parameter)
        return make_kept_option(
            f"{self.owner}_{parameter}",  # names of options share one space
            f"{flag}/--no-{flag[2:]}" if first.type is bool else flag,
            type=first.type,
            nargs=first.length or 1,
            default=None,
            metavar="|".join(_list_choices(takers)) or None,
            help=_format_help(takers, named=len(self.classes) > 1),
        )


def make_flag(prefix: str, parameter: str) -> str:
    """Return the option of a parameter: ``--fill-n-segments``."""
    return f"--{prefix}{parameter.replace('_', '-')}"


Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def make_name_completer(names: Iterable[str]) -> Completer:
    """Make the shell completion for an option that takes one of some names."""
    return lambda ctx, param, incomplete: [name for name in names if name.startswith(incomplete)]


def make_entry_completer(classes: Mapping[str, type]) -> Completer:
    """Make the shell completion of ``name:key=value,key=value``: names, then keys, then choices.

    Bash itself splits words at colons and equal signs, unless ``COMP_WORDBREAKS`` lacks them.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        name, colon, rest = incomplete.partition(":")
        if not colon or name not in classes:
            return [known for known in classes if known.startswith(incomplete)]
        parameters = list_parameters(classes[name])
        last = rest.rpartition(",")[2]
        before = incomplete.removesuffix(last)
        offers = [f"{declared.name}=" for declared in parameters]
        key, sign, _ = last.partition("=")
        if sign:
            choices = [declared.choices for declared in parameters if declared.name == key]
            offers = [f"{key}={choice}" for choice in (choices[0] if choices else ())]
        return [before + offer for offer in offers if offer.startswith(last)]

    return complete


def format_notes(declared: Hyperparameter, *choices: str) -> str:
    """Format the default and the range of a parameter, after choices if there are any."""
    notes = ["|".join(choices), _format_default(declared), declared.param.bounds()]
    return "; ".join(note for note in notes if note)


def _list_choices(takers: Mapping[str, Hyperparameter]) -> list[str]:
    """List the values that a parameter may have in any of the methods or fills."""
    choices = (choice for declared in takers.values() for choice in declared.choices)
    return list(dict.fromkeys(choices))


def _format_help(takers: Mapping[str, Hyperparameter], *, named: bool) -> str:
    """Format ``sp, lime: meaning.  [default: 3; >= 1]``; names with the same meaning share a text.

    Where the choices of a parameter differ, each text has its own. Not `named`, the names are left
    out, and the text begins with a capital.
    """
    every_choice = _list_choices(takers)
    names_by_text: dict[str, list[str]] = {}
    for name, declared in takers.items():
        own = [*declared.choices] if len(declared.choices) < len(every_choice) else []
        notes = format_notes(declared, *own)
        text = f"{declared.param.help}." + (f"  [{notes}]" if notes else "")
        names_by_text.setdefault(text, []).append(name)
    if not named:
        return "  ".join(f"{text[0].upper()}{text[1:]}" for text in names_by_text)
    return "  ".join(f"{', '.join(names)}: {text}" for text, names in names_by_text.items())


def _format_default(declared: Hyperparameter) -> str:
    default = declared.default
    if default is None:
        return ""
    parts = default if isinstance(default, tuple) else (default,)
    words = (str(part).lower() if isinstance(part, bool) else str(part) for part in parts)
    return f"default: {' '.join(words)}"
