"""What nothing tells of a classifier, and how it can be given."""

from __future__ import annotations

from onnxplain.describe.decisions import Decisions
from onnxplain.describe.fields import CLASSIFIER_FIELDS
from onnxplain.describe.normalisation import NORMALISATION_FIELDS, NORMALISATION_PRESETS

# The options that give a field that is missing, where the name of the option says too little.
MISSING_OPTIONS = {
    "class_names": "--labels FILE",
    "head": "--head probability if its one number is a probability, or --head logit",
}


def list_missing_options(decisions: Decisions) -> dict[str, str]:
    """Return the options to try, by the names of the missing fields."""
    options = {
        name: MISSING_OPTIONS.get(name, CLASSIFIER_FIELDS[name].option)
        for name in decisions.missing
    }
    lacking = [name for name in NORMALISATION_FIELDS if options.pop(name, None)]
    if lacking:
        presets = ", ".join(NORMALISATION_PRESETS)
        by_preset = f"--preprocessing ({presets}), or --range, --mean and --std"
        is_int8 = decisions.facts.dtype == "int8"
        options[", ".join(lacking)] = "--range -128,127 (mostly)" if is_int8 else by_preset
    return options


def describe_missing(decisions: Decisions) -> str:
    """Say what is missing, where it was looked for, and the ways to give it."""
    return _list_ways(decisions) if decisions.ways else _ask_for_arguments(decisions)


def _list_ways(decisions: Decisions) -> str:
    """Say which options give what is missing."""
    ways = []
    if set(NORMALISATION_FIELDS) & set(decisions.missing) and decisions.facts.dtype == "int8":
        ways.append(
            "pass --range with the values of int8 that the graph takes for black and white, "
            "which are mostly -128,127"
        )
    elif set(NORMALISATION_FIELDS) & set(decisions.missing):
        ways.append(
            f"pass --preprocessing ({', '.join(NORMALISATION_PRESETS)}) or --range, --mean and "
            f"--std, as the model was trained"
        )
        ways += decisions.ways[:1]
    others = [name for name in decisions.missing if name not in NORMALISATION_FIELDS]
    if others:
        options = (MISSING_OPTIONS.get(name, CLASSIFIER_FIELDS[name].option) for name in others)
        ways.append(f"pass {', '.join(options)}")
    ways += decisions.ways[1:]
    missing = ", ".join(decisions.missing)
    return f"{decisions.name}: cannot tell {missing}: {decisions.searched}; {'; '.join(ways)}"


def _ask_for_arguments(decisions: Decisions) -> str:
    """Say which arguments of Python are missing, where there is no command line."""
    hints = {
        "head": 'head="probability" or head="logit", what its one number is',
        "size": "size=(rows, columns)",
    }
    wanted = [
        hints.get(name, f"{name}=")
        for name in decisions.missing
        if name not in NORMALISATION_FIELDS
    ]
    if set(NORMALISATION_FIELDS) & set(decisions.missing):
        presets = ", ".join(NORMALISATION_PRESETS)
        wanted.append(
            f"preprocessing= ({presets}) or range=, mean= and std=, as the model was trained"
        )
    missing = ", ".join(decisions.missing)
    ways = ", and ".join(wanted)
    return f"{decisions.name}: cannot tell {missing}: {decisions.searched}; pass {ways}"
