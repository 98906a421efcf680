"""Names of classifiers, metrics and methods in tables: with the parameters that tell them apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from onnxplain.core.escaping import make_encodable
from onnxplain.study.rows import Row

# Fields that distinguish models, metrics and methods with the same name, and the prefix that
# their parameters get in the full name.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "model": {"model_sha256": "", "preprocessing": ""},
    "metric": {"metric_fill": "", "metric_parameters": "", "metric_fill_parameters": "fill_"},
    "method": {"fill": "", "method_parameters": "", "fill_parameters": "fill_"},
}


def make_namer(
    all_settings: Sequence[Row], roles: Sequence[str] = tuple(SETTINGS)
) -> Callable[[Row, str], str]:
    """Make a function that returns the name of the model, metric or method of settings.

    A name includes the parameters whose values differ between settings with the same name, and
    those that only some of them have.

    Parameters
    ----------
    all_settings : sequence of dict
        Fields of rows that say how something was made.
    roles : sequence of str
        Which of the three the settings have.
    """
    seen: dict[tuple[str, str], set[tuple[tuple[str, str], ...]]] = defaultdict(set)
    for settings in all_settings:
        for role in roles:
            seen[role, settings[role]].add(tuple(_flatten(settings, role).items()))
    common = {named: set.intersection(*map(set, flat)) for named, flat in seen.items()}

    def name_role(settings: Row, role: str) -> str:
        differing = [
            f"{name}={value}"
            for name, value in _flatten(settings, role).items()
            if (name, value) not in common[role, settings[role]]
        ]
        name = make_encodable(str(settings[role]))  # of a model's file, which may be no text
        return f"{name} ({', '.join(differing)})" if differing else name

    return name_role


def _flatten(settings: Row, role: str) -> dict[str, str]:
    """Return the parameters of the model, metric or method, each value as text."""
    flat = {}
    for field_name, prefix in SETTINGS[role].items():
        value = settings[field_name]
        table = value if isinstance(value, dict) else {field_name.removeprefix("metric_"): value}
        for name, parameter in table.items():
            flat[f"{prefix}{name}"] = json.dumps(parameter).strip('"')
    return flat
