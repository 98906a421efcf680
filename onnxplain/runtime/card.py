"""What a classifier is, as a short text and as a table for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from onnxplain.core.markup import format_html_table
from onnxplain.core.spec import ModelSpec

N_NAMES = 4  # classes named on a card


def describe_classifier(kind: str, name: str, spec: ModelSpec) -> str:
    """Return the short text that represents a classifier."""
    rows, columns = spec.size
    return f"{kind}({name!r}, {rows} x {columns}, {len(spec.class_names)} classes)"


def format_card(kind: str, provenance: Mapping[str, Any], spec: ModelSpec) -> str:
    """Format a classifier as HTML: file, input, preprocessing and classes, each with its source.

    Parameters
    ----------
    kind : str
        The class of the classifier.
    provenance : mapping
        What runs it.
    spec : ModelSpec
        How it is fed and read, and where that is known from.
    """
    lines = [
        *_describe_running(provenance),
        *((what, value, _find_source(spec, fields)) for what, value, fields in _describe(spec)),
    ]
    title = f"{kind}: {provenance.get('model', '')}"
    return format_html_table(("", "value", "known from"), lines, title=title)


def _describe_running(provenance: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """List what runs the classifier."""
    if sha256 := provenance.get("sha256"):
        yield "sha256 of the file", f"{sha256[:16]}…", ""
    device = provenance.get("device")
    runs = provenance.get("provider", "")
    yield "runs on", f"{device} ({runs})" if device else str(runs), ""
    batch, workers = provenance.get("batch_size"), provenance.get("workers", 1)
    yield "batches", f"{batch} images, {workers} at a time", ""


def _describe(spec: ModelSpec) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """List what a spec says, with the fields that say it."""
    rows, columns = spec.size
    yield (
        "input",
        f"{spec.input}: {spec.dtype}, {spec.layout}, {rows} x {columns}, {spec.colour}",
        ("input", "dtype", "layout", "size", "colour"),
    )
    low, high = spec.range
    mean, std = (_format_numbers(values) for values in (spec.mean, spec.std))
    yield (
        "pixels",
        f"from {low:g} to {high:g}, less {mean}, divided by {std}",
        ("range", "mean", "std"),
    )
    resized = f"to {spec.resize[0]} x {spec.resize[1]}" if spec.resize else "to the input"
    yield (
        "photo",
        f"{spec.fit} {resized}, {spec.interpolation}",
        ("fit", "resize", "interpolation"),
    )
    yield "output", f"{spec.output}: {spec.head}", ("output", "head")
    names = spec.class_names
    more = ", ..." if len(names) > N_NAMES else ""
    shown = ", ".join(name.split(",")[0] for name in names[:N_NAMES])
    yield "classes", f"{len(names)}: {shown}{more}", ("class_names",)


def _format_numbers(values: tuple[float, ...]) -> str:
    """Format numbers per channel; equal ones once."""
    return ", ".join(f"{value:.4g}" for value in (values if len(set(values)) > 1 else values[:1]))


def _find_source(spec: ModelSpec, fields: tuple[str, ...]) -> str:
    """Return where the values of some fields come from, each source once."""
    sources = (spec.sources.get(name, "") for name in fields)
    return "; ".join(dict.fromkeys(source for source in sources if source))
