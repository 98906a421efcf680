"""What files ask for that a spec cannot say, unless something more specific says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from onnxplain.describe.fields import Part, SpecSource
from onnxplain.describe.normalisation import NORMALISATION_FIELDS

# The fields of a spec that tell where each part comes from, and the options that say it.
FIELDS: Mapping[Part, Sequence[str]] = {
    "geometry": ("fit",),
    "interpolation": ("interpolation",),
    "normalisation": NORMALISATION_FIELDS,
}
WAYS: Mapping[Part, str] = {
    "geometry": "pass --fit and --resize or --crop",
    "interpolation": "pass --interpolation",
    "normalisation": "pass --preprocessing or --range, --mean and --std",
}


def find_refusal(
    sources: Sequence[SpecSource], origins: Mapping[str, str], preset: str, passed: Set[Part]
) -> str | None:
    """Return why a spec is not what its sources ask for, and what to pass; None if all is well.

    Parameters
    ----------
    sources : sequence of SpecSource
        The most specific first.
    origins : mapping
        The source of each field that is decided. A refusal is passed over if a source before
        it decided the part.
    preset : str
        A source that counts before all that refuse.
    passed : set of Part
        Parts whose refusals are passed over.
    """
    stronger = {preset}
    for source in sources:
        reasons = {
            part: reason
            for part, reason in source.refusals.items()
            if part not in passed
            and not any(origins.get(name) in stronger for name in FIELDS[part])
        }
        if reasons:
            ways = ", and ".join(WAYS[part] for part in reasons)
            return (
                f"{source.name}: {'; '.join(dict.fromkeys(reasons.values()))}; {ways}, as the "
                f"model was trained"
            )
        stronger.add(source.name)
    return None
