"""Mistakes in what somebody gives, told with what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def describe_unknown(name: str, known: Iterable[str]) -> str:
    """Return ``'x' is unknown; did you mean 'y'?``, or a list of the first known names."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    listed = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {listed or 'none'}"
    return f"{name!r} is unknown; {hint}"


def check_is_value(
    value: object, member: str, example: str, *, noun: str, name: str | None = None
) -> None:
    """Check that a method, fill or metric was given as a value, not as a class.

    Parameters
    ----------
    value : object
        What was given.
    member : str
        A member that every such value has.
    example : str
        An expression that makes such a value, for the message.
    noun : str
        What the value should be, for the message.
    name : str, optional
        A name that could be given instead, for the message, if names are accepted too.

    Raises
    ------
    TypeError
        If the value is a class, or has no such member.

    Examples
    --------
    >>> check_is_value(int, "flow", "Deletion()", noun="metric")
    Traceback (most recent call last):
        ...
    TypeError: a metric is a value, such as int(), got the class int
    """
    if isinstance(value, type):
        example, given = f"{value.__name__}()", f"the class {value.__name__}"
    elif hasattr(value, member):
        return
    else:
        given = type(value).__name__
    accepted = f"a value, such as {example}"
    if name is not None:
        accepted = f"a value or a name, such as {example} or {name!r}"
    raise TypeError(f"a {noun} is {accepted}, got {given}")
